"""Is there a network? Asked before every download, so that its absence costs seconds at most."""

import queue
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Sequence

PROBE_SECONDS = 4.0
"""How long the network may take to answer before it counts as absent, name look-up included."""


def reachable(urls: Sequence[str], seconds: float = PROBE_SECONDS) -> bool:
    """Whether one of `urls` answers within `seconds`, whatever it answers.

    Asked in daemon threads, since a name look-up heeds no timeout.
    """
    answers: queue.SimpleQueue[bool] = queue.SimpleQueue()

    def probe(url: str) -> None:
        answers.put(_answers(url, seconds))

    for url in urls:
        threading.Thread(target=probe, args=(url,), daemon=True).start()
    end = time.monotonic() + seconds
    try:
        return any(answers.get(timeout=max(0, end - time.monotonic())) for _ in urls)
    except queue.Empty:
        return False


def _answers(url: str, seconds: float) -> bool:
    try:
        request = urllib.request.Request(url, method="HEAD", headers={"User-Agent": "tl-sweep"})
        with urllib.request.urlopen(request, timeout=seconds):
            return True
    except urllib.error.HTTPError:
        return True  # a server that refuses HEAD is there
    except (OSError, ValueError):
        return False
