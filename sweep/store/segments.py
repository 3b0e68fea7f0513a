"""A sweep's journal in a store: numbered pieces of it, each whole or absent and cut at line ends.

    runs/NAME/journal.jsonl           the journal in a working folder, which grows
    runs/NAME/journal/000001.jsonl    its first lines in the store, then 000002.jsonl and so on

Their content one after another is the journal as it was when the last of them was written.
"""

from collections.abc import Iterable
from pathlib import Path

FILE = "journal.jsonl"
FOLDER = "journal"
MOST_BYTES = 64 * 2**20
"""Of one piece; a line is far shorter."""


def segment(number: int) -> str:
    """The name of a piece, from 1."""
    return f"{number:06d}.jsonl"


def number_of(name: str) -> int:
    """The number of a piece; 0 where a name is that of none."""
    stem = Path(name).name.removesuffix(".jsonl")
    return int(stem) if stem.isdecimal() else 0


def in_order(names: Iterable[str]) -> list[str]:
    """The pieces among some names in the order of their lines."""
    return sorted(filter(number_of, names), key=number_of)


def new_lines(journal: Path, start: int) -> bytes:
    """The whole lines of a journal from a byte on, as many as a piece takes.

    None where there is no journal.
    """
    try:
        with journal.open("rb") as file:
            file.seek(start)
            text = file.read(MOST_BYTES)
    except FileNotFoundError:
        return b""
    return text[: text.rfind(b"\n") + 1]
