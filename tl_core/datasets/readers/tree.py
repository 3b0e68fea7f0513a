"""Folders of images, listed without hidden names, loops of links and files that are no images.

Only links and files whose inode occurs twice are asked for their status; no file is opened, but
for a few whose names do not say whether they are images.
"""

import os
import warnings
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import PurePath
from typing import NamedTuple

import numpy as np
from PIL import Image

from tl_core.datasets.images.opened import PROGRAMS
from tl_core.datasets.readers.left_aside import LeftAside
from tl_core.errors import BadInput, printable

_HIDDEN = {
    "thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r", "__macosx", "@eadir", "@tmp",
    "@recycle", "@recently-snapshot", "@__thumb", "#recycle", "#snapshot", "lost+found",
    "$recycle.bin", "system volume information", "__pycache__", "thumbnail", "thumbnails",
    "thumbs", "_thumbs", "_thumb", "_thumbnails", "_thumbnail",
}  # fmt: skip
"""Files and folders that file managers, notebooks and storage devices make, in lower case."""
_UNDECODED = {"BUFR", "GRIB", "HDF5", "MPEG", "PDF", *PROGRAMS}
"""Formats that Pillow recognizes by name and cannot decode, or not without running them."""
_LOOKED_AT = 8
"""Files of an unknown suffix that are looked at before all of them are put aside."""


class File(NamedTuple):
    """A file by the name under which it was found."""

    path: str
    inode: int
    """Of the file that a link leads to."""
    linked: bool
    """Whether it was reached through a link, of its own or of a folder above it."""


class Folder(NamedTuple):
    """A folder by the name under which it was found."""

    path: str
    within: tuple[str, ...]
    """Real paths of the folders on the way to it, from the root, its own the last."""

    @property
    def name(self) -> str:
        """Last part of the path."""
        return os.path.basename(self.path)


class Listing(NamedTuple):
    """One folder's visible content, sorted by name."""

    folders: list[Folder]
    files: list[File]


class Tree:
    """A folder that is listed, and what was met there.

    Attributes:
        links: the first target of every link that is used; it changes where a link does.
        notes: a line each on how the folders were understood.
    """

    def __init__(self, root: str) -> None:
        self.root = Folder(root, (os.path.realpath(root),))
        self.aside = LeftAside()
        self.links: list[str] = []
        self.notes: list[str] = []

    def inside(self, folder: Folder) -> Listing:
        """The visible content of one folder; links to a folder above them are put aside.

        Raises:
            BadInput: the folder cannot be listed.
        """
        found = Listing([], [])
        for entry in _entries(folder.path):
            linked = entry.is_symlink()
            if is_hidden(entry.name):
                if not _is_empty_folder(entry):
                    self.leave("hidden or thumbnail names", entry)
                continue
            if _holds(entry.is_dir):
                real = f"{folder.within[-1]}/{entry.name}"
                if linked:
                    real = os.path.realpath(entry.path)
                    if any(PurePath(above).is_relative_to(real) for above in folder.within):
                        self.leave("links to a folder above them", entry)
                        continue
                found.folders.append(Folder(entry.path, (*folder.within, real)))
            elif _holds(entry.is_file):
                inode = entry.stat().st_ino if linked else entry.inode()
                found.files.append(File(entry.path, inode, linked))
            else:
                self.leave("broken links" if linked else "special files, such as pipes", entry)
                continue
            if linked:
                self.links.append(os.path.join(folder.path, os.readlink(entry.path)))
        return found

    def below(self, folder: Folder) -> tuple[list[File], list[Folder]]:
        """All files below a folder, sorted by path, and its sub-folders, each real one once.

        Raises:
            BadInput: a folder cannot be listed.
        """
        files: list[File] = []
        folders: list[Folder] = []
        seen: set[str] = set()

        def visit(where: Folder, linked: bool) -> None:
            if where.within[-1] in seen:
                self.leave("links to a folder that is read already", where)
                return
            seen.add(where.within[-1])
            listing = self.inside(where)
            files.extend(f._replace(linked=True) if linked else f for f in listing.files)
            for sub in listing.folders:
                folders.append(sub)
                visit(sub, linked or os.path.islink(sub.path))

        visit(folder, os.path.islink(folder.path))
        return sorted(files), folders

    def peek(self, folder: Folder) -> Listing:
        """As `inside`, but nothing of it is counted as left aside or as a link in use."""
        return Tree(self.root.path).inside(folder)

    def images_among(self, files: list[File]) -> list[File]:
        """Those that are images by their suffix; the others are put aside.

        A suffix is one of images if Pillow decodes its format, or if one of the first few files
        that have it, or have none, is an image.
        """
        by_suffix: defaultdict[str, list[File]] = defaultdict(list)
        for file in files:
            by_suffix[_suffix(file)].append(file)
        known = Image.registered_extensions()
        kept = {suffix for suffix, form in known.items() if form not in _UNDECODED}
        for suffix, group in by_suffix.items():
            if suffix in kept:
                continue
            if any(_is_image(file.path) for file in group[:_LOOKED_AT]):
                kept.add(suffix)
                continue
            what = f"files that are no images by their suffix {suffix}"
            self.leave(what if suffix else "files without a suffix", *group)
        return [file for file in files if _suffix(file) in kept]

    def each_once(self, files: list[File], places: Sequence[object], where: str) -> list[int]:
        """Positions of one name for each real file: where it lies, rather than a link.

        All names of a file must be in the same of `places`, such as its split, which `where`
        calls by their plural.

        Raises:
            BadInput: a file is in two places.
        """
        further: set[int] = set()
        for group in _same_files(files):
            one, *others = sorted(group, key=lambda at: (files[at].linked, at))
            for other in others:
                name = self.relative(files[other].path)
                if places[one] != places[other]:
                    both = f"{self.relative(files[one].path)} and {name}"
                    raise BadInput(f"{both} are one file (a link), in two {where}; remove one.")
                self.aside.add("further names of files that are used", name)
            further |= set(others)
        return [at for at in range(len(files)) if at not in further]

    def relative(self, path: str) -> str:
        """The path below the root, as text that can be printed."""
        name = os.fsencode(os.path.relpath(path, self.root.path)).decode(errors="replace")
        return printable(name)

    def leave(self, reason: str, *met: "File | Folder | os.DirEntry[str]") -> None:
        """Count what was met as not used; the first is the example."""
        if met:
            self.aside.add(reason, self.relative(met[0].path), len(met))


def is_hidden(name: str) -> bool:
    """Whether a name is hidden, or one that file managers and notebooks make for themselves."""
    return name.startswith(".") or name.lower() in _HIDDEN


def _suffix(file: File) -> str:
    return os.path.splitext(file.path)[1].lower()


def _same_files(files: list[File]) -> list[list[int]]:
    """Positions of files that are one file under several names, two or more in each list."""
    inodes = np.array([file.inode for file in files], dtype=np.uint64)
    _, group, counts = np.unique(inodes, return_inverse=True, return_counts=True)
    alike: defaultdict[tuple[int, int], list[int]] = defaultdict(list)
    for at in np.flatnonzero(counts[group] > 1).tolist():
        status = os.stat(files[at].path)  # inodes of two devices may be equal
        alike[status.st_dev, status.st_ino].append(at)
    return [positions for positions in alike.values() if len(positions) > 1]


def _entries(folder: str) -> "list[os.DirEntry[str]]":
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        raise BadInput(
            f"{folder} cannot be listed ({error.strerror}); correct its permissions or remove it."
        ) from error


def _is_empty_folder(entry: "os.DirEntry[str]") -> bool:
    return _holds(lambda: entry.is_dir() and not os.listdir(entry.path))


def _holds(ask: Callable[[], bool]) -> bool:
    try:
        return ask()
    except OSError:  # a link to itself
        return False


def _is_image(path: str) -> bool:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(path) as image:
                return image.format not in _UNDECODED
    except Exception:  # Pillow's plugins raise half a dozen kinds for what is no image
        return False
