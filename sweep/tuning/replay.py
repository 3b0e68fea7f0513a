"""Tell a new searcher, scheduler and ledger all that a journal holds, in the order it happened.

Nothing is trained, and no Ray is needed: after this they are as they were when the last entry was
written, and every proposal and decision has been compared with the one that was recorded.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, cast

from ray.tune.experiment import Trial
from ray.tune.schedulers import TrialScheduler

from sweep.configurations.distinct import Values
from sweep.engine.feed import UnderWay
from sweep.journal.entries import Entry
from sweep.journal.journal import as_read
from sweep.results.selection import SEARCH
from sweep.search.schedulers import Fifo
from sweep.trial.reports import pack
from sweep.tuning.confirming import ConfirmingSearcher, SharedBudget
from sweep.tuning.journal_recording import CUT, GO, STOP
from sweep.tuning.ledger import Ledger
from tl_core.errors import BadInput

NO_TUNE: Any = None
"""In the place of Tune's controller, which these schedulers do not use."""


@dataclass
class PastTrial:
    """A trial as the scheduler and the ledger see it; stands in the place of Tune's."""

    name: str
    config: dict[str, Any]
    trained: int = 0
    over: bool = False
    """Its last report was heard and decided on; only its end is not recorded."""
    last: dict[str, Any] = field(default_factory=dict)
    error_file: str | None = None

    @property
    def trial_id(self) -> str:
        """What the searcher calls it."""
        return self.name

    def should_recover(self) -> bool:
        """It ended."""
        return False


class Replay:
    """See the module.

    Args:
        searcher, scheduler, ledger, budget: new ones of the sweep.
        identify: values → the `config_id`, by the content of data and weights.

    Attributes:
        proposed: how many trials have been proposed.
        running: number → a trial that had not ended.
        late: numbers of the trials whose end was decided but not recorded; they have ended now.
    """

    def __init__(
        self,
        searcher: ConfirmingSearcher,
        scheduler: Fifo,
        ledger: Ledger,
        budget: SharedBudget,
        identify: Callable[[Values], str],
    ) -> None:
        self.searcher, self.scheduler = searcher, scheduler
        self.ledger, self.budget, self.identify = ledger, budget, identify
        self.proposed = 0
        self.running: dict[int, PastTrial] = {}
        self.late: list[int] = []

    def run(self, entries: Iterable[Entry]) -> list[UnderWay]:
        """Replay entries.

        Returns:
            The trials that had not ended, by number.

        Raises:
            BadInput: the searcher proposes, or the scheduler decides, other than was recorded.
        """
        handlers = {
            "propose": self._propose, "start": self._start, "result": self._hear,
            "end": self._end, "over": self._over, "more": self._more, "reopen": self._reopen,
            "again": self._again, "longer": self._longer,
        }  # fmt: skip
        for entry in entries:
            moment = datetime.fromtimestamp(entry["time"], UTC)
            self.ledger.now = lambda moment=moment: moment  # type: ignore[misc]
            if (handler := handlers.get(entry["kind"])) is not None:
                handler(entry)
        self.late = [number for number, trial in sorted(self.running.items()) if trial.over]
        for number in self.late:
            self._end({"number": number, "error": None})
        self.ledger.now = lambda: datetime.now(UTC)
        return [
            UnderWay(trial.name, trial.config, trial.trained)
            for _, trial in sorted(self.running.items())
        ]

    def _propose(self, entry: Entry) -> None:
        name = f"p{self.proposed}"
        trial = self.searcher.suggest(name)
        number = entry["number"]
        found = as_read(trial) if isinstance(trial, dict) else {"values": "nothing"}
        differs = [key for key in ("number", "values") if found.get(key) != entry[key]]
        if differs:
            key = differs[0]
            raise _changed(f"trial {number} was proposed as {entry[key]}, now as {found.get(key)}")
        if (config := self.identify(trial["values"])) != entry["config_id"]:
            raise _changed(f"the data or weights of trial {number} are others now ({config})")
        self.proposed += 1
        trial.pop("planned", None)
        past = self.running[number] = PastTrial(name, trial)
        self.scheduler.on_trial_add(NO_TUNE, cast(Trial, past))

    def _start(self, entry: Entry) -> None:
        self.ledger.on_trial_start(0, [], self._trial(entry))

    def _hear(self, entry: Entry) -> None:
        trial, report = self._trial(entry), entry["report"]
        result = pack(report)
        said = self._said(trial, result, entry)
        if said != entry["said"]:
            raise _changed(
                f"the decision on trial {entry['number']} at epoch {report['epoch']} was"
                f" {entry['said']!r}, now {said!r}"
            )
        past = cast(PastTrial, trial)
        if said == GO and not report["done"]:
            self.searcher.on_trial_result(past.name, result)
        self.ledger.on_trial_result(0, [], trial, result)
        past.trained, past.last = past.trained + 1, result
        past.over = said != GO or bool(report["done"])

    def _said(self, trial: Trial, result: dict[str, Any], entry: Entry) -> str:
        """What is said to a report now; what the time budget decided is not decided again."""
        if entry["said"] == CUT:
            self.budget.cut.add(trial.trial_id)
            self.ledger.out_of_time.add(entry["number"])
            return CUT
        if result["done"]:
            return GO
        decision = self.scheduler.on_trial_result(NO_TUNE, trial, result)
        return STOP if decision == TrialScheduler.STOP else GO

    def _end(self, entry: Entry) -> None:
        trial = self._trial(entry)
        past = self.running.pop(entry["number"])
        if entry["error"] is not None:
            self.scheduler.on_trial_error(NO_TUNE, trial)
            self.searcher.on_trial_complete(past.name, error=True)
            self.ledger.end_in_error(trial, entry["error"])
            return
        self.scheduler.on_trial_complete(NO_TUNE, trial, past.last)
        self.searcher.on_trial_complete(past.name, past.last)
        self.ledger.on_trial_complete(0, [], trial)

    def _over(self, entry: Entry) -> None:
        self.searcher.over = True

    def _more(self, entry: Entry) -> None:
        self.searcher.reopen(entry["options"]["trials"])

    def _reopen(self, entry: Entry) -> None:
        """Trials of the search that the time budget cut off, or kept from starting, are to run.

        Of those cut off the search has heard the end; it hears no more of them, nor the scheduler.
        """
        self.searcher.reopen()
        for number, record in sorted(self.ledger.records.items()):
            if record.phase != SEARCH or record.ended_at is None:
                continue
            if (back := self.searcher.take_back(number)) is not None:
                name, configuration = back
                values = self.ledger.start_again(number)
                config = {"number": number, "configuration": configuration, "values": values}
                trial = self.running[number] = PastTrial(name, config)
                self.scheduler.on_trial_add(NO_TUNE, cast(Trial, trial))
            elif number in self.ledger.out_of_time:
                self._run_again(number)
                self.searcher.repeated.add(self.running[number].name)

    def _again(self, entry: Entry) -> None:
        """The search has heard how these ended; it hears no more of them, nor the scheduler."""
        for number in entry["numbers"]:
            self._run_again(number)

    def _run_again(self, number: int) -> None:
        self.ledger.out_of_time.discard(number)
        config = {"number": number, "values": self.ledger.start_again(number)}
        self.running[number] = PastTrial(f"again{number}", config)

    def _longer(self, entry: Entry) -> None:
        """The search has heard how these ended; they go on all the same, and none is stopped."""
        for number in entry["numbers"]:
            trained = self.ledger.records[number].epoch
            values = self.ledger.go_on(number, entry["epochs"])
            config = {"number": number, "values": values}
            self.running[number] = PastTrial(f"longer{number}", config, trained)

    def _trial(self, entry: Entry) -> Trial:
        return cast(Trial, self.running[entry["number"]])


def _changed(what: str) -> BadInput:
    return BadInput(
        f"resume: {what}. The code, the space or the data are not what they were, so the search"
        " cannot go on where it was; run it anew under another name."
    )
