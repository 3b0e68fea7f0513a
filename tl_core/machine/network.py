"""Is there a network? Asked before every download, so that its absence costs seconds at most."""

import threading
import urllib.error
import urllib.request
from collections.abc import Sequence

PROBE_SECONDS = 4.0
"""How long the network may take to answer before it counts as absent, name look-up included."""


def reachable(urls: Sequence[str], seconds: float = PROBE_SECONDS) -> bool:
    """Whether one of `urls` answers within `seconds`, whatever it answers.

    Asked in daemon threads, since a name look-up heeds no timeout.
    """
    answered = threading.Event()
    finished = threading.Event()
    lock = threading.Lock()
    waiting = len(urls)

    def probe(url: str) -> None:
        nonlocal waiting
        if _answers(url, seconds):
            answered.set()
        with lock:
            waiting -= 1
            if answered.is_set() or waiting == 0:
                finished.set()

    for url in urls:
        threading.Thread(target=probe, args=(url,), daemon=True).start()
    finished.wait(seconds)
    return answered.is_set()


def _answers(url: str, seconds: float) -> bool:
    try:
        request = urllib.request.Request(url, method="HEAD", headers={"User-Agent": "tl-sweep"})
        with urllib.request.urlopen(request, timeout=seconds):
            return True
    except urllib.error.HTTPError:
        return True  # a server that refuses HEAD is there
    except (OSError, ValueError):
        return False
