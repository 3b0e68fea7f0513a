"""Folders of images, listed without hidden names, loops of links and files that are no images.

Only links and files whose inode occurs twice are asked for their status; no file is opened, but
for a few whose names do not say whether they are images.
"""

import os
import warnings
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image

from tl_core.datasets.readers.left_aside import LeftAside
from tl_core.errors import BadInput
from tl_core.machine.user_path import printable

_HIDDEN = {
    "thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r", "__macosx", "@eadir", "@tmp",
    "@recycle", "@recently-snapshot", "@__thumb", "#recycle", "#snapshot", "lost+found",
    "$recycle.bin", "system volume information", "__pycache__", "thumbnail", "thumbnails",
    "thumbs", "_thumbs", "_thumb", "_thumbnails", "_thumbnail",
}  # fmt: skip
"""Files and folders that file managers, notebooks and storage devices make, in lower case."""
_UNDECODED = {"BUFR", "GRIB", "HDF5", "MPEG", "PDF"}
"""Formats that Pillow recognizes by name and cannot decode."""
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
        root: the folder.
        aside: what was left out, by reason.
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
            if is_hidden(entry.name):
                self._count_hidden(entry)
            elif _holds(entry.is_dir):
                sub = _sub_folder(folder, entry)
                if any(_is_below(real, sub.within[-1]) for real in folder.within):
                    self.leave("links to a folder above them", entry.path)
                    continue
                self._note_link(entry)
                found.folders.append(sub)
            elif _holds(entry.is_file):
                self._note_link(entry)
                found.files.append(_file(entry))
            else:
                kind = "broken links" if entry.is_symlink() else "special files, such as pipes"
                self.leave(kind, entry.path)
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
                self.leave("links to a folder that is read already", where.path)
                return
            seen.add(where.within[-1])
            listing = self.inside(where)
            files.extend(f._replace(linked=True) if linked else f for f in listing.files)
            for sub in listing.folders:
                folders.append(sub)
                visit(sub, linked or os.path.islink(sub.path))

        visit(folder, os.path.islink(folder.path))
        files.sort()
        return files, folders

    def peek(self, folder: Folder) -> Listing:
        """As `inside`, but nothing of it is counted as left aside or as a link in use."""
        return Tree(self.root.path).inside(folder)

    def leave_folder(self, folder: Folder, why: str) -> None:
        """Count every file below a folder as not used."""
        files, _ = Tree(self.root.path).below(folder)
        self.leave_files(f"files in {folder.name}/, {why}", files)

    def images_among(self, files: list[File]) -> list[File]:
        """Those that are images by their suffix; the others are put aside.

        A suffix is one of images if Pillow decodes its format, or if one of the first few files
        that have it, or have none, is an image.
        """
        by_suffix: defaultdict[str, list[File]] = defaultdict(list)
        for file in files:
            by_suffix[_suffix(file)].append(file)
        kept = image_suffixes()
        for suffix, group in by_suffix.items():
            if suffix in kept:
                continue
            if any(_is_image(file.path) for file in group[:_LOOKED_AT]):
                kept |= {suffix}
                continue
            what = f"files that are no images by their suffix {suffix}"
            self.leave_files(what if suffix else "files without a suffix", group)
        return [file for file in files if _suffix(file) in kept]

    def each_once(self, files: list[File], places: Sequence[object], where: str) -> list[int]:
        """Positions of one name for each real file: where it lies, rather than a link.

        Args:
            files: found below the root.
            places: of each file, such as its split; all names of one file must have the same.
            where: what the places are, for the message.

        Raises:
            BadInput: a file is in two places.
        """
        further: set[int] = set()
        for group in _same_files(files):
            one, *others = sorted(group, key=lambda at: (files[at].linked, at))
            for other in others:
                name = self.relative(files[other].path)
                if places[one] != places[other]:
                    raise BadInput(
                        f"{self.relative(files[one].path)} and {name} are one file (a link), in"
                        f" two {where}; remove one of them."
                    )
                self.aside.add("further names of files that are used", name)
            further |= set(others)
        return [at for at in range(len(files)) if at not in further]

    def relative(self, path: str) -> str:
        """The path below the root, as text that can be printed."""
        name = os.fsencode(os.path.relpath(path, self.root.path)).decode(errors="replace")
        return printable(name)

    def leave(self, reason: str, path: str) -> None:
        """Count one path as not used."""
        self.aside.add(reason, self.relative(path))

    def leave_files(self, reason: str, files: list[File]) -> None:
        """Count files as not used; the first is the example."""
        if files:
            self.aside.add(reason, self.relative(files[0].path), len(files))

    def _count_hidden(self, entry: "os.DirEntry[str]") -> None:
        """Count a hidden name unless it is an empty folder."""
        if not (_holds(entry.is_dir) and _is_empty(entry.path)):
            self.leave("hidden or thumbnail names", entry.path)

    def _note_link(self, entry: "os.DirEntry[str]") -> None:
        if entry.is_symlink():
            self.links.append(os.path.join(os.path.dirname(entry.path), os.readlink(entry.path)))


def is_hidden(name: str) -> bool:
    """Whether a name is hidden, or one that file managers and notebooks make for themselves."""
    return name.startswith(".") or name.lower() in _HIDDEN


def image_suffixes() -> frozenset[str]:
    """Suffixes, in lower case, of formats that Pillow decodes."""
    known = Image.registered_extensions()
    return frozenset(suffix for suffix, form in known.items() if form not in _UNDECODED)


def _suffix(file: File) -> str:
    return os.path.splitext(file.path)[1].lower()


def _same_files(files: list[File]) -> list[list[int]]:
    """Positions of files that are one file under several names, two or more in each list."""
    inodes = np.fromiter((file.inode for file in files), dtype=np.uint64, count=len(files))
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


def _is_empty(folder: str) -> bool:
    try:
        with os.scandir(folder) as entries:
            return next(entries, None) is None
    except OSError:
        return False


def _sub_folder(folder: Folder, entry: "os.DirEntry[str]") -> Folder:
    linked = entry.is_symlink()
    real = os.path.realpath(entry.path) if linked else f"{folder.within[-1]}/{entry.name}"
    return Folder(entry.path, (*folder.within, real))


def _is_below(path: str, folder: str) -> bool:
    """Whether a real path is in a folder or the folder itself."""
    return path == folder or path.startswith(f"{folder.rstrip('/')}/")


def _file(entry: "os.DirEntry[str]") -> File:
    linked = entry.is_symlink()
    return File(entry.path, entry.stat().st_ino if linked else entry.inode(), linked)


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
