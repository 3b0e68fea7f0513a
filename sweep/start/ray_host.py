"""A process that starts Ray on this machine while the driver imports what it needs."""

import contextlib
import json
import os
import select
import threading
from collections.abc import Callable

import psutil

from sweep.start.forking import close_of_driver, forked, pipe_of_driver
from tl_core.errors import first_line

START_SECONDS = 120.0
"""Ray that has not started then is started again, where the user sees why it does not."""
END_SECONDS = 30.0
"""Ray that has not ended then is killed."""


class RayHost:
    """Starts Ray in a process of its own, and ends it with `end` or this process.

    Args:
        start: starts Ray and returns its address; called in that process.
        stop: ends Ray there.
    """

    def __init__(self, start: Callable[[], str], stop: Callable[[], None]) -> None:
        of_host, self.of_driver = pipe_of_driver()
        self.answers, told = os.pipe()
        self.process = forked(lambda: _host(start, stop, of_host, told), of_host, told)
        os.close(of_host)
        os.close(told)
        self.lock = threading.Lock()
        self.known = self.given_up = False

    def address(self) -> str:
        """Where Ray answers, once it has started.

        Raises:
            RuntimeError: it does not start.
        """
        with open(self.answers) as answers:
            if not select.select([answers], [], [], START_SECONDS)[0]:
                raise RuntimeError(f"it has not started within {START_SECONDS:.0f} seconds")
            told = json.loads(answers.read() or '{"error": "the process that starts it has died"}')
        with self.lock:
            if self.given_up or "error" in told:
                raise RuntimeError(told.get("error", "it is not wanted any more"))
            self.known = True
            return str(told["address"])

    def give_up(self) -> bool:
        """End Ray at once, unless its address is known already; whether it is ended."""
        with self.lock:
            self.given_up = not self.known
        if self.given_up:
            self._kill()
            self.end()
        return self.given_up

    def end(self) -> None:
        """Let Ray end, for which this process has no more use."""
        with contextlib.suppress(BrokenPipeError):
            os.write(self.of_driver, b"end")
        close_of_driver(self.of_driver)

    def wait(self) -> None:
        """Wait until Ray has ended; a Ray that does not is killed."""
        try:
            psutil.Process(self.process).wait(END_SECONDS)
        except psutil.TimeoutExpired:
            self._kill()
        except psutil.Error:
            return

    def _kill(self) -> None:
        with contextlib.suppress(psutil.Error):
            host = psutil.Process(self.process)
            for process in [*host.children(recursive=True), host]:
                with contextlib.suppress(psutil.Error):
                    process.kill()


def _host(start: Callable[[], str], stop: Callable[[], None], lives: int, told: int) -> int:
    try:
        answer = {"address": start()}
    except Exception as error:
        answer = {"error": first_line(error)}
    with contextlib.suppress(BrokenPipeError), open(told, "w") as answers:
        json.dump(answer, answers)
    os.read(lives, 1)  # what `end` writes, or the driver's end
    stop()
    return 0
