"""The file that keeps a study; a search does not end where it cannot be written."""

import contextlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from optuna.storages.journal import BaseJournalBackend, JournalFileBackend


class StudyFile(BaseJournalBackend):
    """Optuna's journal file, written by one process.

    Its folder is made. After a write that fails (a full disk) the file keeps the whole lines it
    had, the study goes on in memory, and `say` hears why.
    """

    def __init__(self, path: Path, say: Callable[[str], None]) -> None:
        self.path, self.say = path, say
        self.file: JournalFileBackend | None = None
        self.unread: list[dict[str, Any]] = []  # the study has applied those before
        self.first_unread = 0
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self.file = JournalFileBackend(str(path))
            self.unread = list(self.file.read_logs(0))
        except OSError as error:
            self._give_up(error)

    def read_logs(self, log_number_from: int) -> list[dict[str, Any]]:
        """Logs from a number on, which is never below that of the last call."""
        self.unread = self.unread[log_number_from - self.first_unread :]
        self.first_unread = log_number_from
        return self.unread

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Write logs to the file while that works, and keep them until they are read."""
        self.unread += json.loads(json.dumps(logs))
        if self.file is None:
            return
        size = self.path.stat().st_size if self.path.exists() else None
        try:
            self.file.append_logs(logs)
        except OSError as error:
            self._give_up(error)
            if size is not None:
                with contextlib.suppress(OSError):
                    os.truncate(self.path, size)

    def _give_up(self, error: OSError) -> None:
        self.file = None
        why = error.strerror or error
        self.say(f"{self.path} is written no further ({why}): the search goes on in memory.")
