"""From a config to an `ImageData`: find the row, decode or map, split, measure.

    dataset → row → signature of its files → fingerprint → white levels → decoded entry → splits

A process that finds the signature known and the entry whole reads no image: it maps one file.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tl_core.config import TrainConfig
from tl_core.datasets import survey as surveys
from tl_core.datasets.decoded import cache as caches
from tl_core.datasets.decoded.build import build_entry
from tl_core.datasets.decoded.cache import Entry
from tl_core.datasets.decoded.identity import Identity, identify, signature
from tl_core.datasets.decoded.store import ImageStore, MappedStore, StreamingStore
from tl_core.datasets.image_data import ImageData, Split
from tl_core.datasets.images.white_levels import OWN_LEVELS, WhiteLevels
from tl_core.datasets.records import DatasetSpec, Progress, Records, Request
from tl_core.datasets.sameness import check_training_images, constant_notes, shared_notes
from tl_core.datasets.splits import SplitIndices, check_classes, limit, split
from tl_core.datasets.table import find_row
from tl_core.errors import BadInput, first_line
from tl_core.machine.cache_folder import cache_folder
from tl_core.machine.user_path import expanded

KEPT = 8
LOADED: dict[tuple[object, ...], ImageData] = {}
"""The last KEPT data sets of this process: labels and indices, no pixels."""


def load_data(config: TrainConfig, *, progress: Progress | None = None) -> ImageData:
    """The data set that `config` names, split, its images mapped or streamed.

    The first call on a machine decodes into the cache folder; later ones map what is there. A
    process remembers its last data sets, and does not look again whether their files changed.

    Raises:
        BadInput: the data set is unknown, absent, damaged or does not suit the config.
        DownloadFailed: it is not on disk and cannot be downloaded.
    """
    spec, request = resolve(config, progress)
    cache = cache_folder(config.cache_dir)
    key = (
        spec, request.dataset, request.path, request.data_dir, cache, config.image_size,
        config.split_seed, config.validation_fraction, config.limit_train,
    )  # fmt: skip
    data = LOADED.pop(key, None) or _Loading(config, spec, request, cache).data()
    LOADED[key] = data
    while len(LOADED) > KEPT:
        del LOADED[next(iter(LOADED))]
    return data


def check_dataset(config: TrainConfig) -> None:
    """Raise BadInput where `config.dataset` names no row or a path that does not exist; cheap."""
    find_row(config.dataset)


def on_disk(config: TrainConfig) -> bool:
    """Whether `load_data` needs no network; raises BadInput where there is no such data set."""
    spec, request = resolve(config, None)
    return spec.files is None or all(path.exists() for path in spec.files(request))


def resolve(config: TrainConfig, progress: Progress | None) -> tuple[DatasetSpec, Request]:
    """The row of a config's data set, and what its functions are told; raises as `find_row`."""
    spec, path = find_row(config.dataset)
    downloads = cache_folder(config.cache_dir) / "downloads"
    data_dir = downloads if config.data_dir is None else expanded(config.data_dir).absolute()
    silent: Progress = lambda label, done, total: None  # noqa: E731
    return spec, Request(config.dataset, path, data_dir, progress or silent)


def read_records(spec: DatasetSpec, request: Request) -> Records:
    """What a row's `read` finds; raises BadInput where it errs or returns something else."""
    rule = f"dataset={request.dataset!r}: read(request) must return Records"
    try:
        records = spec.read(request)
    except (BadInput, OSError, MemoryError):
        raise
    except Exception as error:
        why = f"{type(error).__name__}: {first_line(error)}"
        raise BadInput(f"{rule} (it raises {why}).") from error
    if not isinstance(records, Records):
        raise BadInput(f"{rule} (it returns a {type(records).__name__}).")
    return records


@dataclass(frozen=True)
class _Loading:
    """One data set on its way from its files to its splits; each step is taken once, if at all."""

    config: TrainConfig
    spec: DatasetSpec
    request: Request
    cache: Path

    def data(self) -> ImageData:
        try:
            return self._split(self._entry())
        except BadInput as error:
            if self.request.dataset in str(error):
                raise
            raise type(error)(f"dataset={self.request.dataset!r}: {error}") from error

    @functools.cached_property
    def _records(self) -> Records:
        return read_records(self.spec, self.request)

    @functools.cached_property
    def _identity(self) -> Identity:
        """Recalled by the signature of the files, or read from all of them."""
        found = caches.recall(self.cache, self._signature())
        if found is not None:
            return found
        records = self._records  # may download, so that there is a signature now
        known = self._signature()

        def read() -> Identity:
            identity = identify(records, self._progress("read images"))
            caches.remember(self.cache, known, identity)
            return identity

        name, recall = known or "unknown", lambda: caches.recall(self.cache, known)
        return caches.found_or_made(self.cache, name, recall, read)

    def _signature(self) -> str | None:
        files = self.spec.files
        return None if files is None else signature(self.request.dataset, files(self.request))

    def _progress(self, label: str) -> Callable[[int, int], None]:
        return functools.partial(self.request.progress, label)

    @functools.cached_property
    def _scaling(self) -> tuple[WhiteLevels, list[str]]:
        """White levels by the training split, and notes on them; images are read once."""
        if not self._identity.wide:
            return OWN_LEVELS, []
        path = caches.survey_path(self.cache, self._identity)
        found = caches.found_or_made(
            self.cache,
            self._identity.fingerprint,
            lambda: surveys.kept(path),
            lambda: surveys.survey(self._records, self._progress("read pixels"), path),
        )
        indices = self._indices(found.labels, found.parts)
        whites = surveys.white_levels(found, indices.train)
        return whites, surveys.scale_notes(found, indices, whites)

    def _indices(self, labels: np.ndarray, parts: np.ndarray) -> SplitIndices:
        share, seed = self.config.validation_fraction, self.config.split_seed
        return split(labels, parts, validation_fraction=share, seed=seed)

    @functools.cached_property
    def _size(self) -> int:
        return self.config.image_size or self._identity.native_size

    @functools.cached_property
    def _records_at_size(self) -> Records:
        return self._records.at(self._size)

    def _entry(self) -> Entry:
        """Opened where it is whole, built where it is not."""
        identity, size, whites = self._identity, self._size, self._scaling[0]
        folder = caches.entry_folder(self.cache, identity, size, whites)

        def find() -> Entry | None:
            entry = caches.open_entry(folder)
            if entry is not None and entry.images is None and self._fits(len(entry.labels)):
                return None  # it was streamed and can be kept now
            return entry

        def build() -> Entry:
            records = self._records_at_size
            keep, advance = self._fits(len(records.images)), self._progress("decode images")
            build_entry(folder, records, identity, size, whites, keep=keep, advance=advance)
            entry = caches.open_entry(folder)
            if entry is None:
                raise BadInput(f"{folder} cannot be read back; give another --cache-dir.")
            return entry

        return caches.found_or_made(self.cache, folder.name, find, build)

    def _fits(self, count: int) -> bool:
        """Whether the budget allows to keep so many decoded images."""
        pixels = count * self._identity.channels * self._size**2
        return pixels <= caches.budget_bytes(self.cache)

    def _split(self, entry: Entry) -> ImageData:
        whites, scaled = self._scaling
        indices = self._indices(entry.labels, entry.parts)
        check_classes(entry.labels, indices, entry.classes)
        check_training_images(entry, indices.train, " ".join(scaled))
        notes = (*constant_notes(entry, indices), *shared_notes(entry, indices))
        mean, std = _mean_std(entry, indices.train)
        count, seed = self.config.limit_train, self.config.split_seed
        limited = limit(entry.labels, indices.train, count, seed)
        store: ImageStore
        if entry.images is not None:
            store = MappedStore(entry.images)
        else:
            store = StreamingStore(self._records_at_size, entry, whites)
        parts = indices._replace(train=limited)
        train, val, test = (Split(store, entry.labels[part], part) for part in parts)
        return ImageData(
            name=self.config.dataset, classes=entry.classes, flip=self.spec.flip,
            fingerprint=self._identity.fingerprint, train=train, val=val, test=test,
            mean=mean, std=std, white_levels=whites, notes=(*scaled, *entry.notes, *notes),
        )  # fmt: skip


def _mean_std(entry: Entry, train: np.ndarray) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Per channel, of pixels in [0, 1], over all pixels of the images `train`."""
    pixels = len(train) * entry.size**2
    mean = entry.sums[train].sum(axis=0) / pixels
    variance = entry.squares[train].sum(axis=0) / pixels - mean**2
    std = np.maximum(np.sqrt(np.maximum(variance, 0)), 1)  # 1 grey level, for constant images
    return tuple((mean / 255).tolist()), tuple((std / 255).tolist())
