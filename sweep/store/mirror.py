"""Keep the copy of a sweep in a store up to date while the sweep runs."""

import contextlib
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from sweep.store import uploader
from sweep.store.location import url_of
from sweep.store.uploader import TakenOver, Uploader
from tl_core.errors import first_line

NOTE_SECONDS = 30.0
"""An error of the store is noted after so long without an upload."""
END_SECONDS = 60.0
"""At the end of a sweep uploading is given up when nothing has moved for so long. Own choice."""
RETRY_SECONDS = 2.0
"""Between two tries at the end."""


class Mirror:
    """A thread that uploads a sweep every `uploader.SECONDS`, and at its end.

    Args:
        work: uploads the sweep.
        note: shows a line to the user.

    Attributes:
        failure: once it ended, what could not be uploaded, in one line.
    """

    def __init__(self, work: Uploader, note: Callable[[str], object]) -> None:
        self.work, self.note = work, note
        self.where = str(url_of(work.results))
        self.failure: str | None = None
        self.reason: Exception | None = None
        self.moved = datetime.now(UTC)
        self.silent = False
        self.lost = False
        self.ending, self.ended = threading.Event(), threading.Event()
        self.thread = threading.Thread(target=self._run, name="upload", daemon=True)

    def start(self) -> None:
        """Begin to upload."""
        self.thread.start()

    def finish(self) -> None:
        """Upload what is left, and end; `failure` says what could not be."""
        if self.ending.is_set():
            return
        self.ending.set()
        self.work.moved()
        while not self.ended.wait(0.1):
            if time.monotonic() - self.work.moved_at > END_SECONDS:
                break
        if self.lost:
            self.failure = (
                f"{self.where}: another driver took {self.work.part.name} over, or it was deleted;"
                f" what this one wrote since is in {self._folder} alone."
            )
        elif not self.ended.is_set() or self.reason is not None:
            why = f" ({first_line(self.reason)})" if self.reason else ""
            self.failure = (
                f"Not all of {self.work.part.name} could be uploaded to {self.where}{why}. It is"
                f" whole in {self._folder}; `show` with the same --results uploads the rest."
            )
        elif not (self._folder / self.work.part.run).exists():
            self.work.writer.forget()
        else:
            with contextlib.suppress(OSError):  # the disk is full: the next command looks again
                self.work.writer.keep(str(self.work.writer.token), sent=True)

    @property
    def _folder(self) -> Path:
        return self.work.results

    def _run(self) -> None:
        while not self.ending.wait(uploader.SECONDS) and not self.lost:
            self._pass(whole=False)
        self.ending.wait()
        while not self.lost and not self._pass(whole=True):
            time.sleep(RETRY_SECONDS)
        self.ended.set()

    def _pass(self, *, whole: bool) -> bool:
        """One pass; whether it went well."""
        try:
            if whole and not (self._folder / self.work.part.run).exists():
                self.work.remove_all()  # it could not start, and nothing of it is left
            else:
                self.work.send(whole=whole)
        except TakenOver:
            self.lost = True
            self.note(
                f"{self.where}: another driver took this sweep over, or it was deleted. Nothing"
                " more of it is uploaded."
            )
        except Exception as error:
            self.reason = error
            self._note_silence(error)
            return False
        self.reason = None
        self.moved = datetime.now(UTC)
        if self.silent:
            self.silent = False
            self.note(f"{self.where} answers again.")
        return True

    def _note_silence(self, error: Exception) -> None:
        """Say once since when nothing was uploaded."""
        now = datetime.now(UTC)
        if self.silent or (now - self.moved).total_seconds() < NOTE_SECONDS:
            return
        self.silent = True
        self.note(
            f"Nothing was uploaded to {self.where} since {self.moved:%H:%M:%S} UTC"
            f" ({first_line(error)}). The sweep goes on in {self._folder}; uploading is"
            " tried again."
        )
