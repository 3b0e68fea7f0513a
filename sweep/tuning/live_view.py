"""What the terminal shows while data load and trials run. Nothing where there is no terminal."""

import math
import time
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from sweep.results.selection import CONFIRM, SEARCH
from sweep.terminal.values import STATUS_STYLE, clock, describe

if TYPE_CHECKING:  # it loads Ray, whose environment must be prepared first
    from sweep.tuning.ledger import Ledger, TrialRecord

RUNNING_SHOWN = 6


class LiveView:
    """Trials by status, best so far, speed, and time left, at 80 columns.

    `trials` are those of the search, `confirm` those of the confirmation at most; `epochs` are of
    a trial whose values do not say.
    """

    def __init__(
        self, ledger: "Ledger", *, title: str, trials: int, epochs: int, confirm: int = 0
    ) -> None:
        self.ledger, self.title, self.epochs = ledger, title, epochs
        self.trials, self.confirm = trials, confirm
        self.began = time.monotonic()

    def __rich__(self) -> Group:
        records = list(self.ledger.records.values())  # another thread adds to them
        running = [record for record in records if record.status == "running"]
        lines = self._headline(), self._bar(), self._counts(len(running)), self._best()
        problem = self.ledger.disk.problem
        waits = [Text(f"no new trial begins: {problem}", style="yellow")] if problem else []
        return Group(*lines, *waits, *([self._running(running)] if running else []))

    def _headline(self) -> Text:
        minutes = max(time.monotonic() - self.began, 1e-9) / 60
        rate, left = self.ledger.epochs_reported / minutes, self.seconds_left()
        text = f"  {clock(minutes * 60)} elapsed · {rate:.1f} epochs/min"
        text += f" · {clock(left)} left" if left is not None else ""
        return Text(self.title, style="bold").append(text, style="none")

    def _bar(self) -> Table:
        ended, planned = sum(self.ledger.statuses.values()), self.trials + self.confirm
        begun = self.confirm and math.isfinite(self.ledger.confirm_from)
        text = f"  {ended} of {planned} trials{', confirming the best' if begun else ''}"
        grid = Table.grid(expand=False)
        grid.add_row(ProgressBar(max(planned, 1), ended, width=50), Text(text))
        return grid

    def begin_confirmation(self, trials: int) -> None:
        """Take in how many trials there will be in all, now that the search has ended."""
        self.trials = int(self.ledger.confirm_from)
        self.confirm = trials - self.trials

    def _counts(self, running: int) -> Text:
        text = Text()
        for status, number in {"running": running, **self.ledger.statuses}.items():
            text.append(f"{status.replace('_', ' ')} {number}   ", style=STATUS_STYLE[status])
        return text

    def _best(self) -> Text:
        """The accuracy of the best configuration so far, what it is the best of, its settings."""
        leader = self.ledger.leader
        if not (lead := leader.lead):
            return Text("no epoch finished yet", style="dim")
        fresh = lead[0].phase == CONFIRM
        mean = sum(run.best_val_accuracy for run in lead) / len(lead)
        text = Text("best by fresh seeds " if fresh else f"best validation of {leader.measured} ")
        text.append(f"{mean:.4f}", style="bold green")
        values = dict(lead[0].values)
        if fresh or len(lead) > 1:
            values.pop("seed", None)
            text.append(f" over {len(lead)}" if fresh else f" over {len(lead)} seeds")
        return text.append(f"  {describe(values)}", style="dim")

    def _running(self, running: "list[TrialRecord]") -> Table:
        table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", width=80)
        for name in ("trial", "epoch", "val acc"):
            table.add_column(name, justify="right")
        table.add_column("settings", no_wrap=True, overflow="ellipsis", ratio=1)
        for record in running[:RUNNING_SHOWN]:
            accuracy = record.result.get("val_accuracy")
            table.add_row(
                str(record.number),
                f"{record.epoch}/{record.values.get('epochs', self.epochs)}",
                f"{accuracy:.4f}" if accuracy is not None else "–",
                describe(record.values),
            )
        if len(running) > RUNNING_SHOWN:
            table.add_row("", "", "", f"… and {len(running) - RUNNING_SHOWN} more")
        return table

    def seconds_left(self) -> float | None:
        """Epochs still to come over the speed so far; None before the first trial has ended.

        A trial of the search to come is taken to be as long as those that ended, one of the
        confirmation to train to its end.
        """
        records, reported = list(self.ledger.records.values()), self.ledger.epochs_reported
        ended = [r for r in records if r.ended_at is not None]
        if not ended or not reported:
            return None
        of_search = [r.epoch for r in ended if r.phase != CONFIRM]
        length = {SEARCH: sum(of_search) / max(len(of_search), 1), CONFIRM: self.epochs}
        waiting = {SEARCH: self.trials, CONFIRM: self.confirm}
        for record in records:
            waiting[record.phase] -= 1
        to_come = sum(max(waiting[phase], 0) * length[phase] for phase in waiting)
        to_come += sum(max(length[r.phase] - r.epoch, 0.0) for r in records if r.ended_at is None)
        return to_come * (time.monotonic() - self.began) / reported


def live(console: Console, view: LiveView) -> AbstractContextManager[object]:
    """Show the view until the block ends; nothing where there is no terminal."""
    shown = Live(view, console=console, refresh_per_second=4, transient=True)
    return shown if console.is_terminal else nullcontext()
