"""What an earlier driver left of a sweep: its journal is replayed, its rows are kept."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sweep.journal.entries import Entry
from sweep.journal.past import ended_numbers
from sweep.results.folders import run_folder, table_folder
from sweep.results.tables import keep_rows, row_keys

if TYPE_CHECKING:  # these load Ray
    from sweep.tuning.all_trials import AllTrials
    from sweep.tuning.ledger import Ledger

JUDGED = ("classes", "evaluations", "predictions")
"""Tables of what judging measures, which is done again."""


def take_up(
    past: Sequence[Entry], trials: "AllTrials", ledger: "Ledger", results: Path, name: str
) -> None:
    """Replay a journal, and remove the rows of trials that are to run again.

    Args:
        past: the journal's entries.
        trials: new ones of the sweep.
        ledger: a new one.
        results: the results folder.
        name: of the sweep.

    Raises:
        BadInput: the searcher or scheduler decides other than was recorded; no row has changed.
    """
    ledger.files.remove_unfinished(run_folder(results, name))
    ended = {ledger.job.trial_id(number) for number in ended_numbers(past)}
    keys = row_keys(results, name)
    ledger.written = {key for key in keys if key[0] != "trials" or key[1] in ended}
    trials.go_on_after(past)
    ledger.written = ()
    keep_rows(results, "trials", name, ended)
    begun = {number for number, record in ledger.records.items() if record.epoch}
    keep_rows(results, "epochs", name, {ledger.job.trial_id(number) for number in begun})
    for table in JUDGED:
        shutil.rmtree(table_folder(results, table, name), ignore_errors=True)
