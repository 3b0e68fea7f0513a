"""Which folders of a `folder:PATH` are splits, which are classes, and which are neither."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

from tl_core.datasets.readers.split_names import PART_NAMES, part_of, parts_in, without_split
from tl_core.datasets.readers.tree import Folder, Tree
from tl_core.datasets.records import TRAIN
from tl_core.errors import BadInput
from tl_core.machine.user_path import expanded

_NUMBER = re.compile(r"[\d\W_]+")
_NUMBERED = {
    "fold", "kfold", "cv", "split", "part", "partition", "batch", "chunk", "shard", "subset",
}  # fmt: skip
"""Words that stand before the numbers of a data set's parts."""
_WAY_OUT = "put images into train/CLASS/, val/CLASS/ and test/CLASS/, or rename what is a class."


@dataclass(frozen=True)
class Layout:
    """Where the class folders are."""

    splits: Mapping[int, Folder]
    """TRAIN, VAL or TEST → the folder of its class folders; without splits TRAIN → the root."""
    class_folders: list[tuple[int, Folder]]
    """(part, class folder): by part, then by name."""
    is_split: bool


def find_layout(tree: Tree) -> Layout:
    """Find the splits by their names, and the class folders in each.

    Puts aside what lies beside the splits and beside the class folders.

    Raises:
        BadInput: there are no class folders, or a folder may mean two things.
    """
    top, loose = tree.inside(tree.root)
    if not top:
        what = "no class folders" if loose else "nothing in it"
        raise BadInput(
            f"{tree.root.path} has {what}; put each class's images into a folder of its name, "
            "or such folders into train, val and test."
        )
    named = {folder: part for folder in top if (part := part_of(folder.name)) is not None}
    whole = {folder: part for folder, part in named.items() if tree.peek(folder).folders}
    if whole:
        splits = _one_for_each(tree, whole)
        class_folders = _split_classes(tree, splits)
        _check_beside(tree, splits, top, {folder.name for _, folder in class_folders})
    else:
        splits = {TRAIN: tree.root}
        _check_no_splits(tree, top, named)
        class_folders = [(TRAIN, folder) for folder in top]
    _check_same_inside(tree, [folder for part, folder in class_folders if part == TRAIN])
    for _, folder in class_folders:
        expanded(folder.path)  # refuses a name that is no UTF-8 text, which no table could hold
    tree.leave(f"files beside the {'splits' if whole else 'class folders'}", *loose)
    return Layout(splits, class_folders, bool(whole))


def _one_for_each(tree: Tree, named: dict[Folder, int]) -> dict[int, Folder]:
    """The folder of each split, in the order train, val, test."""
    found: dict[int, Folder] = {}
    for folder, part in named.items():
        first = found.setdefault(part, folder)
        if first.within[-1] != folder.within[-1]:
            both = f"{first.name}/ and {folder.name}/, both names of the {PART_NAMES[part]} split"
            raise BadInput(f"{tree.root.path} has {both}; join, rename or remove one.")
    if TRAIN not in found:
        there = " and ".join(f"{folder.name}/" for folder in found.values())
        what = f"{there} but no train/ with class folders"
        raise BadInput(f"{tree.root.path} has {what}; add it, or rename what is no split.")
    return dict(sorted(found.items()))


def _split_classes(tree: Tree, splits: dict[int, Folder]) -> list[tuple[int, Folder]]:
    found = []
    for part, folder in splits.items():
        classes, loose = tree.inside(folder)
        found += [(part, path) for path in classes]
        tree.leave(f"files beside the class folders of {folder.name}/", *loose)
    return found


def _check_beside(
    tree: Tree, splits: dict[int, Folder], top: list[Folder], classes: set[str]
) -> None:
    """Put aside the folders beside the splits, unless they may be splits themselves."""
    used = {folder.within[-1] for folder in splits.values()}
    for folder in top:
        if folder.within[-1] in used:
            if folder not in splits.values():
                tree.leave("links to a split that is read already", folder)
            continue
        sub_folders = {sub.name for sub in tree.peek(folder).folders}
        if part_of(folder.name) is not None or (parts_in(folder.name) and sub_folders & classes):
            has = "class folders" if sub_folders else "no class folders"
            raise BadInput(
                f"{folder.path} looks like a split and has {has}, beside "
                f"{splits[TRAIN].name}/: call it train, val or test and put its images into "
                "class folders, or move it elsewhere."
            )
        if folder.name in classes:
            what = f"is named like a class of {splits[TRAIN].name}/ and lies beside it"
            raise BadInput(f"{folder.path} {what}; put it into a split or move it elsewhere.")
        files, _ = Tree(tree.root.path).below(folder)
        tree.leave(f"files in {folder.name}/, which is no split", *files)


def _check_no_splits(tree: Tree, top: list[Folder], named: dict[Folder, int]) -> None:
    """Refuse class folders that may be splits; `train` beside others is a class of trains."""
    others = len(top) - len(named)
    trains = others and [folder.name.lower() for folder in named] == ["train"]
    if named and not trains and (others != 1 or len(set(named.values())) > 1):
        there = " and ".join(f"{folder.name}/" for folder in named)
        what = f"{there} in {tree.root.path}: a name of splits, and no class folders inside"
        raise BadInput(f"{what}; {_WAY_OUT}")
    for one, other in combinations([folder for folder in top if parts_in(folder.name)], 2):
        alike = without_split(one.name) == without_split(other.name)
        if alike and parts_in(one.name) != parts_in(other.name):
            both = f"{one.name}/ and {other.name}/ in {tree.root.path}"
            raise BadInput(f"{both} look like splits; {_WAY_OUT}")


def _check_same_inside(tree: Tree, classes: list[Folder]) -> None:
    """Refuse folders such as `fold_1` and `fold_2` with the same class folders inside.

    Under other names, sub-folders that all of them have give a note.
    """
    inside = {folder.name: {sub.name for sub in tree.peek(folder).folders} for folder in classes}
    inside = {name: own for name, own in inside.items() if own}
    same = sorted(set.intersection(*inside.values())) if len(inside) > 1 else []
    if len(same) < 2 or any(part_of(name) is not None for name in same):
        return
    names, below = ", ".join(list(inside)[:3]), ", ".join(same[:3])
    if {_NUMBER.sub("", name.lower()) for name in inside} <= _NUMBERED:
        what = f"{names} look like parts of one data set with the classes {below}"
        raise BadInput(f"{tree.root.path}: {what}; {_WAY_OUT}")
    tree.notes.append(
        f"{names} are classes, though each has the folders {below}: if those are the classes, "
        "put them into train, val and test"
    )
