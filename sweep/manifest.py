"""`results/runs/NAME/sweep.json`: what a sweep was asked to do, and how it stands."""

import json
import os
import socket
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import psutil

from tl_core.errors import BadInput

FILE = "sweep.json"


@dataclass
class Manifest:
    """One sweep's description; plain values only.

    Attributes:
        name: of the sweep.
        space: search space it ran.
        command: the command that runs the space again, without its strategy and name.
        question: what the space asks.
        search: searcher or design.
        scheduler: name of the scheduler.
        seeds: repeats of each configuration.
        trials_planned: configurations × seeds; None if only a time budget ends the sweep.
        fields: the space's free fields → their levels, or the text of a range.
        base: all fields of the base configuration.
        notes: lines that the user was shown before it ran, such as a replaced default.
        started_at: ISO time in UTC.
        status: running, finished, interrupted or timed_out.
        ended_at: ISO time in UTC.
        winner: the winning trial and its accuracy on the test split.
        loaded: backbone → its source `weights`, the number of tensors `loaded` from them, and the
            names of the model's `tensors` that kept initial values (`missing`), of the file's that
            fit nothing (`unexpected`), and of first convolutions that were adapted (`adapted`);
            the keys in the file that led to them (`wrapper`), what was taken off their names
            (`prefix`), and other sets of tensors that fit too (`aside`).
        host, pid: of the driver.
    """

    name: str
    space: str
    command: str
    question: str
    search: str
    scheduler: str
    seeds: int
    trials_planned: int | None
    fields: dict[str, Any]
    base: dict[str, Any]
    notes: list[str]
    started_at: str
    status: str = "running"
    ended_at: str | None = None
    winner: dict[str, Any] | None = None
    loaded: dict[str, dict[str, Any]] = field(default_factory=dict)
    host: str = field(default_factory=socket.gethostname)
    pid: int = field(default_factory=os.getpid)

    def state(self) -> str:
        """`status`, or `died` where it says running and its driver is gone."""
        if self.status == "running" and self.host == socket.gethostname():
            return "running" if psutil.pid_exists(self.pid) else "died"
        return self.status


def run_folder(results: Path, name: str) -> Path:
    """Everything of a sweep but its tables."""
    return results / "runs" / name


def write_manifest(results: Path, manifest: Manifest) -> None:
    """Replace the sweep's file, whole."""
    target = run_folder(results, manifest.name) / FILE
    temporary = target.with_name(f".{FILE}.tmp")
    temporary.write_text(json.dumps(asdict(manifest), indent=2))
    os.replace(temporary, target)


def read_manifest(results: Path, name: str) -> Manifest:
    """The description of a sweep.

    Raises:
        BadInput: there is no such sweep in these results.
    """
    file = run_folder(results, name) / FILE
    if not file.is_file():
        known = [m.name for m in all_manifests(results)]
        there = f"there are {', '.join(known[-5:])}" if known else "there are none yet"
        raise BadInput(f"no sweep {name!r} in {results}: {there}. `list` shows all.")
    return Manifest(**json.loads(file.read_text()))


def all_manifests(results: Path) -> list[Manifest]:
    """Every sweep in the results, oldest first."""
    files = (results / "runs").glob(f"*/{FILE}")
    found = [Manifest(**json.loads(file.read_text())) for file in files]
    return sorted(found, key=lambda manifest: manifest.started_at)
