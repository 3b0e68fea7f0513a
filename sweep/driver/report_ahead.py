"""What a sweep needs after its last trial, imported while trials run."""

import contextlib
import importlib
import threading
from collections.abc import Callable, Iterator

MODULES = (
    "sweep.judge.judge_sweep",
    "sweep.report.tables",
    "sweep.report.pictures.sweep_pictures",
)
"""They load scipy and Matplotlib: about three seconds of a processor."""
LOOK_SECONDS = 0.2


@contextlib.contextmanager
def report_loaded_ahead(begins: Callable[[], bool]) -> Iterator[None]:
    """Import MODULES beside the block, in a thread, as soon as `begins` returns True."""
    over = threading.Event()

    def load() -> None:
        while not begins():
            if over.wait(LOOK_SECONDS):
                return
        for name in MODULES:
            with contextlib.suppress(Exception):  # raised again where it is used
                importlib.import_module(name)

    threading.Thread(target=load, name="report-ahead", daemon=True).start()
    try:
        yield
    finally:
        over.set()
