"""Which Parquet files are a data set, and which split each belongs to.

The names of a file and of the folders above it tell its split: `train-00000-of-00002.parquet`,
`data/test.parquet`, `validation/0000.parquet`.
"""

import re
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from tl_core.datasets.readers.left_aside import LeftAside
from tl_core.datasets.readers.split_names import PART_NAMES, parts_in
from tl_core.datasets.readers.tree import Tree
from tl_core.datasets.records import TRAIN
from tl_core.errors import BadInput

_SHARD = re.compile(r"^(.*?)(\d+)-of-(\d+)(?:-[0-9a-f]{16})?((?:\.\w+)?)$")
_VARYING = re.compile(
    r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|\b[0-9a-f]{32}\b|-[0-9a-f]{16}$|\d+|\bof\b|[-_. ]"
)
"""What differs between the shards of one split: numbers, and a writer's random id."""


@dataclass(frozen=True)
class PartFile:
    """One Parquet file."""

    path: Path
    name: str
    """Below the folder that was given."""
    part: int
    """TRAIN where the files tell no split."""


def find_files(root: Path) -> tuple[list[PartFile], list[Path], LeftAside]:
    """The Parquet files of `root`, a file or a folder, by part and then by name, each once.

    Returns:
        The Parquet files, the other files of the folder, and what is left aside of the first.

    Raises:
        BadInput: there is no Parquet file, or none for train; a split has a missing shard or files
            that do not belong together.
    """
    if root.is_file():
        return [PartFile(root, root.name, TRAIN)], [], LeftAside()
    tree = Tree(str(root))
    files, _ = tree.below(tree.root)
    tables = {Path(f.path): f for f in files if f.path.lower().endswith(".parquet")}
    others = sorted({Path(f.path) for f in files} - tables.keys())
    found = _by_part(root, tree, list(tables))
    if not found or found[0].part != TRAIN:
        seen = sorted(tree.relative(str(path)) for path in tables or others)
        there = f"it has {', '.join(seen[:5])}" if seen else "it is empty"
        raise BadInput(
            f"{root} has no train*.parquet ({there}); name its files train*.parquet and "
            "test*.parquet, or give one file."
        )
    own = [tables[file.path]._replace(linked=False) for file in found]  # links count alike
    found = [found[at] for at in tree.each_once(own, [file.part for file in found], "splits")]
    _check_together(root, found)
    return found, others, tree.aside


def _by_part(root: Path, tree: Tree, tables: list[Path]) -> list[PartFile]:
    """By part and then by name; all are TRAIN where no name tells a split."""
    named = [(path, tree.relative(str(path))) for path in tables]
    parts = [_part_of(root, name) for _, name in named]
    told = any(part is not None for part in parts)
    found = []
    for (path, name), part in zip(named, parts, strict=True):
        if told and part is None:
            tree.aside.add("Parquet files of no split", name)
        else:
            found.append(PartFile(path, name, TRAIN if part is None else part))
    return sorted(found, key=lambda file: (file.part, file.name))


def _part_of(root: Path, name: str) -> int | None:
    """The split that the names of a file and of the folders above it tell, if they do."""
    path = Path(name)
    found = set().union(*map(parts_in, (path.stem, *path.parts[:-1])))
    if len(found) > 1:
        several = ", ".join(PART_NAMES[part] for part in sorted(found))
        raise BadInput(f"{root / name} has the names of several splits ({several}); rename it.")
    return found.pop() if found else None


def _check_together(root: Path, found: list[PartFile]) -> None:
    """Refuse files of one split that are not shards of one table, and folders of several sets."""
    firsts: dict[int, PartFile] = {}
    for file in found:
        first = firsts.setdefault(file.part, file)
        if _kind(file) != _kind(first):
            raise BadInput(
                f"{root} has {first.name} and {file.name}, which are not numbered parts of one "
                "table; give one file, or a folder with the files of one data set."
            )
    for file in found:
        if _home(file) != _home(found[0]):
            raise BadInput(
                f"{root} has {found[0].name} and {file.name}, which look like two data sets; give "
                "the folder of one."
            )
    _check_shards(root, found)


def _kind(file: PartFile) -> str:
    """What the names of all shards of a split share, and whether they are numbered."""
    stem = Path(file.name).stem
    numbered = re.search(r"\d", stem) is not None
    return f"{_VARYING.sub('', stem.lower())} {numbered}"


def _home(file: PartFile) -> list[str]:
    """The folders above a file, without those that name splits."""
    return [folder for folder in Path(file.name).parts[:-1] if not parts_in(folder)]


def _check_shards(root: Path, found: list[PartFile]) -> None:
    """Refuse `train-00000-of-00002.parquet` without `train-00001-of-00002.parquet`."""
    numbers: defaultdict[tuple[Path, str, str, str], set[int]] = defaultdict(set)
    for path in (Path(file.name) for file in found):
        if match := _SHARD.match(path.stem):
            stem, number, total, kind = match.groups()
            numbers[path.parent, stem, total, kind].add(int(number))
    for (folder, stem, total, kind), present in numbers.items():
        first = 1 if int(total) in present else 0  # some writers count from 1
        missing = sorted(set(range(first, int(total) + first)) - present)
        if missing:
            name = f"{stem}{missing[0]:0{len(total)}}-of-{total}{kind}.parquet"
            raise BadInput(
                f"{root / folder / name} is missing ({len(missing)} of {int(total)} parts are); "
                "download it, or rename the others if they are whole without it."
            )
