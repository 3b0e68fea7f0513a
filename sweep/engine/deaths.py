"""What the death of a trainer process means: how it died, by what it and Ray left behind."""

import re
from dataclasses import dataclass
from pathlib import Path

from sweep.faults import last_line
from sweep.trial.last_words import EXIT_WORDS

MOST_BYTES = 20_000
"""Of what a process wrote, the last ones are read."""
NODE_LOST = re.compile("its node has died|actor .* is unavailable")
"""What Ray says where a machine, or the way to it, is gone."""
FATAL = re.compile(r"^Fatal Python error: (?P<what>.+)$", re.MULTILINE)
EXIT = re.compile(rf"^(?P<what>{re.escape(EXIT_WORDS)}\(.*\))$", re.MULTILINE)
FRAME = re.compile(r'^  File "(?P<file>.+)", line (?P<line>\d+) in (?P<name>.+)$', re.MULTILINE)
OWN_FILE = "last_words.py"
LIBRARIES = ("site-packages", "/lib/python")
EXIT_CODE = re.compile(r"exit code (\d+)")
SIGNAL = re.compile(r"receives a (SIG[A-Z]+)")
SILENT = "killed from outside (SIGKILL), as the system does for want of memory, or by native code"


@dataclass(frozen=True)
class Death:
    """How a trainer process died.

    Attributes:
        told: in one line.
        words: the last that it wrote to its standard error.
        node_lost: whether its machine was lost with it.
    """

    told: str
    words: str = ""
    node_lost: bool = False


def death_of(error: Exception, words: str) -> Death:
    """How a process died, by the error that a call of it raised and by its last words."""
    said = str(error)
    if NODE_LOST.search(said):
        return Death("its machine was lost", words, node_lost=True)
    how = _how(said, words)
    return Death(f"the trainer process died: {how}" if how else _told(error), words)


def _told(error: Exception) -> str:
    """What Ray says in one line."""
    lines = [line.strip() for line in str(error).splitlines()]
    told = next((line for line in lines if "died" in line), last_line(error))
    return told.split(". Worker exit")[0]


def _how(said: str, words: str) -> str:
    for pattern in (FATAL, EXIT):
        if found := list(pattern.finditer(words)):
            return found[-1]["what"] + _place(words[found[-1].end() :])
    if code := EXIT_CODE.search(said):
        received = SIGNAL.search(said)
        return f"exit code {code[1]}" + (f", {received[1]}" if received else "")
    return SILENT if "connection error" in said else ""


def _place(stack: str) -> str:
    """The innermost line of a stack, of the user's own code where it has any."""
    frames = [found for found in FRAME.finditer(stack) if Path(found["file"]).name != OWN_FILE]
    own = [f for f in frames if not any(part in f["file"] for part in LIBRARIES)]
    if not frames:
        return ""
    frame = (own or frames)[0]
    return f" in {frame['name']} ({Path(frame['file']).name}, line {frame['line']})"


def last_words(folder: str | None, name: str) -> str:
    """The end of what a process wrote to its standard error; empty where that is not known."""
    if folder is None:
        return ""
    try:
        with (Path(folder) / f"{name}.txt").open("rb") as file:
            file.seek(0, 2)
            file.seek(max(0, file.tell() - MOST_BYTES))
            return file.read().decode(errors="replace")
    except OSError:
        return ""
