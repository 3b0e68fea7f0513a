"""What an earlier driver left of a sweep: its journal is replayed, its rows are kept."""

import contextlib
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sweep.journal.entries import Entry
from sweep.journal.past import ended_numbers
from sweep.results.folders import run_folder, table_folder
from sweep.results.manifest import FILE, Manifest
from sweep.results.written import find_written, keep_rows, set_aside
from tl_core.machine.whole_file import whole_file

if TYPE_CHECKING:  # these load Ray
    from sweep.tuning.all_trials import AllTrials
    from sweep.tuning.ledger import Ledger

JUDGED = ("classes", "evaluations", "predictions")
"""Tables of what judging measures, which is done again."""
STUDY = "study.log"
"""Optuna's file in a sweep's folder."""


@dataclass(frozen=True)
class Past:
    """A sweep that an earlier driver began.

    Attributes:
        manifest: its description.
        entries: of its journal.
        new: what is asked of it now, as entries that are written once the others are replayed.
    """

    manifest: Manifest
    entries: Sequence[Entry]
    new: Sequence[Entry] = ()

    @property
    def all_entries(self) -> list[Entry]:
        """Those of the journal, then the new ones."""
        return [*self.entries, *self.new]


@contextlib.contextmanager
def unchanged_until(folder: Path, begun: Callable[[], bool]) -> Iterator[None]:
    """Put description and study of a sweep back where the block raises before it has `begun`."""
    files = [folder / name for name in (FILE, STUDY)]
    before = {file: file.read_bytes() for file in files if file.is_file()}
    try:
        yield
    except BaseException:
        for file in () if begun() else files:
            if file not in before:
                file.unlink(missing_ok=True)
                continue
            with whole_file(file) as temporary:
                temporary.write_bytes(before[file])
        raise


def has_all_rows(results: Path, name: str, past: Sequence[Entry]) -> bool:
    """Whether each trial that ended has a row, and no file of rows is damaged."""
    found = find_written(results, name)
    rows = {int(trial.rsplit("_", 1)[1]) for table, trial, _ in found.keys if table == "trials"}
    return not found.damaged and ended_numbers(past) <= rows


def replay_past(
    past: Sequence[Entry],
    trials: "AllTrials",
    ledger: "Ledger",
    results: Path,
    name: str,
    note: Callable[[str], None],
) -> None:
    """Replay a journal, whose rows are not written again where they are there and can be read.

    Once it is accepted, files of rows that cannot be read are set aside.

    Args:
        past: the journal's entries.
        trials: new ones of the sweep.
        ledger: a new one.
        results: the results folder.
        name: of the sweep.
        note: hears of each file that is set aside.

    Raises:
        BadInput: the searcher or scheduler decides other than was recorded; no row has been
            changed then. Or a file cannot be set aside.
    """
    ledger.files.remove_unfinished(run_folder(results, name))
    ended = _ended_trials(past, ledger)
    found = find_written(results, name)
    ledger.written = {key for key in found.keys if key[0] != "trials" or key[1] in ended}
    trials.go_on_after(past)
    ledger.written = ()
    set_aside(results, name, found.damaged, note)


def remove_rows_to_come(
    past: Sequence[Entry],
    ledger: "Ledger",
    results: Path,
    name: str,
    note: Callable[[str], None],
) -> None:
    """Remove the rows of trials that are to run again, and those of what is judged again.

    Of rows that are doubled one stays, which `note` hears of.

    Raises:
        OSError: a file cannot be replaced.
    """
    keep_rows(results, "trials", name, _ended_trials(past, ledger), note)
    begun = {number for number, record in ledger.records.items() if record.epoch}
    keep_rows(results, "epochs", name, {ledger.job.trial_id(number) for number in begun}, note)
    for table in JUDGED:
        shutil.rmtree(table_folder(results, table, name), ignore_errors=True)


def _ended_trials(past: Sequence[Entry], ledger: "Ledger") -> set[str]:
    return {ledger.job.trial_id(number) for number in ended_numbers(past)}
