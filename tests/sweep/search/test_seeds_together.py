"""Several seeds of each configuration through searcher and scheduler, as Tune calls them."""

import heapq
import itertools
import math
import random
from types import SimpleNamespace

import pytest
from ray.tune.schedulers import TrialScheduler
from ray.tune.search import Searcher

from sweep.search.schedulers import SchedulerContext, build_scheduler
from sweep.search.searchers import ListProposer
from sweep.search.tune_searcher import TuneSearcher

EPOCHS, CONFIGURATIONS = 9, 40
CREW = [(1, 3), (2, 3), (3, 3), (4, 3), (4, 5), (16, 3), (4, 1)]
"""Trials side by side, and seeds."""


class Told(ListProposer):
    """Scratch runs, then configurations of quality x; writes down what it is told."""

    def __init__(self, scratch):
        rng = random.Random(0)
        first = [{"x": 0.0, "strategy": "scratch"}] * scratch
        super().__init__([*first, *({"x": rng.random()} for _ in range(CONFIGURATIONS))])
        self.reports, self.ends = {}, {}

    def report(self, number, epoch, value):
        assert epoch not in self.reports.setdefault(number, {})
        self.reports[number][epoch] = value

    def finish(self, number, verdict, value):
        assert number not in self.ends
        self.ends[number] = verdict


class Sweep:
    """Trials with a curve of their own on so many workers; each ends as Tune would end it."""

    def __init__(
        self, workers, seeds, *, failing=0.0, scratch=0, scheduler="asha", paces=(1,), grace=1
    ):
        self.proposer = proposer = Told(scratch)
        self.rows = {}
        self.searcher = TuneSearcher(proposer, list(range(seeds)), None, self.stop_unstarted)
        context = SchedulerContext(EPOCHS, grace, 3.0, seeds)
        self.scheduler = build_scheduler(scheduler, context)
        self.failing, self.seeds, self.paces = failing, seeds, paces
        self.rng, self.order = random.Random(1), itertools.count()
        self.now, self.due = 0.0, []
        while len(self.due) < workers and self.start():
            pass
        while self.due:
            self.now, _, trial = heapq.heappop(self.due)
            if not self.epoch_ends(trial):
                self.start()

    def stop_unstarted(self, number, values):
        self.rows[number] = SimpleNamespace(values=values, status="stopped", curve=[])

    def start(self):
        name = str(next(self.order))
        config = self.searcher.suggest(name)
        if config == Searcher.FINISHED:
            return False
        trial = SimpleNamespace(
            trial_id=name, config=config, should_recover=lambda: False,
            values=config["values"], status="running", curve=[], pace=self.rng.choice(self.paces),
        )  # fmt: skip
        self.rows[config["number"]] = trial
        self.scheduler.on_trial_add(None, trial)
        self.push(trial)
        return True

    def push(self, trial):
        due = self.now + trial.pace * self.rng.uniform(0.9, 1.1)
        heapq.heappush(self.due, (due, next(self.order), trial))

    def epoch_ends(self, trial):
        """Report an epoch; whether another follows."""
        if self.rng.random() < self.failing / EPOCHS:
            return self.fail(trial)
        trial.curve.append(trial.values["x"] + self.rng.uniform(-0.2, 0.2))
        status = "completed" if len(trial.curve) == EPOCHS else "running"
        result = self.result(trial, status)
        if status == "running":
            decision = self.scheduler.on_trial_result(None, trial, result)
            if decision == TrialScheduler.CONTINUE:
                self.searcher.on_trial_result(trial.trial_id, result)
                self.push(trial)
                return True
        self.scheduler.on_trial_complete(None, trial, result)
        self.searcher.on_trial_complete(trial.trial_id, result)
        trial.status = "stopped" if status == "running" else status
        return False

    def fail(self, trial):
        """Half of them diverge, of the others the worker dies."""
        trial.status = self.rng.choice(["diverged", "failed"])
        if trial.status == "failed":
            self.scheduler.on_trial_error(None, trial)
            self.searcher.on_trial_complete(trial.trial_id, error=True)
        else:
            result = {**self.result(trial, "diverged"), "val_accuracy": math.nan}
            self.scheduler.on_trial_complete(None, trial, result)
            self.searcher.on_trial_complete(trial.trial_id, result)
        return False

    @staticmethod
    def result(trial, status):
        return {
            "epoch": len(trial.curve), "val_accuracy": trial.curve[-1] if trial.curve else 0.0,
            "best_val_accuracy": max(trial.curve, default=0.0), "status": status,
        }  # fmt: skip

    def configurations(self):
        rows = [self.rows[number] for number in range(len(self.rows))]
        return [rows[i : i + self.seeds] for i in range(0, len(rows), self.seeds)]


@pytest.mark.parametrize(("workers", "seeds"), CREW)
def test_every_seed_has_a_row_and_no_configuration_is_stopped_in_part(workers, seeds):
    sweep = Sweep(workers, seeds)
    assert len(sweep.rows) == len(sweep.searcher.handed_out) == CONFIGURATIONS * seeds
    ends = [{row.status for row in rows} for rows in sweep.configurations()]
    assert {"stopped"} in ends
    assert {"completed"} in ends
    assert all(len(statuses) == 1 for statuses in ends)
    for number, rows in enumerate(sweep.configurations()):
        assert [row.values["seed"] for row in rows] == list(range(seeds))
        assert len({row.values["x"] for row in rows}) == 1
        verdict = "pruned" if rows[0].status == "stopped" else "complete"
        assert sweep.proposer.ends[number] == verdict
    assert sweep.scheduler.trials == {}


@pytest.mark.parametrize("grace", [1, 3, 8])
@pytest.mark.parametrize(("workers", "seeds"), [(3, 3), (4, 5), (16, 3)])
def test_no_configuration_is_stopped_in_part_where_workers_differ_in_speed(workers, seeds, grace):
    sweep = Sweep(workers, seeds, paces=(1, 3), grace=grace)
    ends = [{row.status for row in rows} for rows in sweep.configurations()]
    assert {"stopped"} in ends
    assert {"completed"} in ends
    assert all(len(statuses) == 1 for statuses in ends)


@pytest.mark.parametrize(("workers", "seeds"), CREW)
def test_the_proposer_hears_means_at_the_same_epoch(workers, seeds):
    sweep = Sweep(workers, seeds)
    for number, rows in enumerate(sweep.configurations()):
        trained = [row.curve for row in rows if row.curve]
        common = min(map(len, trained))
        expected = {
            epoch + 1: pytest.approx(sum(curve[epoch] for curve in trained) / len(trained))
            for epoch in range(common)
        }
        assert sweep.proposer.reports[number] == expected


@pytest.mark.parametrize(("workers", "seeds"), [(3, 3), (16, 4)])
def test_seeds_that_run_side_by_side_end_within_two_epochs_of_each_other(workers, seeds):
    for rows in Sweep(workers, seeds).configurations():
        lengths = [len(row.curve) for row in rows]
        assert max(lengths) - min(lengths) <= 2


@pytest.mark.parametrize(("workers", "seeds"), CREW)
def test_failed_seeds_leave_every_trial_with_its_row(workers, seeds):
    sweep = Sweep(workers, seeds, failing=0.3)
    assert len(sweep.rows) == CONFIGURATIONS * seeds
    assert all(row.status != "running" for row in sweep.rows.values())
    assert len(sweep.proposer.ends) == CONFIGURATIONS
    failed = ("diverged", "failed")
    for number, rows in enumerate(sweep.configurations()):
        with_failure = any(row.status in failed for row in rows)
        assert (sweep.proposer.ends[number] == "fail") == with_failure
    values = [v for reports in sweep.proposer.reports.values() for v in reports.values()]
    assert all(map(math.isfinite, values))
    assert sweep.scheduler.trials == {}


@pytest.mark.parametrize(("workers", "seeds"), CREW)
def test_scratch_runs_train_to_their_end(workers, seeds):
    sweep = Sweep(workers, seeds, scratch=2)
    for rows in sweep.configurations()[:2]:
        assert {(row.status, len(row.curve)) for row in rows} == {("completed", EPOCHS)}
    assert len(sweep.rows) == (CONFIGURATIONS + 2) * seeds


def test_without_a_scheduler_every_seed_trains_to_its_end():
    sweep = Sweep(2, 3, scheduler="none")
    assert {len(row.curve) for row in sweep.rows.values()} == {EPOCHS}
