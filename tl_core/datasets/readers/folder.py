"""`folder:PATH`: image files in class folders, split by folders or not.

    PATH/train/cat/*.jpg  PATH/val/cat/*.jpg  PATH/test/cat/*.jpg      val, test or both may lack
    PATH/cat/*.jpg  PATH/dog/*.jpg                                      no split of its own

Split folders go by their usual names (`split_names`), a class folder is read with all its
sub-folders, and hidden and thumbnail names are left aside. Each real file is one image, whatever
links or hard links lead to it; one that two classes or two splits reach is refused.
"""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tl_core.datasets.images.unreadable import MOST_BYTES
from tl_core.datasets.readers.class_names import hint
from tl_core.datasets.readers.folder_layout import Layout, find_layout
from tl_core.datasets.readers.split_names import PART_NAMES, part_of
from tl_core.datasets.readers.tree import File, Folder, Tree
from tl_core.datasets.records import TRAIN, Contents, Records, Request
from tl_core.errors import BadInput
from tl_core.machine.plain_file import read_plain


class FileImages:
    """Image files, read when asked for; empty bytes for one that cannot be read."""

    def __init__(self, paths: list[str]) -> None:
        self._paths = paths

    def __len__(self) -> int:
        return len(self._paths)

    def __getitem__(self, index: int, /) -> bytes:
        try:
            return read_plain(self._paths[index], MOST_BYTES)
        except OSError:
            return b""


@dataclass(frozen=True)
class _Found:
    """The image files of a folder, in the order of `read`."""

    tree: Tree
    layout: Layout
    classes: tuple[str, ...]
    files: list[File]
    places: list[tuple[int, int]]
    """(part, label) of each."""


def read(request: Request) -> Records:
    """All image files with the labels and splits that their folders give.

    Raises:
        BadInput: there are no class folders, fewer than two, an empty one, or one in val or test
            that train lacks; a folder may be a split or a class; a file has two labels or splits.
    """
    found = _find(request)
    files, tree = found.files, found.tree
    parts, labels = np.array(found.places).T
    return Records(
        images=FileImages([file.path for file in files]),
        labels=labels,
        classes=found.classes,
        parts=parts if found.layout.is_split else None,
        name=lambda index: tree.relative(files[index].path),
    )


def files(request: Request) -> list[Path]:
    """Every image file, in the order of `read`, and then the targets of links.

    A link may be turned to another file of the same size and times: its target then differs.
    """
    found = _find(request)
    return [Path(path) for path in (*(file.path for file in found.files), *found.tree.links)]


def contents(request: Request) -> Contents:
    """Splits, classes and counts, and what is left aside; raises BadInput as `read`."""
    found = _find(request)
    images = Counter(found.places)
    counts = {
        part: {name: images[part, label] for label, name in enumerate(found.classes)}
        for part in sorted({part for part, _ in images})
    }
    splits = found.layout.splits if found.layout.is_split else {}
    sources = {part: f"{folder.name}/" for part, folder in splits.items()}
    return Contents(counts, sources, found.tree.aside.lines(), tuple(found.tree.notes))


def _find(request: Request) -> _Found:
    assert request.path is not None
    if not request.path.is_dir():
        raise BadInput(f"{request.path} is a file; give the folder that holds the class folders.")
    tree = Tree(str(request.path))
    layout = find_layout(tree)
    classes = _classes(tree, layout)
    images: list[File] = []
    places: list[tuple[int, int]] = []
    for part, folder in layout.class_folders:
        own = _images_of(tree, folder, needed=part == TRAIN)
        images += own
        places += [(part, classes.index(folder.name))] * len(own)
    for part, folder in layout.splits.items():
        if all(part != other for other, _ in places):
            raise BadInput(f"{folder.path} has class folders and no image; add some or remove it.")
    kept = tree.each_once(images, places, "classes or splits")
    return _Found(tree, layout, classes, [images[at] for at in kept], [places[at] for at in kept])


def _classes(tree: Tree, layout: Layout) -> tuple[str, ...]:
    """The class folders of train, sorted; those of val and test are among them."""
    train = layout.splits[TRAIN].path
    trained = [folder for part, folder in layout.class_folders if part == TRAIN]
    names = tuple(sorted({folder.name for folder in trained}))
    if len(names) < 2:
        text = f"{train} has one class folder ({trained[0].name}) and needs two"
        raise BadInput(f"{text}{_ways_out(tree, layout, trained[0])}.")
    for _, folder in layout.class_folders:
        if folder.name not in names:
            lacks = f"{train} lacks{hint(folder.name, names)}"
            raise BadInput(f"{folder.path} is a class that {lacks}; add or remove it.")
    return names


def _ways_out(tree: Tree, layout: Layout, only: Folder) -> str:
    """What to do where there is one class folder, by the folders in it."""
    deeper = ", ".join(sub.name for sub in tree.inside(only).folders[:3])
    if not deeper:
        return ""
    if layout.is_split:
        return f": move what is in it ({deeper}, …) up, in every split"
    return f": if its folders ({deeper}, …) are splits or classes, give folder:{only.path}"


def _images_of(tree: Tree, folder: Folder, *, needed: bool) -> list[File]:
    files, folders = tree.below(folder)
    for sub in folders:
        part = part_of(sub.name)
        if part not in (None, TRAIN):
            raise BadInput(
                f"{sub.path} looks like the {PART_NAMES[part]} split of a class alone; put "
                f"{sub.name}/{folder.name}/ in place of {folder.name}/{sub.name}/, give "
                f"folder:{folder.path} if the classes are below it, or rename {sub.name}."
            )
    images = tree.images_among(files)
    if needed and not images:
        why = f"has no image among its {len(files)} files" if files else "is empty"
        raise BadInput(f"The class folder {folder.path} {why}; add images or remove it.")
    return images
