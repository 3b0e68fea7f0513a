"""A search and its confirmation, told by hand what Tune would tell them."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from ray.tune.search import Searcher

from sweep.plan.confirmation import Confirmation
from sweep.search.searchers import ListProposer
from sweep.search.tune_searcher import TuneSearcher
from sweep.trial.job import Job
from sweep.trial.reports import pack
from sweep.tuning.confirming import ConfirmingSearcher, SharedBudget
from sweep.tuning.ledger import Ledger

FINISHED = Searcher.FINISHED


class Heard(ListProposer):
    """A list that keeps what it is told of the ends."""

    def __init__(self, points):
        super().__init__(points)
        self.ends = []

    def finish(self, number, verdict, value):
        self.ends.append((number, verdict, value))


class Sweep:
    """Configurations by learning rate, trained to an accuracy of their own in two epochs."""

    def __init__(self, folder, rates=(0.1, 0.2, 0.3), seeds=(0,), **confirmation):
        job = Job("s1", {}, (), {}, str(folder / "checkpoints"))
        self.ledger = Ledger(job, folder, {}, lambda v: {**v, "config_id": f"lr{v['lr']}"})
        self.proposer = Heard([{"lr": rate} for rate in rates])
        self.begun = []
        fields = {"configurations": 2, "seeds": (7, 8), "groups": ("strategy",), **confirmation}
        self.searcher = ConfirmingSearcher(
            TuneSearcher(self.proposer, list(seeds)), self.ledger, Confirmation(**fields),
            len(rates) * len(seeds), self.begun.append,
        )  # fmt: skip
        self.tune = 0
        self.running = {}

    def ask(self):
        """The next trial as Tune has it, or what the searcher says in its place."""
        self.tune += 1
        config = self.searcher.suggest(f"t{self.tune}")
        if not isinstance(config, dict):
            return config
        metadata = SimpleNamespace(last_result={}, metric_analysis={}, metric_n_steps={})
        trial = SimpleNamespace(
            trial_id=f"t{self.tune}", config=config, run_metadata=metadata, error_file=None
        )
        self.ledger.on_trial_start(0, [], trial)
        return trial

    def end(self, trial, accuracy, status="completed"):
        result = pack({
            "epoch": 2, "train_seconds": 1.0, "eval_seconds": 0.0, "images_per_second": 1.0,
            "host_memory_bytes": 0, "val_accuracy": accuracy, "best_val_accuracy": accuracy,
            "status": status, "error": None, "done": status != "running",
        })  # fmt: skip
        self.searcher.on_trial_complete(trial.trial_id, result)
        self.ledger.on_trial_result(0, [], trial, result)
        self.ledger.on_trial_complete(0, [], trial)

    def search(self, *accuracies):
        for accuracy in accuracies:
            self.end(self.ask(), accuracy)


@pytest.fixture
def sweep(tmp_path):
    return lambda *args, **fields: Sweep(tmp_path, *args, **fields)


def test_the_best_run_again_with_each_fresh_seed_in_turn(sweep):
    made = sweep()
    made.search(0.5, 0.9, 0.7)
    trials = [made.ask() for _ in range(4)]
    values = [(t.config["number"], t.config["values"]["lr"], t.config["values"]["seed"])
              for t in trials]  # fmt: skip
    assert values == [(3, 0.2, 7), (4, 0.3, 7), (5, 0.2, 8), (6, 0.3, 8)]
    assert not any("configuration" in t.config for t in trials)  # no scheduler stops them
    assert made.ask() == FINISHED
    assert made.begun == [7]
    assert len(made.searcher.handed_out) == 7


def test_it_begins_when_every_trial_of_the_search_has_ended(sweep):
    made = sweep()
    first, second, third = made.ask(), made.ask(), made.ask()
    made.end(third, 0.9)
    assert made.ask() is None
    made.end(first, 0.5)
    assert made.ask() is None
    made.end(second, 0.7, status="diverged")
    assert [made.ask().config["values"]["lr"] for _ in range(2)] == [0.3, 0.1]


def test_all_seeds_of_a_configuration_are_one(sweep):
    made = sweep(rates=(0.1, 0.2), seeds=(0, 1))
    made.search(0.9, 0.1, 0.6, 0.6)
    assert made.ask().config["values"] == {"lr": 0.2, "seed": 7}


def test_heads_are_told_what_is_planned(sweep):
    made = sweep()
    made.searcher.known_ahead = True
    made.search(0.5, 0.9, 0.7)
    first, second = made.ask().config, made.ask().config
    assert first["planned"] == (3, made.searcher.fresh)
    assert "planned" not in second  # told once


def test_the_search_hears_nothing_of_it(sweep):
    made = sweep(configurations=1)
    made.search(0.5, 0.9, 0.7)
    trial = made.ask()
    made.searcher.on_trial_result(trial.trial_id, {"epoch": 1, "val_accuracy": 0.1})
    made.end(trial, 0.2)
    assert made.proposer.ends == [(0, "complete", 0.5), (1, "complete", 0.9), (2, "complete", 0.7)]
    assert made.ledger.outcomes[-1]["phase"] == "confirm"


def test_without_a_confirmation_the_search_is_all(sweep):
    made = sweep(configurations=0)
    made.search(0.5, 0.9, 0.7)
    assert made.ask() == FINISHED
    assert made.begun == [3]


def test_where_nothing_has_an_accuracy_nothing_is_confirmed(sweep):
    made = sweep()
    for _ in range(3):
        made.end(made.ask(), float("nan"), status="diverged")
    assert made.ask() == FINISHED


def budget(made, seconds, *, concurrent=1, epochs=2):
    plan = SimpleNamespace(epochs=epochs)
    return SharedBudget(seconds, made.searcher, plan, concurrent)


def took(made, seconds):
    """As if every trial so far had taken this long."""
    for record in made.ledger.records.values():
        record.ended_at = datetime.now(UTC)
        record.started_at = record.ended_at - timedelta(seconds=seconds)


def test_the_search_ends_early_enough_for_its_confirmation(sweep):
    made = sweep(rates=(0.1, 0.2, 0.3, 0.4))
    time = budget(made, 1000)
    made.search(0.5, 0.4)
    took(made, 10)
    running = made.ask()
    assert not time.stop_all()
    assert not made.searcher.over
    time.began -= 940  # 60 s are left; four trials of 10 s and a margin take 49 s
    time.next_look = 0
    assert not time.stop_all()
    assert not time(running.trial_id, {"done": False})
    time.began -= 20
    time.next_look = 0
    assert not time.stop_all()
    assert made.searcher.over
    assert not time(running.trial_id, {"done": True})
    assert time(running.trial_id, {"done": False})
    made.ledger.out_of_time.add(running.config["number"])
    made.end(running, 0.6, status="running")
    fresh = [made.ask() for _ in range(4)]
    assert [t.config["number"] for t in fresh] == [4, 5, 6, 7]  # one of the search never began
    assert made.ask() == FINISHED
    assert made.searcher.cut_short
    assert made.ledger.statuses == Counter(completed=2, timed_out=2)
    assert (2, "fail", None) in made.proposer.ends  # what was cut off says nothing
    assert not time(fresh[0].trial_id, {"done": False})


@pytest.mark.parametrize(("seconds", "kept"), [(15, True), (90, False)])
def test_half_of_the_time_is_kept_at_most_and_none_if_that_is_of_no_use(sweep, seconds, kept):
    """Two configurations with one seed each have to fit into 50 seconds."""
    made = sweep()
    time = budget(made, 100)
    made.search(0.5, 0.4)
    took(made, seconds)
    time.stop_all()
    assert not made.searcher.over
    time.began -= 51
    time.next_look = 0
    time.stop_all()
    assert made.searcher.over == kept


def test_no_time_is_kept_before_there_is_a_choice(sweep):
    """One configuration is the best of one, whatever fresh seeds say of it."""
    made = sweep(configurations=1)
    time = budget(made, 100)
    made.search(0.5)
    took(made, 1)
    time.began -= 99
    time.stop_all()
    assert not made.searcher.over
    made.search(0.4)
    took(made, 1)
    time.next_look = 0
    time.stop_all()
    assert made.searcher.over


def test_time_is_kept_for_as_many_as_were_measured(sweep):
    """Two with two seeds of 10 s each and a margin take 49 s, whatever was asked for."""
    made = sweep(configurations=3, extra=4)
    time = budget(made, 200)
    made.search(0.5, 0.4)
    took(made, 10)
    time.began -= 140
    time.stop_all()
    assert not made.searcher.over
    time.began -= 12
    time.next_look = 0
    time.stop_all()
    assert made.searcher.over


def test_looks_at_the_time_are_few_however_often_tune_asks(sweep, monkeypatch):
    made = sweep()
    time = budget(made, 3600)
    looks = []
    monkeypatch.setattr(made.ledger.leader, "first", lambda count: looks.append(count) or [])
    for _ in range(3600):
        time.began -= 1
        time.next_look -= 1
        time.stop_all()
    assert time.fired
    assert 10 < len(looks) < 150


def test_without_a_budget_or_a_confirmation_no_time_is_kept(sweep):
    for made, seconds in ((sweep(), None), (sweep(configurations=0), 100)):
        time = budget(made, seconds)
        made.end(made.ask(), 0.5)
        took(made, 90)
        time.began -= 99
        time.stop_all()
        assert not made.searcher.over


def test_a_search_that_came_to_its_end_was_not_cut_short(sweep):
    made = sweep()
    made.search(0.5, 0.9, 0.7)
    made.ask()
    made.searcher.over = True
    assert not made.searcher.cut_short


def test_of_a_search_that_was_interrupted_nothing_is_confirmed(sweep):
    made = sweep()
    made.ask()
    made.searcher.hand_out_rest(3)
    assert len(made.searcher.handed_out) == 3
    made.searcher.close()
    assert [end[1] for end in made.proposer.ends] == ["fail"] * 3
