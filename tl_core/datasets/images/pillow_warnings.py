"""Pillow's warnings on damaged or huge files, collected in place of being printed.

`warnings.catch_warnings` is not thread-safe, and images are decoded in threads. One hook serves
the whole process while any thread collects; each thread receives the warnings of its own images.
"""

import contextlib
import logging
import re
import threading
import warnings
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import PIL

FILTER = ("always", None, Warning, re.compile(r"PIL(\.|$)"), 0)
"""An entry of `warnings.filters`; without it Python shows a warning once per line of Pillow."""

_LOCK = threading.Lock()
_LOCAL = threading.local()
_COLLECTING = 0
_PREVIOUS = warnings.showwarning

# Pillow logs an error of some TIFFs before it raises it.
logging.getLogger("PIL").addHandler(logging.NullHandler())


@contextlib.contextmanager
def collected() -> Iterator[list[str]]:
    """A list that receives, line by line, what Pillow warns of in this thread meanwhile."""
    outer = getattr(_LOCAL, "messages", None)
    messages: list[str] = []
    _start()
    _LOCAL.messages = messages
    try:
        yield messages
    finally:
        _LOCAL.messages = outer
        _stop()


def _start() -> None:
    global _COLLECTING, _PREVIOUS
    with _LOCK:
        _COLLECTING += 1
        if _COLLECTING == 1:
            for module in tuple(vars(PIL).values()):
                if isinstance(module, ModuleType):  # Python asks no filter on what it has shown
                    getattr(module, "__warningregistry__", {}).clear()
            # Not by filterwarnings, which makes Python repeat all warnings that it has shown.
            warnings.filters.insert(0, FILTER)  # type: ignore[attr-defined]
            _PREVIOUS, warnings.showwarning = warnings.showwarning, _show


def _stop() -> None:
    global _COLLECTING
    with _LOCK:
        _COLLECTING -= 1
        if _COLLECTING == 0:
            # Others may have put filters or a hook of their own on top meanwhile.
            with contextlib.suppress(ValueError):
                warnings.filters.remove(FILTER)  # type: ignore[attr-defined]
            if warnings.showwarning is _show:
                warnings.showwarning = _PREVIOUS


def _show(message: Warning | str, *args: Any, **kwargs: Any) -> None:
    """In place of `warnings.showwarning`."""
    messages = getattr(_LOCAL, "messages", None)
    if messages is None:
        _PREVIOUS(message, *args, **kwargs)
    else:
        messages.append(" ".join(str(message).split()).rstrip("."))
