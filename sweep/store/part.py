"""One sweep's part of a results folder: its folders, and what of them goes to a store when."""

import os
from dataclasses import dataclass
from pathlib import Path

from sweep.store import segments

MANIFEST, ALIVE = "sweep.json", "alive"
"""Files in the folder of everything but the rows: the description, and the driver's heartbeat."""
WRITERS = "writer"
"""Folder in a store with one file, named after the driver that may write the sweep."""
TEMPORARY = ("engine", "resume.lock")
"""What no other machine has a use for."""
LIVE = ("states", "checkpoints")
"""Folders of large files that are worth something until the sweep ends."""


@dataclass(frozen=True)
class Part:
    """A sweep's folders, relative to the results folder.

    Attributes:
        tables: those with its rows.
        run: that with everything else.
    """

    name: str
    tables: tuple[str, ...]
    run: str

    @property
    def folders(self) -> tuple[str, ...]:
        """All of them; the description is in the last."""
        return (*self.tables, self.run)

    @property
    def manifest(self) -> str:
        """Name of the description."""
        return f"{self.run}/{MANIFEST}"

    @property
    def alive(self) -> str:
        """Name of the file that a driver touches."""
        return f"{self.run}/{ALIVE}"

    @property
    def journal(self) -> str:
        """Name of the journal in a working folder."""
        return f"{self.run}/{segments.FILE}"

    def segment(self, number: int) -> str:
        """Name of a piece of the journal in a store."""
        return f"{self.run}/{segments.FOLDER}/{segments.segment(number)}"

    def writer(self, token: str) -> str:
        """Name of the file in a store that names a driver."""
        return f"{self.run}/{WRITERS}/{token}"

    def is_table(self, name: str) -> bool:
        """Whether a file has rows; such a file is written once."""
        return not name.startswith(f"{self.run}/")

    def is_live(self, name: str) -> bool:
        """Whether a file is of no use once the sweep has ended."""
        return self._room(name) in LIVE

    def is_copied(self, name: str) -> bool:
        """Whether a file is the same in the working folder and in the store."""
        if any(step.startswith((".", "_")) for step in name.split("/")):
            return False
        own = (*TEMPORARY, WRITERS, segments.FOLDER, segments.FILE)
        return self.is_table(name) or self._room(name) not in own

    def _room(self, name: str) -> str:
        """The first step of a name within the folder of everything else."""
        return name.removeprefix(f"{self.run}/").partition("/")[0]

    def rank(self, name: str) -> tuple[int, str]:
        """In which order files go to the store: rows first, large files that may go last."""
        kind = 0 if name == self.alive else 1 if self.is_table(name) else 2
        return (3 + LIVE.index(self._room(name)) if self.is_live(name) else kind), name


def local_files(results: Path, part: Part) -> dict[str, os.stat_result]:
    """Name → status of the files of a sweep that are copied as they are."""
    found = {}
    for folder in part.folders:
        for path, folders, files in os.walk(results / folder):
            inside = Path(path).relative_to(results).as_posix()
            folders[:] = [f for f in folders if part.is_copied(f"{inside}/{f}/")]
            for name in (f"{inside}/{file}" for file in files):
                if part.is_copied(name):
                    try:
                        found[name] = (results / name).stat()
                    except FileNotFoundError:
                        continue
    return found
