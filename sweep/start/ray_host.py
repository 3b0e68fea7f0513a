"""A process that starts Ray on this machine while the driver imports what it needs."""

import contextlib
import json
import os
import threading
from collections.abc import Callable

import psutil

from sweep.start.forking import forked
from tl_core.errors import first_line


class RayHost:
    """Starts Ray in a process of its own, and ends it with `end` or this process.

    Args:
        start: starts Ray and returns its address; called in that process.
        stop: ends Ray there.
    """

    def __init__(self, start: Callable[[], str], stop: Callable[[], None]) -> None:
        of_host, self.of_driver = os.pipe()
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
            with contextlib.suppress(psutil.Error):
                host = psutil.Process(self.process)
                for process in [*host.children(recursive=True), host]:
                    with contextlib.suppress(psutil.Error):
                        process.kill()
            self.end()
        return self.given_up

    def end(self) -> None:
        """Let Ray end, for which this process has no more use."""
        os.close(self.of_driver)

    def wait(self) -> None:
        """Wait until Ray has ended."""
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self.process, 0)


def _host(start: Callable[[], str], stop: Callable[[], None], lives: int, told: int) -> int:
    try:
        answer = {"address": start()}
    except Exception as error:
        answer = {"error": first_line(error)}
    with contextlib.suppress(BrokenPipeError), open(told, "w") as answers:
        json.dump(answer, answers)
    with open(lives) as driver:
        driver.read()  # to its end
    stop()
    return 0
