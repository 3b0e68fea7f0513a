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
from tl_core.datasets.readers.tree import File, Tree
from tl_core.datasets.records import TRAIN
from tl_core.errors import BadInput

_SHARD = re.compile(r"^(.*?)(\d+)-of-(\d+)(-[0-9a-f]{16})?(\.\w+)?$")
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
    """The files of a data set, by part and then by name; each real file once.

    Args:
        root: one file, or a folder.

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
    tables = [file for file in files if file.path.lower().endswith(".parquet")]
    others = sorted({file.path for file in files} - {file.path for file in tables})
    if not tables:
        there = f"it has {', '.join(tree.relative(path) for path in others[:5])}"
        raise BadInput(
            f"{root} has no train*.parquet ({there if others else 'it is empty'}); name its files "
            "train*.parquet and test*.parquet, or give one file."
        )
    parts = {file: _part_of(root, tree.relative(file.path)) for file in tables}
    if any(part is not None for part in parts.values()):
        found = _split_files(root, tree, parts)
    else:
        found = [PartFile(Path(f.path), tree.relative(f.path), TRAIN) for f in tables]
    by_path = {file.path: file._replace(linked=False) for file in tables}  # links count alike
    own = [by_path[str(file.path)] for file in found]
    found = [found[at] for at in tree.each_once(own, [file.part for file in found], "splits")]
    _check_together(root, found)
    return found, [Path(path) for path in others], tree.aside


def _split_files(root: Path, tree: Tree, parts: dict[File, int | None]) -> list[PartFile]:
    named = [(part, tree.relative(file.path), file) for file, part in parts.items()]
    for part, name, _ in named:
        if part is None:
            tree.aside.add("Parquet files of no split", name)
    found = sorted(
        (PartFile(Path(file.path), name, part) for part, name, file in named if part is not None),
        key=lambda file: (file.part, file.name),
    )
    if found[0].part != TRAIN:
        there = ", ".join(sorted(name for _, name, _ in named)[:5])
        raise BadInput(
            f"{root} has no train*.parquet (it has {there}); name its files train*.parquet and "
            "test*.parquet, or give one file."
        )
    return found


def _part_of(root: Path, name: str) -> int | None:
    """The split that a file's name tells, or else the folders above it, the nearest first."""
    path = Path(name)
    told = [parts_in(path.stem), *(parts_in(folder.name) for folder in path.parents)]
    found = set().union(*told)
    if len(found) > 1:
        raise BadInput(
            f"{root / name} has the names of several splits "
            f"({', '.join(PART_NAMES[part] for part in sorted(found))}); rename it."
        )
    return found.pop() if found else None


def _check_together(root: Path, found: list[PartFile]) -> None:
    """Refuse files of one split that are not shards of one table, and folders of several sets."""
    kinds: defaultdict[int, dict[str, PartFile]] = defaultdict(dict)
    for file in found:
        kinds[file.part].setdefault(_kind(file), file)
    for own in kinds.values():
        if len(own) > 1:
            one, other, *_ = own.values()
            raise BadInput(
                f"{root} has {one.name} and {other.name}, which are not numbered parts of one "
                "table; give one file, or a folder with the files of one data set."
            )
    homes = {_home(file): file for file in found}
    if len(homes) > 1:
        one, other, *_ = homes.values()
        raise BadInput(
            f"{root} has {one.name} and {other.name}, which look like two data sets; give the "
            "folder of one."
        )
    _check_shards(root, found)


def _kind(file: PartFile) -> str:
    """What the names of all shards of a split share, and whether they are numbered."""
    stem = Path(file.name).stem
    numbered = re.search(r"\d", stem) is not None
    return f"{_VARYING.sub('', stem.lower())} {numbered}"


def _home(file: PartFile) -> str:
    """The folder of a file, without those that name splits."""
    return "/".join(part for part in Path(file.name).parts[:-1] if not parts_in(part))


def _check_shards(root: Path, found: list[PartFile]) -> None:
    """Refuse `train-00000-of-00002.parquet` without `train-00001-of-00002.parquet`."""
    numbers: defaultdict[tuple[str, str, str, str], set[int]] = defaultdict(set)
    for file in found:
        if match := _SHARD.match(Path(file.name).stem):
            stem, number, total, _, kind = match.groups()
            folder = str(Path(file.name).parent)
            numbers[folder, stem, total, kind or ""].add(int(number))
    for (folder, stem, total, kind), present in numbers.items():
        first = 1 if int(total) in present else 0  # some writers count from 1
        missing = sorted(set(range(first, int(total) + first)) - present)
        if missing:
            name = f"{stem}{missing[0]:0{len(total)}}-of-{total}{kind}.parquet"
            raise BadInput(
                f"{root / folder / name} is missing ({len(missing)} of {int(total)} parts are); "
                "download it, or rename the others if they are whole without it."
            )
