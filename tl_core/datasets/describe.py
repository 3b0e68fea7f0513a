"""A data set in a few lines: splits, classes, counts, and what is left aside."""

from collections import Counter
from collections.abc import Mapping

import numpy as np

from tl_core.config import TrainConfig
from tl_core.datasets.image_data import ImageData
from tl_core.datasets.load import resolve
from tl_core.datasets.readers.class_names import alike_notes
from tl_core.datasets.readers.split_names import PART_NAMES
from tl_core.datasets.records import TRAIN, Contents
from tl_core.datasets.splits import check_classes, split
from tl_core.errors import printable

_LISTED = 6
"""Most classes that are listed one by one; of more, the smallest and the largest are named."""


def describe_dataset(config: TrainConfig) -> tuple[str, ...]:
    """The files on disk, without reading an image: a line each on a split and what is left aside.

    Nothing where `config.dataset` takes no path. Raises BadInput where it cannot be used as it is.
    """
    contents = _contents(config)
    if contents is None:
        return ()
    _check_splits(config, contents)
    if not contents.sources:
        (counts,) = contents.counts.values()
        first = f"{_images(counts)}: {_classes(counts)}; val and test are held out of them"
        return (first, *_said(contents))
    lines = []
    for part, name in PART_NAMES.items():
        counts = contents.counts.get(part, {})
        found = f"{_images(counts)} in {contents.sources.get(part)}: {_classes(counts)}"
        lines.append(f"{name}: {found if counts else 'held out of train'}")
    return (*lines, *_said(contents))


def describe_data(config: TrainConfig, data: ImageData) -> tuple[str, ...]:
    """The images of each split of `data`, their files, what is left aside, and the notes."""
    splits = {"train": data.train, "val": data.val, "test": data.test}
    labels = np.concatenate([split.labels for split in splits.values()])
    images = np.bincount(labels, minlength=data.num_classes).tolist()
    counts = dict(zip(data.classes, images, strict=True))
    sizes = ", ".join(f"{name} {len(split):,}" for name, split in splits.items())
    used = f"{config.dataset}: {sizes} images: {_classes(counts)}"
    contents = _contents(config)
    if contents is None:
        return (used, *data.notes)
    held_out = [name for part, name in PART_NAMES.items() if part not in contents.counts]
    from_where = [f"{PART_NAMES[part]} from {name}" for part, name in contents.sources.items()]
    from_where += [f"{' and '.join(held_out)} held out of train"] if held_out else []
    return (used, "; ".join(from_where), *_said(contents), *data.notes)


def _check_splits(config: TrainConfig, contents: Contents) -> None:
    """Refuse counts that cannot be split as the config says."""
    classes = tuple(contents.counts[TRAIN])
    at = {name: place for place, name in enumerate(classes)}
    rows = [(at[name], part, n) for part, of in contents.counts.items() for name, n in of.items()]
    label, part, count = np.array(rows).T
    labels, parts = np.repeat(label, count), np.repeat(part, count)
    share, seed = config.validation_fraction, config.split_seed
    check_classes(labels, split(labels, parts, validation_fraction=share, seed=seed), classes)


def _contents(config: TrainConfig) -> Contents | None:
    spec, request = resolve(config, None)
    return None if spec.contents is None else spec.contents(request)


def _said(contents: Contents) -> tuple[str, ...]:
    """Notes on the files: class names alike, how they were understood, what is left aside."""
    aside = (printable(f"left aside: {line}") for line in contents.aside)
    return (*alike_notes(contents.counts[TRAIN]), *contents.notes, *aside)


def _images(counts: Mapping[str, int]) -> str:
    total = sum(counts.values())
    return f"{total:,} image{'' if total == 1 else 's'}"


def _classes(counts: Mapping[str, int]) -> str:
    if len(counts) <= _LISTED:
        return ", ".join(f"{printable(name)} {count:,}" for name, count in counts.items())
    (largest, most), *_, (smallest, fewest) = Counter(counts).most_common()
    if most == fewest:
        return f"{len(counts):,} classes of {most:,} each"
    least, largest = f"{fewest:,} ({printable(smallest)})", f"{most:,} ({printable(largest)})"
    return f"{len(counts):,} classes, from {least} to {largest}"
