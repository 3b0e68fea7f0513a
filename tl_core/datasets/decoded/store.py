"""Where a split's pixels come from: the mapped cache, or the files themselves.

Shapes: B images of a batch, C channels, S pixels a side.
"""

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from tl_core.datasets.decoded.cache import Entry
from tl_core.datasets.images.decode import decode_or_reason
from tl_core.datasets.images.pillow_warnings import collected
from tl_core.datasets.images.white_levels import WhiteLevels
from tl_core.datasets.records import Records
from tl_core.errors import BadInput
from tl_core.machine.hardware import cpu_count


class MappedStore:
    """Images in one memory-mapped file: every process on the machine shares its pages."""

    def __init__(self, images: np.ndarray) -> None:
        # A plain array over the map: np.memmap's own indexing is slower.
        self.mapped = images.view(np.ndarray)
        self.shape = images.shape

    def take(self, indices: np.ndarray) -> np.ndarray:
        """Images at `indices` (B,), as a new, contiguous (B, C, S, S) uint8 array."""
        return np.take(self.mapped, indices, axis=0)


class StreamingStore:
    """Images decoded when asked for, for a data set larger than the cache's budget.

    `records` are drawn at the entry's size; the entry says where its images are among them.
    """

    mapped = None

    def __init__(self, records: Records, entry: Entry, whites: WhiteLevels) -> None:
        self.shape = (len(entry.positions), entry.channels, entry.size, entry.size)
        self._records = records
        self._positions = entry.positions
        self._whites = whites
        self._pool = ThreadPoolExecutor(cpu_count(), thread_name_prefix="decode")

    def take(self, indices: np.ndarray) -> np.ndarray:
        """As `MappedStore.take`.

        Raises:
            BadInput: a file that was an image when the data set was first read is none now.
        """
        wanted = self._positions[indices]
        batch = np.empty((len(wanted), *self.shape[1:]), dtype=np.uint8)

        def fill(places: np.ndarray) -> None:
            with collected():  # `build_entry` has reported
                for place in places:
                    batch[place] = self._decode(int(wanted[place]))

        # In the order of the files: neighbours in a Parquet file are read together.
        order = np.argsort(wanted, kind="stable")
        shares = min(len(order), 4 * cpu_count()) or 1
        for _ in self._pool.map(fill, np.array_split(order, shares)):
            pass
        return batch

    def _decode(self, position: int) -> np.ndarray:
        raw = self._records.images[position]
        pixels = decode_or_reason(raw, self.shape[1], self.shape[2], self._whites)
        if isinstance(pixels, str):
            raise BadInput(
                f"{self._records.name(position)} can no longer be read as an image ({pixels}); "
                "restore it or start again."
            )
        return pixels


ImageStore = MappedStore | StreamingStore
"""Decoded images by position, (N, C, S, S) in `shape`; all of them in `mapped` where mapped."""
