"""An append-only file of entries, one JSON object a line, whole lines or none.

An entry has `kind`, `time` (seconds since the epoch), and fields of its kind (`entries.py`). The
driver adds them (`sweep/tuning/journal_recording.py`); `sweep/tuning/replay.py` replays them.
"""

import contextlib
import errno
import json
import os
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sweep.journal.checks import out_of_order, wrong_fields
from sweep.journal.entries import VERSION, Entry
from tl_core.errors import BadInput
from tl_core.machine.plain_file import open_plain

FILE = "journal.jsonl"
"""In a sweep's folder."""
SYNC_SECONDS = 1.0
"""An entry is on the disk after this long; it survives the end of the process at once."""


class Journal:
    """Appends entries; where the disk takes none, they wait and `problem` says why.

    Args:
        path: of the file; it may exist, and ends with a whole line then.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.problem: str | None = None
        """Why entries wait; None: none does."""
        self.error: OSError | None = None
        """The same, as it was raised."""
        self._waiting: list[bytes] = []
        self._unsynced = False
        self._lock = threading.Lock()
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._sync_often, daemon=True, name="journal")
        self._thread.start()

    def add(self, kind: str, **fields: Any) -> None:
        """Write an entry of now; never raises for want of space."""
        entry = {"kind": kind, "time": time.time(), **fields}
        line = json.dumps(entry, default=_plain, separators=(",", ":")).encode() + b"\n"
        with self._lock:
            self._waiting.append(line)
            self._write()

    def _write(self) -> None:
        """Write what waits, as far as the disk takes it."""
        size = os.fstat(self._file).st_size
        try:
            while self._waiting:
                data = b"".join(self._waiting[:1000])
                if os.write(self._file, data) < len(data):
                    raise OSError(errno.ENOSPC, "the disk took a part of it")
                size += len(data)
                del self._waiting[:1000]
            self.problem = self.error = None
        except OSError as error:
            self.error = error
            self.problem = error.strerror or str(error)
            with contextlib.suppress(OSError):
                os.truncate(self._file, size)
        self._unsynced = True

    def sync(self) -> None:
        """Bring all entries to the disk, so that a power cut does not lose them."""
        with self._lock:
            if self._waiting:
                self._write()
            if self._unsynced:
                self._unsynced = False
                with contextlib.suppress(OSError):
                    os.fsync(self._file)

    def sync_all(self) -> None:
        """As `sync`, for what may be kept only of events that the journal has.

        Raises:
            OSError: the disk takes no entry.
        """
        self.sync()
        if self.error is not None:
            raise OSError(self.error.errno, f"{self.path}: {self.problem}")

    def _sync_often(self) -> None:
        while not self._closed.wait(SYNC_SECONDS):
            self.sync()

    def close(self) -> None:
        """Write and sync all; no entry can follow."""
        if self._closed.is_set():
            return
        self._closed.set()
        self._thread.join()
        self.sync()
        os.close(self._file)


def _plain(value: Any) -> Any:
    """NumPy's numbers and arrays as Python's, sets as lists, anything else as text."""
    if hasattr(value, "tolist"):
        return value.tolist()
    return sorted(value) if isinstance(value, set | frozenset) else str(value)


def as_read(value: Any) -> Any:
    """A value as it is read back from a journal: tuples are lists."""
    return json.loads(json.dumps(value, default=_plain))


def read_journal(path: Path, *, mend: bool = False) -> list[Entry]:
    """The entries of a journal.

    Args:
        mend: cut off a last line that a kill or a full disk left unfinished, in the file too.

    Raises:
        BadInput: there is none, a line before the last cannot be read, or an entry lacks what
            those of its kind have.
    """
    try:
        with open_plain(path) as file:
            data = file.read()
    except FileNotFoundError:
        raise BadInput(
            f"{path}: this sweep has no journal, which `resume` needs; it was written by an"
            " earlier version, or ended before its first trial. Run its command again."
        ) from None
    except OSError as error:
        raise BadInput(f"{path}: the journal cannot be read ({error.strerror}).") from None
    entries: list[Entry] = []
    whole = 0
    for number, line in enumerate(data.splitlines(keepends=True), 1):
        entry = _parsed(line)
        if entry is None and whole + len(line) < len(data):
            raise bad_line(path, number, "this is no entry of a journal, and more lines follow")
        if entry is None:
            break
        if not entries and _is_of_another_version(entry):
            raise BadInput(
                f"{path}: the journal is of another version of tl-sweep; resume it there."
            )
        if (reason := wrong_fields(entry)) is not None:
            raise bad_line(path, number, reason)
        entries.append(entry)
        whole += len(line)
    if mend and whole < len(data):
        try:
            os.truncate(path, whole)
        except OSError as error:
            raise BadInput(f"{path}: the journal cannot be written ({error.strerror}).") from None
    return entries


def first_entry(path: Path) -> Entry | None:
    """How a sweep began, without what followed; None where that cannot be read."""
    with contextlib.suppress(OSError), open_plain(path) as file:
        entry = _parsed(file.readline())
        if entry is None or entry.get("kind") != "begin" or _is_of_another_version(entry):
            return None
        return entry if wrong_fields(entry) is None else None
    return None


def check_order(path: Path, entries: Sequence[Entry]) -> None:
    """Check that each entry of a journal can follow those before it.

    Raises:
        BadInput: one cannot, such as the end of a trial that was not proposed.
    """
    if (found := out_of_order(entries)) is not None:
        index, reason = found
        raise bad_line(path, index + 1, reason)


def bad_line(path: Path, number: int, reason: str) -> BadInput:
    """The error of a line of a journal, counted from 1."""
    return BadInput(
        f"{path}, line {number}: {reason}. Repair or remove the line; nothing is started over."
    )


def _parsed(line: bytes) -> Entry | None:
    """The object of a whole line; None where it is none."""
    with contextlib.suppress(ValueError, RecursionError):
        entry = json.loads(line)
        if line.endswith(b"\n") and isinstance(entry, dict):
            return entry
    return None


def _is_of_another_version(entry: Entry) -> bool:
    """Whether its first entry says so, which may have other fields then."""
    version = entry.get("version")
    return entry.get("kind") == "begin" and type(version) is int and version != VERSION
