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
from tl_core.errors import BadInput
from tl_core.machine.cache_folder import cache_folder
from tl_core.machine.user_path import expanded

KEPT = 8
"""Data sets that a process remembers; each holds its labels and indices, no pixels."""
_LOADED: dict[tuple[object, ...], ImageData] = {}


@dataclass(frozen=True)
class _Scale:
    """How images of more than 8 bits become 8."""

    whites: WhiteLevels = OWN_LEVELS
    notes: tuple[str, ...] = ()


def load_data(config: TrainConfig, *, progress: Progress | None = None) -> ImageData:
    """The data set that `config` names, split, its images mapped or streamed.

    The first call on a machine decodes into the cache folder; later ones map what is there. A
    process remembers its last data sets, and does not look again whether their files changed.

    Args:
        config: its data fields are used.
        progress: called as progress(label, done, total) while images are read and decoded.

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
    data = _LOADED.pop(key, None) or _load(spec, request, config, cache)
    _LOADED[key] = data
    while len(_LOADED) > KEPT:
        del _LOADED[next(iter(_LOADED))]
    return data


def check_dataset(config: TrainConfig) -> None:
    """Raise BadInput where `config.dataset` names no row or a path that does not exist; cheap."""
    find_row(config.dataset)


def on_disk(config: TrainConfig) -> bool:
    """Whether `load_data` needs no network.

    Raises:
        BadInput: the data set is unknown, or a folder or Parquet path does not hold one.
    """
    spec, request = resolve(config, None)
    return spec.files is None or all(path.exists() for path in spec.files(request))


def resolve(config: TrainConfig, progress: Progress | None) -> tuple[DatasetSpec, Request]:
    """The row of a config's data set, and what its functions are told.

    Raises:
        BadInput: `config.dataset` names no row, or a path that does not exist.
    """
    spec, path = find_row(config.dataset)
    if config.data_dir is None:
        data_dir = cache_folder(config.cache_dir) / "downloads"
    else:
        data_dir = expanded(config.data_dir).absolute()
    silent: Progress = lambda label, done, total: None  # noqa: E731
    return spec, Request(config.dataset, path, data_dir, progress or silent)


def _load(spec: DatasetSpec, request: Request, config: TrainConfig, cache: Path) -> ImageData:
    try:
        read = functools.cache(lambda: spec.read(request))
        identity = _identity(spec, request, cache, read)
        scale = _scale(request, config, cache, identity, read)
        size = config.image_size or identity.native_size
        read_at_size = functools.cache(lambda: read().at(size))
        entry = _entry(request, cache, identity, size, scale.whites, read_at_size)
        store: ImageStore
        if entry.images is not None:
            store = MappedStore(entry.images)
        else:
            store = StreamingStore(
                read_at_size(), entry.positions, entry.channels, entry.size, scale.whites
            )
        return _split(config, spec, identity, entry, store, scale)
    except BadInput as error:
        if request.dataset in str(error):
            raise
        raise type(error)(f"dataset={request.dataset!r}: {error}") from error


def _identity(
    spec: DatasetSpec, request: Request, cache: Path, read: Callable[[], Records]
) -> Identity:
    """Recalled by the signature of the files, or read from all of them."""
    known = _signature(spec, request)
    found = caches.recall(cache, known) if known else None
    if found:
        return found
    records = read()  # may download, so that there is a signature now
    known = _signature(spec, request)
    with caches.locked(cache, known or "unknown"):
        found = caches.recall(cache, known) if known else None
        if found is None:
            found = identify(records, functools.partial(request.progress, "read images"))
            if known:
                caches.remember(cache, known, found)
    return found


def _signature(spec: DatasetSpec, request: Request) -> str | None:
    return None if spec.files is None else signature(request.dataset, spec.files(request))


def _scale(
    request: Request,
    config: TrainConfig,
    cache: Path,
    identity: Identity,
    read: Callable[[], Records],
) -> _Scale:
    """White levels by the training split; its images are looked at once per data set."""
    if not identity.wide:
        return _Scale()
    path = caches.survey_path(cache, identity)
    found = surveys.kept(path)
    if found is None:
        with caches.locked(cache, identity.fingerprint):
            found = surveys.kept(path)
            if found is None:
                advance = functools.partial(request.progress, "read pixels")
                found = surveys.survey(read(), advance)
                surveys.keep(found, path)
    indices = _indices(config, found.labels, found.parts)
    whites = surveys.white_levels(found, indices.train)
    return _Scale(whites, tuple(surveys.scale_notes(found, indices, whites)))


def _indices(config: TrainConfig, labels: np.ndarray, parts: np.ndarray) -> SplitIndices:
    return split(
        labels, parts, validation_fraction=config.validation_fraction, seed=config.split_seed
    )


def _entry(
    request: Request,
    cache: Path,
    identity: Identity,
    size: int,
    whites: WhiteLevels,
    read: Callable[[], Records],
) -> Entry:
    """Opened where it is whole, built where it is not."""
    folder = caches.entry_folder(cache, identity, size, whites)
    entry = _open_if_right(folder, cache)
    if entry is not None:
        return entry
    records = read()
    with caches.locked(cache, folder.name):
        entry = _open_if_right(folder, cache)
        if entry is not None:
            return entry
        decoded_bytes = len(records.images) * identity.channels * size * size
        keep = decoded_bytes <= caches.budget_bytes(cache)
        advance = functools.partial(request.progress, "decode images")
        build_entry(folder, records, identity, size, whites, keep=keep, advance=advance)
        entry = caches.open_entry(folder)
    if entry is None:
        raise BadInput(f"{folder} cannot be read back; give another --cache-dir.")
    return entry


def _open_if_right(folder: Path, cache: Path) -> Entry | None:
    """The entry, unless it is streamed and what it would take to map it fits the budget now."""
    entry = caches.open_entry(folder)
    if entry is None or entry.images is not None:
        return entry
    decoded_bytes = len(entry.labels) * entry.channels * entry.size**2
    return None if decoded_bytes <= caches.budget_bytes(cache) else entry


def _split(
    config: TrainConfig,
    spec: DatasetSpec,
    identity: Identity,
    entry: Entry,
    store: ImageStore,
    scale: _Scale,
) -> ImageData:
    labels = entry.labels
    indices = _indices(config, labels, entry.parts)
    check_classes(labels, indices, entry.classes)
    check_training_images(entry, indices.train, " ".join(scale.notes))
    mean, std = _mean_std(entry, indices.train)
    train = limit(labels, indices.train, config.limit_train, config.split_seed)
    return ImageData(
        name=config.dataset,
        classes=entry.classes,
        flip=spec.flip,
        fingerprint=identity.fingerprint,
        train=Split(store, labels[train], train),
        val=Split(store, labels[indices.val], indices.val),
        test=Split(store, labels[indices.test], indices.test),
        mean=mean,
        std=std,
        white_levels=scale.whites,
        notes=(
            *scale.notes,
            *entry.notes,
            *constant_notes(entry, indices),
            *shared_notes(entry, indices),
        ),
    )


def _mean_std(entry: Entry, train: np.ndarray) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Per channel, of pixels in [0, 1], over all pixels of the images `train`."""
    pixels = len(train) * entry.size**2
    mean = entry.sums[train].sum(axis=0) / pixels
    variance = entry.squares[train].sum(axis=0) / pixels - mean**2
    std = np.maximum(np.sqrt(np.maximum(variance, 0)), 1)  # 1 grey level, for constant images
    return tuple((mean / 255).tolist()), tuple((std / 255).tolist())
