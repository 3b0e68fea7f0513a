"""Copy what is new of a sweep from the working folder to the store, in an order that can be read.

One pass: the driver's heartbeat; the lines of the journal; rows; weights, pictures and logs; then
`sweep.json` as it was before the pass looked for rows, so that it never says more than is there;
the large files of live trials, as time allows; last what was removed here. The journal comes
before the rows, which it therefore covers. A file that grows or changes goes up again at most for
a tenth of the time, so that large ones do not hold up the others.
"""

import contextlib
import io
import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from sweep.store import segments
from sweep.store.part import Part, local_files
from sweep.store.remote import Remote
from sweep.store.writer import Writer

SECONDS = 10.0
"""Between two passes; also what files of live trials may take of one."""
PAUSE = 9.0
"""A file that changed goes up again after so many times what it took. Own choice."""
MOST_ERRORS = 3
"""After so many in a row a pass ends: the store does not answer. Own choice."""


class TakenOver(Exception):
    """Another driver writes the sweep, or it was deleted."""


class Uploader:
    """Uploads one sweep, pass by pass.

    Attributes:
        moved_at: when something last moved, by the monotonic clock.
    """

    def __init__(self, results: Path, part: Part, remote: Remote, writer: Writer) -> None:
        self.results, self.part, self.remote, self.writer = results, part, remote, writer
        self.moved_at = time.monotonic()
        self.sent: dict[str, tuple[int, int]] = {}
        """Name → size and time of change of the local file that is in the store."""
        self.due: dict[str, float] = {}
        self.segments: dict[int, int] | None = None
        """Number → bytes of the journal's pieces; None: not asked for yet."""
        self.stored: set[str] = set()
        """Files of the sweep in the store."""
        self.errors: list[Exception] = []

    def send(self, *, whole: bool) -> None:
        """One pass; with `whole` of everything, however long it takes.

        Raises:
            TakenOver: this driver may not write the sweep any longer.
            Exception: the first error of the store, after what else could be copied was.
        """
        if not self.writer.may_write(self.remote):
            raise TakenOver
        if self.segments is None:
            self._look()
        self.errors = []
        began = time.monotonic()
        self.due = {} if whole else self.due
        with self._opened(self.part.manifest) as manifest:
            names = self._changed()
            self._put_all(n for n in names if n == self.part.alive)
            self._put_journal()
            self._put_all(n for n in names if n != self.part.alive and not self.part.is_live(n))
            if manifest is not None and not self.errors:
                self._put_open(self.part.manifest, manifest)
        live = (n for n in names if self.part.is_live(n))
        self._put_all(n for n in live if whole or time.monotonic() < began + SECONDS)
        self._remove_what_is_gone()
        if self.errors:
            raise self.errors[0]

    def remove_all(self) -> None:
        """Remove the sweep from the store."""
        for folder in self.part.folders:
            self.remote.remove_folder(folder)

    def moved(self) -> None:
        """Note that the store answers."""
        self.moved_at = time.monotonic()

    def _look(self) -> None:
        """Learn what is in the store already."""
        stored: dict[str, int] = {}
        for folder in self.part.folders:
            for name, file in self.remote.files(folder).items():
                stored[name] = file.size
                if self.part.is_copied(name) and file.is_like(self.results / name):
                    status = (self.results / name).stat()
                    self.sent[name] = (status.st_size, status.st_mtime_ns)
        folder = f"{self.part.run}/{segments.FOLDER}/"
        pieces = segments.in_order(name for name in stored if name.startswith(folder))
        self.segments = {segments.number_of(name): stored[name] for name in pieces}
        self.stored = {name for name in stored if self.part.is_copied(name)}

    def _changed(self) -> list[str]:
        """Files that are new or changed and due, in order; the description apart."""
        files = local_files(self.results, self.part)
        files.pop(self.part.manifest, None)
        return sorted(
            (n for n, s in files.items() if self.sent.get(n) != (s.st_size, s.st_mtime_ns)),
            key=self.part.rank,
        )

    def _put_all(self, names: Iterable[str]) -> None:
        for name in names:
            if len(self.errors) >= MOST_ERRORS:
                return
            if time.monotonic() < self.due.get(name, 0.0):
                continue
            with self._opened(name) as file:
                if file is not None:
                    self._put_open(name, file)

    @contextlib.contextmanager
    def _opened(self, name: str) -> Iterator[BinaryIO | None]:
        """A file of the working folder; None where it was removed or cannot be read."""
        try:
            file = (self.results / name).open("rb")
        except OSError as error:
            if not isinstance(error, FileNotFoundError):
                self.errors.append(error)
            yield None
            return
        with file:
            yield file

    def _put_open(self, name: str, file: BinaryIO) -> None:
        """Copy an open file, and give it the time of change that its copy has."""
        status, began = os.fstat(file.fileno()), time.monotonic()
        if self.sent.get(name) == (status.st_size, status.st_mtime_ns):
            return
        try:
            there = self.remote.put(name, file, status.st_size, self.moved)
        except Exception as error:
            self.errors.append(error)
            return
        self.moved()
        if there.changed is not None and name != self.part.alive:
            with contextlib.suppress(OSError):
                os.utime(file.fileno(), ns=(there.changed, there.changed))
        changed = os.fstat(file.fileno()).st_mtime_ns
        self.sent[name] = (status.st_size, changed if there.changed else status.st_mtime_ns)
        self.due[name] = time.monotonic() + PAUSE * (time.monotonic() - began)
        self.stored.add(name)

    def _put_journal(self) -> None:
        """Copy the new whole lines of the journal as one more piece, or a few where they are many.

        A journal that is shorter than what is in the store was begun anew; so are its pieces.
        """
        assert self.segments is not None
        journal = self.results / self.part.journal
        try:
            if journal.exists() and journal.stat().st_size < sum(self.segments.values()):
                for number in sorted(self.segments, reverse=True):
                    self.remote.remove(self.part.segment(number))
                    del self.segments[number]
            while lines := segments.new_lines(journal, sum(self.segments.values())):
                number = max(self.segments, default=0) + 1
                self._put_bytes(self.part.segment(number), lines)
                self.segments[number] = len(lines)
        except Exception as error:
            self.errors.append(error)

    def _put_bytes(self, name: str, content: bytes) -> None:
        self.remote.put(name, io.BytesIO(content), len(content), self.moved)
        self.moved()

    def _remove_what_is_gone(self) -> None:
        gone = self.stored - set(local_files(self.results, self.part))
        for name in sorted(gone):
            if len(self.errors) >= MOST_ERRORS:
                return
            try:
                self.remote.remove(name)
            except Exception as error:
                self.errors.append(error)
                continue
            self.moved()
            self.stored.discard(name)
            self.sent.pop(name, None)
