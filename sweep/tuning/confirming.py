"""A search and its confirmation in one run of Tune and in the same time budget."""

import math
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pandas as pd
from ray.tune.search import Searcher

from sweep.configurations.distinct import Values
from sweep.engine.feed import unrecorded
from sweep.plan.confirmation import Confirmation, Timed, seconds_needed
from sweep.plan.plan import Plan
from sweep.results.selection import GROUP, RANKED, to_confirm, trial_numbers
from sweep.search.tune_searcher import Result, TuneSearcher, UnsavedSearcher, unstarted
from sweep.tuning.journal_recording import Record
from sweep.tuning.ledger import Ledger
from sweep.tuning.tune_run import TimeBudget

LEAST = 2
"""Configurations that a search has to measure before time is kept to confirm the best of them."""
MOST_KEPT = 0.5
"""Share of the time budget that is kept for the confirmation, at most. Own choice."""
LOOK_SECONDS, LOOK_SHARE = 0.5, 0.05
"""Between two looks at the time: this long, or this share of what the search has left."""


class ConfirmingSearcher(UnsavedSearcher):
    """Hands out the search's trials and, when all have ended, those of the confirmation.

    Args:
        trials: of the search, no fewer than it will have; set anew once their number is known.
        begins: called with the number of all trials once it is known what is confirmed.
        known_ahead: whether the first trial of the confirmation names all of them, since some may
            be heads that train as a group.

    Attributes:
        over: whether the time budget ends the search, whatever it has left.
        cut: Tune's names of the trials that the time budget ended.
        cut_short: whether the search ended before it came to its own end.
        searching: Tune's names of the search's trials that have not ended.
        repeated: of those that the end of the time had cut off, and that run again after it.
        fresh: values of the confirmation's trials, in order.
    """

    def __init__(
        self,
        search: TuneSearcher,
        ledger: Ledger,
        confirmation: Confirmation,
        trials: int,
        begins: Callable[[int], None] = lambda trials: None,
        known_ahead: bool = False,
    ) -> None:
        super().__init__()
        self.search, self.ledger, self.confirmation = search, ledger, confirmation
        self.trials, self.begins, self.known_ahead = trials, begins, known_ahead
        self.over = self.cut_short = False
        self.cut, self.searching, self.repeated = set[str](), set[str](), set[str]()
        self.fresh: list[Values] = []
        self.earlier = 0
        """Trials of confirmations after which the search went on."""
        self._begun = False
        self._next = 0

    @property
    def handed_out(self) -> list[Values]:
        """Values of all trials by number; all of the confirmation once it began."""
        return [*self.search.handed_out, *self.fresh]

    def suggest(self, trial_id: str) -> Any:
        """The next trial; None while the last ones of the search run.

        One of the confirmation names no `configuration`: no scheduler stops it.
        """
        if not self._begun:
            suggestion = Searcher.FINISHED if self.over else self.search.suggest(trial_id)
            if isinstance(suggestion, dict):
                self.searching.add(trial_id)
                return suggestion
            if self.searching or self.repeated:
                return None
            self._begin()
        if self._next == len(self.fresh):
            return Searcher.FINISHED
        first = len(self.search.handed_out)
        trial: dict[str, Any] = {"number": first + self._next, "values": self.fresh[self._next]}
        if self.known_ahead and not self._next:
            trial["planned"] = (first, self.fresh)
        self._next += 1
        return trial

    def _begin(self) -> None:
        """Choose what is confirmed: every configuration with its first seed, then the next."""
        self._begun = True
        if self.over:  # every trial that the search has left gets its end
            searched = len(self.search.handed_out) - self.earlier
            missing = not self.search.ended and searched < self.trials
            self.cut_short = bool(self.cut) or missing
            self.search.hand_out_rest(self.trials + self.earlier)
            self.ledger.end_all(self.search.handed_out, "timed_out")
        first = self.ledger.confirm_from = len(self.search.handed_out)
        outcomes = pd.DataFrame(self.ledger.outcomes, columns=[*RANKED, *GROUP])
        asked = self.confirmation
        numbers = trial_numbers(outcomes).groupby(outcomes["config_id"]).min()
        best, groups = asked.configurations, asked.groups
        chosen = to_confirm(outcomes, best, groups) if best else []
        had = set(zip(outcomes["config_id"], outcomes["seed"], strict=True))
        self.fresh = [
            {**self.search.handed_out[int(numbers[config])], "seed": seed}
            for seed in asked.seeds
            for config in chosen
            if (config, seed) not in had
        ]
        self.begins(first + len(self.fresh))

    def on_trial_result(self, trial_id: str, result: Result) -> None:
        """Tell the search of its own trials."""
        if trial_id in self.searching:
            self.search.on_trial_result(trial_id, result)

    def on_trial_complete(
        self, trial_id: str, result: Result | None = None, error: bool = False
    ) -> None:
        """Tell the search of its own trials; of one that was cut off nothing is known."""
        self.repeated.discard(trial_id)
        if trial_id in self.searching:
            self.searching.remove(trial_id)
            known = None if trial_id in self.cut else result
            self.search.on_trial_complete(trial_id, known, error)

    def hand_out_rest(self, planned: int) -> None:
        """Number the search's trials that will never begin; the confirmation's have numbers."""
        if not self._begun:
            self.search.hand_out_rest(planned + self.earlier)

    def reopen(self, trials: int | None = None) -> None:
        """Go on with the search after its confirmation, up to so many configurations in all.

        Trials that were handed out keep their numbers. Without `trials` there are to be as many as
        before.
        """
        if trials is not None:
            self.search.proposer.extend(trials)
        self.search.handed_out += self.fresh[: self._next]
        self.earlier += self._next
        self.search.ended = self.over = self.cut_short = self._begun = False
        self.cut.clear()
        self.fresh, self._next = [], 0
        self.ledger.confirm_from = math.inf

    def take_back(self, number: int) -> tuple[str, int] | None:
        """A trial that the end of the time kept from starting: its name, its configuration.

        The search hears of it from now on. None for any other trial.
        """
        name = unstarted(number)
        configuration = self.search.trials.get(name)
        if configuration is None:
            return None
        self.searching.add(name)
        return name, configuration

    def close(self) -> None:
        """Tell the search that there is nothing more to come."""
        self.search.close()


class SharedBudget(TimeBudget):
    """A time budget that ends the search early enough for the confirmation.

    The epochs of the best configurations so far tell what the confirmation needs, with
    `concurrent` trials side by side. Running trials of the search end after the epoch that they
    are in. `seconds` are for both, None for no limit. `record` is told when the search is over.
    """

    def __init__(
        self,
        seconds: float | None,
        searcher: ConfirmingSearcher,
        plan: Plan,
        concurrent: int,
        record: Record = unrecorded,
    ) -> None:
        super().__init__(seconds)
        self.record = record
        self.searcher, self.plan, self.concurrent = searcher, plan, concurrent
        self.next_look = 0.0
        self.cut = searcher.cut

    def __call__(self, trial_id: str, result: Result) -> bool:
        """Whether a trial is one of a search that is over."""
        of_search = trial_id in self.searcher.searching or trial_id in self.searcher.repeated
        if ends := self.searcher.over and of_search and not result["done"]:
            self.cut.add(trial_id)
        return ends

    def stop_all(self) -> bool:
        """Whether the time is over; looks at what the confirmation needs, too."""
        if super().stop_all():
            return True
        now = time.time()
        if self.seconds is not None and not self.searcher.over and now >= self.next_look:
            kept = self._kept(MOST_KEPT * self.seconds)
            left = self.began + self.seconds - kept - now
            if kept > 0 and left <= 0:
                self.searcher.over = True
                self.record("over")
            self.next_look = now + max(LOOK_SECONDS, LOOK_SHARE * left)
        return False

    def _kept(self, most: float) -> float:
        """Seconds for the confirmation of what was measured so far.

        This is `most` where the seeds need more but one seed of each fits, and 0 where not even
        that does, or where there is nothing to choose among yet.
        """
        asked = self.searcher.confirmation
        count = asked.configurations and asked.configurations + asked.extra
        best = self.searcher.ledger.leader.first(max(count, LEAST))
        if not count or len(best) < LEAST:
            return 0.0
        whole, one = (self._needed(best[:count], seeds) for seeds in (len(asked.seeds), 1))
        if whole <= most:
            return whole
        return most if one <= most else 0.0

    def _needed(self, best: list[list[Timed]], seeds: int) -> float:
        """Seconds for runs of the best with so many seeds; 0 while no epoch has ended."""
        about = {"epochs": self.plan.epochs, "concurrent": self.concurrent}
        return seconds_needed(best, len(best) * seeds, now=datetime.now(UTC), **about) or 0.0
