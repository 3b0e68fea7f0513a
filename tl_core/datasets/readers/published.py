"""Published data sets: read from the files that torchvision downloads, or downloaded first.

torchvision's classes check the files' md5 and show the progress of downloads.
"""

import functools
import socket
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from pickle import PickleError
from typing import Any

from filelock import FileLock

from tl_core.datasets.readers.idx import or_packed
from tl_core.datasets.records import DatasetSpec, Records, Request
from tl_core.errors import BadInput, first_line
from tl_core.machine.network import reachable

STALL_SECONDS = 30.0
"""A download that receives nothing for so long has failed."""
_DAMAGE = (OSError, RuntimeError, ValueError, EOFError, LookupError, zlib.error, PickleError)


class DownloadFailed(BadInput):
    """A data set is not on disk and cannot be downloaded; says where to put its files."""


@dataclass(frozen=True, kw_only=True)
class Published:
    """Where one data set lies under the data folder, how it is read and downloaded."""

    name: str
    """Of its class in torchvision.datasets."""
    files: tuple[str, ...]
    """What `parse` reads, relative to the data folder, all in one folder."""
    packed: bool = False
    """Whether `parse` reads NAME.gz as well."""
    classes: tuple[str, ...] = ()
    """Empty: the files name them."""
    parse: Callable[["Published", Path], Records]
    """Of (this, data folder); raises one of `_DAMAGE` where files are absent or damaged."""
    downloads: tuple[str, ...] = ("train", "test")
    """Parts that torchvision downloads one by one, into the data folder."""
    urls: Callable[[Any], list[str]] = lambda torchvision_class: [torchvision_class.url]
    """Where it downloads from; one must answer."""
    archive: str | None = None
    """The single file that it downloads, relative to the data folder, if it is one."""

    def part(self, root: Path, part: str, *, download: bool = False) -> Any:
        """torchvision's train or test part, or EMNIST's letters."""
        by_split = self.name in ("SVHN", "STL10", "EMNIST")
        options = {"split": part} if by_split else {"train": part == "train"}
        return _torchvision(self.name)(root, **options, download=download)


def row(published: Published, *, about: str, flip: bool = True) -> DatasetSpec:
    """The row of `DATASETS` for a published data set."""
    read, files = functools.partial(_read, published), functools.partial(_files, published)
    return DatasetSpec(read=read, files=files, about=about, flip=flip)


def _torchvision(name: str) -> Any:
    """A class of torchvision.datasets, imported on first use."""
    from torchvision import datasets

    if name != "STL10":
        return getattr(datasets, name)

    class LabelledSTL10(datasets.STL10):
        """STL-10 without its 2.6 GB of unlabelled images, which need not be on disk."""

        train_list = datasets.STL10.train_list[:2]

    return LabelledSTL10


def _read(published: Published, request: Request) -> Records:
    """Parse what is there; download what is not."""
    root = request.data_dir
    problem = "not found there"
    if all(path.exists() for path in _members(published, root)):
        try:
            return published.parse(published, root)
        except _DAMAGE as error:
            problem = f"incomplete or damaged: {first_line(error).rstrip(': ')}"
    try:
        _download(published, root)
        return published.parse(published, root)
    except _DAMAGE as error:
        problem = f"{problem}; download: {first_line(error).rstrip(': ')}"
        raise DownloadFailed(_what_to_do(published, request.dataset, root, problem)) from error


def _download(published: Published, root: Path) -> None:
    """Put what is absent into the data folder, one process at a time; unpack an archive there."""
    root.mkdir(parents=True, exist_ok=True)
    ready = published.archive is not None and (root / published.archive).exists()
    if not ready and not reachable(published.urls(_torchvision(published.name))):
        raise OSError("no network")
    before = socket.getdefaulttimeout()
    with FileLock(root / ".download.lock"):
        socket.setdefaulttimeout(STALL_SECONDS)  # torchvision opens its connections without one
        try:
            for part in published.downloads:
                published.part(root, part, download=True)
        finally:
            socket.setdefaulttimeout(before)


def _files(published: Published, request: Request) -> list[Path]:
    """The files that are read, or the archive where it is all there is."""
    members = _members(published, request.data_dir)
    if published.archive and not all(path.exists() for path in members):
        archive = request.data_dir / published.archive
        return [archive] if archive.exists() else members
    return members


def _members(published: Published, root: Path) -> list[Path]:
    paths = [root / name for name in published.files]
    return [or_packed(path) for path in paths] if published.packed else paths


def _what_to_do(published: Published, dataset: str, root: Path, problem: str) -> str:
    names = [Path(name).name for name in published.files]
    listed = ", ".join(names[:4]) + (", …" if len(names) > 4 else "")
    packed = " (or .gz)" if published.packed else ""
    ways = f"put {listed}{packed} into {(root / published.files[0]).parent}"
    if published.archive:
        archive = root / published.archive
        ways += f", or {archive.name} into {archive.parent}"
    return (
        f"{dataset} cannot be read from {root} ({problem}); {ways}, set --data-dir, or use a "
        "bundled data set: digits, shapes."
    )
