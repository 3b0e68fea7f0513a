"""What Tune asks for and decides, told to the desk in order; how many trials are under way."""

from collections.abc import Callable, Container, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from ray.tune import Callback
from ray.tune.experiment import Trial as TuneTrial
from ray.tune.search import Searcher

from sweep.configurations.distinct import Values
from sweep.engine.desk import Event, proposed
from sweep.engine.known import Trial
from sweep.search.tune_searcher import Result, UnsavedSearcher
from sweep.trial.slot import ATTEMPT

HEADS_PER_PROCESS = 4
"""Trials under way for each trainer process where these are heads, which train as a group, and are
not known in advance."""
KeyOf = Callable[[Values], str | None]


def planned_trials(
    first: int, values: Sequence[Values], key_of: KeyOf, ended: Container[int] = ()
) -> list[Trial]:
    """Trials that are known in advance, from number `first` on, without those that have ended."""
    numbered = enumerate(values, first)
    return [Trial(number, own, key_of(own)) for number, own in numbered if number not in ended]


@dataclass(frozen=True)
class UnderWay:
    """A trial that had been proposed and had not ended when the driver did.

    Attributes:
        name: what the searcher calls it.
        config: what the searcher suggested.
        trained: epochs that the driver had heard.
    """

    name: str
    config: dict[str, Any]
    trained: int


def unrecorded(kind: str, **fields: Any) -> None:
    """Take an entry that no journal keeps."""


class Feed(UnsavedSearcher):
    """Hands a searcher's trials to Tune and to the desk; Tune's names of them change, its do not.

    Args:
        searcher: proposes the trials.
        key_of: values → the key of a trial that may train in a group.
        tell: takes what the driver has decided, in order.
        processes: returns the number of trainer processes that there are, or will be.
        planned: whether the desk knows the trials already; their groups need no more slots.
        left: trials that were under way before; they come first.
        proposed: how many trials the searcher has proposed before.
        record: takes an entry of each new proposal.

    Attributes:
        names: Tune's name of a trial → the searcher's.
        cut: numbers of the trials that the time budget has ended.
        waits: returns whether no further trial is to begin now.
    """

    def __init__(
        self,
        searcher: Searcher,
        key_of: KeyOf,
        tell: Callable[[list[Event]], None],
        processes: Callable[[], int],
        *,
        planned: bool = False,
        left: Iterable[UnderWay] = (),
        proposed: int = 0,
        record: Callable[..., None] = unrecorded,
    ) -> None:
        super().__init__()
        self.asked, self.key_of, self.planned = searcher, key_of, planned
        self.tell, self.processes, self.record = tell, processes, record
        self.left, self.proposed = list(left), proposed
        self.names: dict[str, str] = {}
        self.numbers: dict[str, int] = {}
        self.cut = set[int]()
        self.waits: Callable[[], bool] = lambda: False
        self.events: list[Event] = []
        self.weights: dict[str, int] = {}
        self.heard: dict[int, int] = {}

    def suggest(self, trial_id: str) -> Any:
        """The next trial; None while enough are under way."""
        if self.waits() or sum(self.weights.values()) >= HEADS_PER_PROCESS * self.processes():
            return None
        following = self.left.pop(0) if self.left else self._proposed()
        if not isinstance(following, UnderWay):
            return following
        trial, number = following.config, following.config["number"]
        if planned := trial.pop("planned", None):
            self.plan(*planned)
        self.names[trial_id], self.numbers[trial_id] = following.name, number
        key = self.key_of(trial["values"])
        joins = key is not None and not self.planned
        self.weights[trial_id] = 1 if joins else HEADS_PER_PROCESS
        if following.trained:
            self.heard[number] = following.trained
        stoppable = "configuration" in trial
        self.events.append(
            proposed(number, trial["values"], key, stoppable=stoppable, trained=following.trained)
        )
        return trial

    def _proposed(self) -> Any:
        """The searcher's next trial, None, or FINISHED."""
        name = f"p{self.proposed}"
        trial = self.asked.suggest(name)
        if not isinstance(trial, dict):
            return trial
        self.proposed += 1
        fields = {key: trial.get(key) for key in ("number", "configuration", "values")}
        self.record("propose", **fields)
        return UnderWay(name, trial, 0)

    def plan(self, first: int, values: Sequence[Values], ended: Container[int] = ()) -> None:
        """Tell the desk of trials from number `first` on that are known in advance."""
        self.planned = True
        known = planned_trials(first, values, self.key_of, ended)
        self.events.append(("plan", known, first))

    def on_trial_result(self, trial_id: str, result: Result) -> None:
        """Tell the searcher."""
        self.asked.on_trial_result(self.names.get(trial_id, trial_id), result)

    def on_trial_complete(
        self, trial_id: str, result: Result | None = None, error: bool = False
    ) -> None:
        """Tell the searcher; one more trial may begin."""
        self.weights.pop(trial_id, None)
        self.numbers.pop(trial_id, None)
        self.asked.on_trial_complete(self.names.pop(trial_id, trial_id), result, error)

    def take_result(self, number: int) -> None:
        """The driver has heard one more report of a trial."""
        self.heard[number] = self.heard.get(number, 0) + 1
        self.events.append(("heard", number, self.heard[number]))

    def again(self, number: int, attempt: int) -> None:
        """So many slots of a trial have died; it gets another."""
        self.events.append(("again", number, attempt))

    def end(self, number: int) -> None:
        """The driver has ended a trial."""
        self.heard.pop(number, None)
        self.events.append(("end", number))

    def decided(self) -> None:
        """Tune has done all that follows from what it heard: tell the desk."""
        if self.events:
            self.tell(self.events)
            self.events = []


class Following(Callback):
    """Tells a feed what became of the trials.

    Args:
        begins, between: called at Tune's first step, and at every one.
    """

    def __init__(
        self, feed: Feed, begins: Callable[[], None], between: Callable[[], None]
    ) -> None:
        self.feed, self.begins, self.between = feed, begins, between
        self.begun = False

    def on_step_begin(self, iteration: int, trials: list[TuneTrial], **info: Any) -> None:
        """Tune looks for something to do."""
        if not self.begun:
            self.begun = True
            self.begins()
        self.between()

    def on_trial_result(
        self,
        iteration: int,
        trials: list[TuneTrial],
        trial: TuneTrial,
        result: Result,
        **info: Any,
    ) -> None:
        """An epoch ended, or the trial failed."""
        self.feed.take_result(trial.config["number"])

    def on_trial_complete(
        self, iteration: int, trials: list[TuneTrial], trial: TuneTrial, **info: Any
    ) -> None:
        """The trial ended by itself or was stopped."""
        self.feed.end(trial.config["number"])

    def on_trial_recover(
        self, iteration: int, trials: list[TuneTrial], trial: TuneTrial, **info: Any
    ) -> None:
        """The trial's slot died; Tune starts another with the trial's `config`."""
        trial.config[ATTEMPT] = trial.config.get(ATTEMPT, 0) + 1
        self.feed.again(trial.config["number"], trial.config[ATTEMPT])

    def on_trial_error(
        self, iteration: int, trials: list[TuneTrial], trial: TuneTrial, **info: Any
    ) -> None:
        """The trial's slot died, too often."""
        self.feed.end(trial.config["number"])

    def __getstate__(self) -> dict[str, Any]:
        return {}  # Tune pickles its callbacks
