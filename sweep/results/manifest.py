"""`results/runs/NAME/sweep.json`: what a sweep was asked to do, and what came of it."""

import json
import os
import secrets
import shutil
import socket
import typing
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from sweep.journal.journal import FILE as JOURNAL
from sweep.results import liveness
from sweep.results.folders import is_sweep, run_folder, sweep_names, weights_file
from sweep.results.json_fields import checked_fields
from sweep.store.location import relocated, shown_results, url_of
from tl_core.config import TrainConfig
from tl_core.errors import BadInput, near_names
from tl_core.machine.plain_file import read_text
from tl_core.machine.user_path import storable
from tl_core.machine.whole_file import whole_file

FILE = "sweep.json"


class Undescribed(BadInput):
    """A sweep's file is gone or damaged, and its journal may be whole."""


@dataclass
class Manifest:
    """One sweep's description; plain values only.

    Attributes:
        command: the command that runs the space again, without its strategy and name; empty where
            it runs more than this sweep.
        search: searcher or design.
        seeds: repeats of each configuration.
        trials_planned: configurations × seeds and the confirmation's trials, at most until these
            are known; None where an earlier version did not say.
        fields: the space's free fields → their levels, or the text of a range.
        base: all fields of the base configuration.
        notes: lines that the user was shown before it ran, such as a replaced default.
        started_at, ended_at: ISO times in UTC.
        status: running, finished, interrupted, timed_out, or failed by an error of the sweep's own.
        winner: the winning trial, with `val_accuracy` and `test_accuracy` of its weights, and what
            `accuracy_interval` and `verdict` say of its configuration (None: an earlier version).
        loaded: backbone → its source `weights`, the number of tensors `loaded` from them, the
            names of the model's `tensors` that kept initial values (`missing`), of the file's that
            fit nothing (`unexpected`), of first convolutions that were adapted (`adapted`), the
            keys in the file that led to them (`wrapper`), what was taken off their names
            (`prefix`), and other sets of tensors that fit too (`aside`).
        errors: one line each on what went wrong beside the trials; they make the exit code 1.
        host, pid: of the driver.
        machine, pid_start: as `liveness.machine` and `process_start` say; None: not known.
        seen_at: the driver's last sign of life, in seconds since the epoch; not kept in the file.
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
    errors: list[str] = field(default_factory=list)
    host: str = field(default_factory=socket.gethostname)
    pid: int = field(default_factory=os.getpid)
    machine: str | None = field(default_factory=liveness.machine)
    pid_start: float | None = field(default_factory=lambda: liveness.process_start(os.getpid()))
    seen_at: float | None = field(default=None, compare=False, repr=False)

    def state(self) -> str:
        """`status`; where that is running, `died` if the driver is gone.

        `silent` if it ran elsewhere and gave no sign of life for `liveness.SILENT_SECONDS`.
        """
        if self.status != "running":
            return self.status
        if liveness.is_here(self.host, self.machine):
            return "running" if self._process_runs() else "died"
        if liveness.beats(self.seen_at):
            return "running"
        # The machine of this name has been started anew, or the container has.
        return "died" if self.host == socket.gethostname() else "silent"

    def _process_runs(self) -> bool:
        start = liveness.process_start(self.pid)
        if start is None or self.pid_start is not None:
            return start is not None and start == self.pid_start
        return not liveness.created_after(self.pid, _moment(self.started_at))


def _moment(started_at: str) -> float:
    return datetime.fromisoformat(started_at).timestamp()


def begin_sweep(results: Path, manifest: Manifest) -> None:
    """Make a sweep's folder, which no reader finds without its description and first beat.

    Raises:
        FileExistsError: a sweep of that name is there.
    """
    folder = run_folder(results, manifest.name)
    hidden = folder.with_name(f".{secrets.token_hex(4)}-{manifest.name}")
    _write(hidden, manifest)
    (hidden / liveness.FILE).touch()
    try:
        hidden.rename(folder)
    except OSError:
        shutil.rmtree(hidden)
        if folder.exists():
            raise FileExistsError(folder) from None
        raise


def write_manifest(results: Path, manifest: Manifest) -> None:
    """Replace the sweep's file, whole."""
    _write(run_folder(results, manifest.name), manifest)


def _write(folder: Path, manifest: Manifest) -> None:
    kept = {name: value for name, value in asdict(manifest).items() if name != "seen_at"}
    with whole_file(folder / FILE, synced=True) as temporary:
        temporary.write_text(json.dumps(kept, indent=2), encoding="utf-8")


def read_manifest(results: Path, name: str) -> Manifest:
    """The description of a sweep.

    Raises:
        BadInput: there is no such sweep in these results, or its file is damaged or gone; an
            `Undescribed` where `resume` may make it anew.
    """
    if not is_sweep(results, name):
        what = f"no sweep {name!r} in {shown_results(results)}"
        names = sweep_names(results)
        if not names:
            first = "`python -m sweep ablation --dataset digits` makes the first."
            raise BadInput(f"{what}: there are none yet; {first}")
        hint = near_names(name, names, f"there are {', '.join(names[-5:])}.")
        raise BadInput(f"{what}: {hint} `list` shows all.")
    file = run_folder(results, name) / FILE
    if storable(name) != name:
        raise BadInput(f"{storable(name)!r} is no UTF-8 text; rename its folders in {results}.")
    try:
        manifest = _parse(read_text(file))
    except (OSError, ValueError, RecursionError) as error:
        raise _undescribed(results, name, error) from None
    manifest.name = name  # the folder's, where it was copied or renamed
    if manifest.winner is not None and manifest.winner["weights"] is not None:
        manifest.winner["weights"] = _weights_here(manifest.winner["weights"], file.parent)
    manifest.seen_at = liveness.last_beat(file.parent)
    return manifest


def _undescribed(results: Path, name: str, error: Exception) -> BadInput:
    """The error of a sweep whose file cannot be read, with the ways out."""
    folder = run_folder(results, name)
    reason = getattr(error, "strerror", None) or error
    what, rest = (
        f"is damaged ({reason})",
        f"its rows can be read, `delete {name}` removes them too",
    )
    if isinstance(error, FileNotFoundError):
        what = "is missing" if folder.is_dir() else "is gone, its rows are not"
        rest = f"`delete {name}` removes what is left"
    elif isinstance(error, OSError):  # it may be whole
        return BadInput(f"{name}: {folder / FILE} {what}; {rest}.")
    # In a store the journal may be there alone.
    if url_of(results) is None and not (folder / JOURNAL).is_file():
        return BadInput(f"{name}: {folder / FILE} {what}; {rest}.")
    anew = f"`resume {name}` makes it anew from the journal"
    return Undescribed(f"{name}: {folder / FILE} {what}; {anew}, {rest}.")


def _weights_here(path: str, folder: Path) -> str:
    """Where a winner's weights are now: in the sweep's folder where that was moved or copied."""
    path, own = relocated(path), weights_file(folder, 0)
    return str(own.absolute()) if not Path(path).exists() and own.is_file() else path


def _parse(text: str) -> Manifest:
    """The manifest in a file; a missing field of the base has the default of `TrainConfig`."""
    types = typing.get_type_hints(Manifest)
    values = checked_fields(json.loads(text), types, _WHERE_MISSING)
    _moment(values["started_at"])
    values["base"] = {**TrainConfig().to_dict(), **values["base"]}
    if values["winner"] is not None:
        missing: dict[str, Any] = {**dict.fromkeys(_OF_WINNER), "values": {}}
        values["winner"] = checked_fields(values["winner"], _OF_WINNER, missing, " of the winner")
    return Manifest(**values)


_WHERE_MISSING: dict[str, Any] = {
    "space": "", "command": "", "question": "", "search": "", "scheduler": "", "seeds": 1,
    "trials_planned": None, "notes": [], "status": "running", "ended_at": None, "winner": None,
    "loaded": {}, "errors": [], "host": "", "pid": 0, "machine": None, "pid_start": None,
    "seen_at": None,
}  # fmt: skip
_OF_WINNER: dict[str, Any] = {
    "trial_id": str, "config_id": str | None, "values": dict[str, Any], "weights": str | None,
    "val_accuracy": float | None, "test_accuracy": float | None, "retrained": bool | None,
    "test_mean": float | None, "test_low": float | None, "test_high": float | None,
    "test_seeds": int | None, "test_images": int | None, "confirmed": int | None,
    "val_mean": float | None, "val_std": float | None, "runs": int | None, "best_of": int | None,
    "search_accuracy": float | None, "probability": float | None, "optimism": float | None,
}  # fmt: skip
"""What is read of a winner, and its type."""
