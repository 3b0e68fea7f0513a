"""Which driver may write a sweep: the one whose file lies in the sweep's folder in the store.

    STORE/runs/NAME/writer/TOKEN   says so to all
    WORKING/.store/NAME.json       the token, and whether all that was written has been uploaded
    WORKING/.store/NAME.lock       held while a driver of this machine runs

A driver puts its file, then lists the folder, and yields if there is any other: of two drivers the
one whose file came later sees that of the other. So where a list has all that was put before it,
as in S3, Google Cloud Storage and Azure, no name goes to two drivers. If both see each other, both
take their files away and try again after a random time.
"""

import contextlib
import io
import json
import os
import random
import secrets
import socket
import time
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from sweep.store.location import OWN
from sweep.store.part import WRITERS, Part
from sweep.store.remote import Remote
from tl_core.errors import BadInput
from tl_core.machine.whole_file import whole_file

TRIES = 4
PAUSE_SECONDS = 1.0


class Writer:
    """What this machine knows about writing one sweep.

    Attributes:
        token: of its driver here; None where it was driven elsewhere.
        sent: whether all that this driver wrote is in the store.
    """

    def __init__(self, results: Path, part: Part) -> None:
        self.part = part
        self.file = results / OWN / f"{part.name}.json"
        self.token: str | None = None
        self.sent = True
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            known = json.loads(self.file.read_text(encoding="utf-8"))
            self.token, self.sent = known["token"], bool(known["sent"])

    def keep(self, token: str, *, sent: bool) -> None:
        """Write down what is known."""
        self.token, self.sent = token, sent
        with whole_file(self.file) as temporary:
            temporary.write_text(json.dumps({"token": token, "sent": sent}), encoding="utf-8")

    def forget(self) -> None:
        """Forget that the sweep was driven here."""
        self.token, self.sent = None, True
        self.file.unlink(missing_ok=True)

    @contextlib.contextmanager
    def driving(self) -> Iterator[None]:
        """Hold the lock of the sweep's driver.

        Raises:
            BadInput: another process of this machine holds it.
        """
        lock = FileLock(self.file.with_suffix(".lock"))
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise BadInput(
                f"{self.part.name} is running on this machine; stop it first."
            ) from None
        try:
            yield
        finally:
            lock.release()

    def is_driven(self) -> bool:
        """Whether a driver of this machine runs, this process's own too."""
        if not self.file.with_suffix(".lock").exists():
            return False
        try:
            with FileLock(self.file.with_suffix(".lock"), timeout=0):
                return False
        except Timeout:
            return True

    def may_write(self, remote: Remote) -> bool:
        """Whether the store names this driver."""
        return self.token is not None and remote.find(self.part.writer(self.token)) is not None

    def claim(self, remote: Remote) -> bool:
        """Become the driver of a new sweep; False where there is one of that name."""
        for attempt in range(TRIES):
            if self._others(remote, set()):
                return False
            token = self._put(remote)
            if not (others := self._others(remote, {self.part.writer(token)})):
                self.keep(token, sent=False)
                return True
            remote.remove(self.part.writer(token))
            if not all(f"/{WRITERS}/" in name for name in others):
                return False
            time.sleep(random.uniform(0, PAUSE_SECONDS * (attempt + 1)))
        return False

    def take_over(self, remote: Remote) -> None:
        """Become the driver of a sweep that another one left; nothing where it is this one.

        Raises:
            BadInput: another driver does so at this moment.
        """
        if self.may_write(remote):
            return
        folder = f"{self.part.run}/{WRITERS}"
        before = set(remote.files(folder))
        token = self._put(remote)
        if set(remote.files(folder)) - before - {self.part.writer(token)}:
            remote.remove(self.part.writer(token))
            raise BadInput(
                f"{self.part.name} is being resumed by another driver at this moment; `list` says"
                " whether it runs."
            )
        self.keep(token, sent=False)
        remote.each(remote.remove, before)

    def _put(self, remote: Remote) -> str:
        token = secrets.token_hex(8)
        about = f"{socket.gethostname()} {os.getpid()} {time.time():.0f}\n".encode()
        remote.put(self.part.writer(token), io.BytesIO(about), len(about))
        return token

    def _others(self, remote: Remote, own: set[str]) -> set[str]:
        return set(remote.files(self.part.run)) - own
