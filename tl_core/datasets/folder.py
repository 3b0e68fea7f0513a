"""`folder:PATH`: image files in class folders, split by folders or not.

    PATH/train/cat/*.jpg  PATH/val/cat/*.jpg  PATH/test/cat/*.jpg      val, test or both may lack
    PATH/cat/*.jpg  PATH/dog/*.jpg                                      no split of its own

A class folder is read with all its sub-folders; names that start with a dot are left out.
"""

import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from tl_core.datasets.records import TEST, TRAIN, VAL, Records, Request
from tl_core.errors import BadInput

PART_FOLDERS = {"train": TRAIN, "val": VAL, "validation": VAL, "test": TEST}
_NOT_DATA = {"thumbs.db", "desktop.ini", "__macosx"}


class FileImages:
    """Image files, read when asked for; one that cannot be read is empty, so no image."""

    def __init__(self, paths: list[Path]) -> None:
        self._paths = paths

    def __len__(self) -> int:
        return len(self._paths)

    def __getitem__(self, index: int, /) -> bytes:
        try:
            return self._paths[index].read_bytes()
        except OSError:
            return b""


def read(request: Request) -> Records:
    """All image files with the labels and splits that their folders give.

    Raises:
        BadInput: there are no class folders, fewer than two, an empty one, or one in val or test
            that train lacks.
    """
    root = _root(request)
    found = _class_folders(root)
    classes = tuple(sorted({path.name for part, path in found if part == TRAIN}))
    if len(classes) < 2:
        raise BadInput(
            f"{root} has one class folder ({classes[0]}); a classifier needs 2 or more."
        )
    paths: list[Path] = []
    labels: list[int] = []
    parts: list[int] = []
    for part, folder in found:
        if folder.name not in classes:
            raise BadInput(f"{folder} is a class that {root / 'train'} lacks; add or remove it.")
        files = files_below(folder)
        if not files and part == TRAIN:
            raise BadInput(f"The class folder {folder} is empty; add images or remove it.")
        paths += files
        labels += [classes.index(folder.name)] * len(files)
        parts += [part] * len(files)
    return Records(
        images=FileImages(paths),
        labels=np.array(labels),
        classes=classes,
        parts=np.array(parts) if _is_split(root) else None,
        name=lambda index: str(paths[index].relative_to(root)),
    )


def files(request: Request) -> list[Path]:
    """Every image file, in the order of `read`."""
    return [path for _, folder in _class_folders(_root(request)) for path in files_below(folder)]


def _root(request: Request) -> Path:
    assert request.path is not None
    if not request.path.is_dir():
        raise BadInput(f"{request.path} is a file; give the folder that holds the class folders.")
    return request.path


def _class_folders(root: Path) -> list[tuple[int, Path]]:
    """(part, class folder), sorted; part is TRAIN where the folder is not split."""
    if _is_split(root):
        present = [name for name in PART_FOLDERS if (root / name).is_dir()]
        return [(PART_FOLDERS[n], path) for n in present for path in _sub_folders(root / n)]
    found = [(TRAIN, path) for path in _sub_folders(root)]
    if not found:
        what = "no class folders" if any(root.iterdir()) else "nothing in it"
        raise BadInput(
            f"{root} has {what}; put each class's images into a folder of its name, "
            "or such folders into train, val and test."
        )
    for _, path in found:
        if path.name in PART_FOLDERS and _sub_folders(path):
            raise BadInput(f"{root} has {path.name}/ but no train/ with class folders; add it.")
    return found


def _is_split(root: Path) -> bool:
    """Whether train/ holds class folders: a train/ that holds images is a class of trains."""
    return (root / "train").is_dir() and bool(_sub_folders(root / "train"))


def _sub_folders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir() and _is_data(path.name))


def files_below(folder: Path) -> list[Path]:
    """Every file below a folder, sorted, but hidden ones and those of file managers."""
    paths: list[str] = []
    for where, folders, names in os.walk(folder, followlinks=True):
        folders[:] = _data_names(folders)
        paths += [os.path.join(where, name) for name in _data_names(names)]
    return [Path(path) for path in sorted(paths)]


def _data_names(names: Iterable[str]) -> list[str]:
    return [name for name in names if _is_data(name)]


def _is_data(name: str) -> bool:
    return not name.startswith(".") and name.lower() not in _NOT_DATA
