"""Downloads of published data sets: probe the network briefly, then fetch, one at a time."""

import contextlib
import socket
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from filelock import FileLock

from tl_core.errors import BadInput
from tl_core.machine.network import reachable

STALL_SECONDS = 30.0
"""A download that receives nothing for so long has failed."""


class DownloadFailed(BadInput):
    """A data set is not on disk and cannot be downloaded.

    The message names the folder to put its files in and the bundled data sets.
    """


def download(
    folder: Path, urls: Sequence[str], fetch: Callable[[], object], *, ready: bool
) -> None:
    """Run `fetch`, which puts a data set into `folder`, one process at a time.

    Args:
        folder: made if absent.
        urls: places `fetch` reads from; one must answer first.
        fetch: shows its own progress.
        ready: the packed file is there already, so that no network is needed.

    Raises:
        OSError, RuntimeError: the network, the disk or a checksum failed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if not ready and not reachable(urls):
        raise OSError("no network")
    with FileLock(folder / ".download.lock"), _no_endless_waiting():
        fetch()


@contextlib.contextmanager
def _no_endless_waiting() -> Iterator[None]:
    """torchvision opens its connections without a timeout."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(STALL_SECONDS)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
