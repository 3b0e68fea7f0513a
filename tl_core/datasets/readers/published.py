"""Published data sets: read from the files that torchvision downloads, or downloaded first."""

import functools
import pickle
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tl_core.datasets.readers.download import DownloadFailed, download
from tl_core.datasets.records import DatasetSpec, Records, Request
from tl_core.errors import first_line

_DAMAGE = (
    OSError,
    RuntimeError,
    ValueError,
    EOFError,
    KeyError,
    IndexError,
    zlib.error,
    pickle.PickleError,
)


@dataclass(frozen=True, kw_only=True)
class Published:
    """Where one data set lies under the data folder, how it is read and downloaded."""

    files: tuple[str, ...]
    """What `parse` reads, relative to the data folder, all in one folder."""
    packed: bool = False
    """Whether `parse` reads NAME.gz as well."""
    parse: Callable[[Path], Records]
    """Data folder → records; raises one of `_DAMAGE` where files are absent or damaged."""
    fetch: Callable[[Path], object]
    """Downloads into the data folder what is not there yet, and unpacks it."""
    urls: Callable[[], list[str]]
    """Where `fetch` downloads from; one must answer."""
    archive: str | None = None
    """The single file that `fetch` downloads, relative to the data folder, if it is one."""
    archive_md5: Callable[[], str] = str


def row(published: Published, *, about: str, flip: bool = True) -> DatasetSpec:
    """The row of `DATASETS` for a published data set."""
    return DatasetSpec(
        read=functools.partial(_read, published),
        files=functools.partial(_files, published),
        about=about,
        flip=flip,
    )


def _read(published: Published, request: Request) -> Records:
    """Parse what is there; download what is not."""
    root = request.data_dir
    problem = "not found there"
    if all(path.exists() for path in _members(published, root)):
        try:
            return published.parse(root)
        except _DAMAGE as error:
            problem = f"incomplete or damaged: {first_line(error).rstrip(': ')}"
    try:
        fetch = functools.partial(published.fetch, root)
        download(root, published.urls(), fetch, ready=_archive_is_whole(published, root))
        return published.parse(root)
    except _DAMAGE as error:
        problem = f"{problem}; download: {first_line(error).rstrip(': ')}"
        raise DownloadFailed(_what_to_do(published, request.dataset, root, problem)) from error


def _files(published: Published, request: Request) -> list[Path]:
    """The files that are read, or the archive where it is all there is."""
    members = _members(published, request.data_dir)
    if published.archive and not all(path.exists() for path in members):
        archive = request.data_dir / published.archive
        return [archive] if archive.exists() else members
    return members


def _members(published: Published, root: Path) -> list[Path]:
    plain = [root / name for name in published.files]
    if not published.packed:
        return plain
    packed = [path.with_name(path.name + ".gz") for path in plain]
    return [g if g.exists() and not p.exists() else p for p, g in zip(plain, packed, strict=True)]


def _archive_is_whole(published: Published, root: Path) -> bool:
    if published.archive is None or not (root / published.archive).exists():
        return False
    from torchvision.datasets.utils import check_integrity

    return bool(check_integrity(root / published.archive, published.archive_md5()))


def _what_to_do(published: Published, dataset: str, root: Path, problem: str) -> str:
    names = [Path(name).name for name in published.files]
    listed = ", ".join(names[:4]) + (", …" if len(names) > 4 else "")
    packed = " (or .gz)" if published.packed else ""
    archive = f", or {Path(published.archive).name} into " if published.archive else ""
    if published.archive:
        archive += str((root / published.archive).parent)
    return (
        f"{dataset} cannot be read from {root} ({problem}); put {listed}{packed} into "
        f"{(root / published.files[0]).parent}{archive}, set --data-dir, or use a bundled "
        "data set: digits, shapes."
    )
