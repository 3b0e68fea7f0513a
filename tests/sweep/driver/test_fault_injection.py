"""Sweeps of which a tenth of the trials diverge, a tenth die and some run over time."""

from collections import Counter

import numpy as np
import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from benchmarks.simulated_sweep import CONFIGURATIONS, Settings, Sweep
from benchmarks.verdict import NoisyWorld, best_by_rule
from sweep.judge.verdict import verdict

FAULTS = {"nan": 0.1, "crash": 0.1, "slow": 0.05}
OF_END = {
    "completed": "COMPLETE", "stopped": "PRUNED", "diverged": "FAIL", "failed": "FAIL",
    "timed_out": "FAIL", "interrupted": "FAIL",
}  # fmt: skip


@pytest.fixture
def sweep(tmp_path):
    """sweep(number, **settings) → what became of it, in a world of that number."""

    def run(number, **settings):
        world = NoisyWorld(np.random.default_rng(number), "normal", 0.01, 0.003, 500)
        folder = tmp_path / str(number)
        folder.mkdir()
        return Sweep(world, Settings(**{**FAULTS, "seed": number, **settings}), folder).run()

    return run


def assert_accounted_for(outcome, planned):
    """Every trial has one row, and a status that says how it was made to end."""
    trials = outcome.trials
    searched = trials[trials["phase"] == "search"]
    assert len(searched) == planned
    assert trials["trial_id"].is_unique
    numbers = trials["trial_id"].str[-5:].astype(int)
    assert sorted(numbers) == list(range(len(trials)))
    cut = {"timed_out", "interrupted"}
    for number, status, error in zip(numbers, trials["status"], trials["error"], strict=True):
        end = outcome.ends.get(number)
        ways = {None: {"stopped"}, "": {"completed", "stopped"}, "nan": {"diverged", "stopped"},
                "crash": {"failed", "stopped"}}[end]  # fmt: skip
        assert status in ways | cut, (number, end, status)
        assert isinstance(error, str) == (status == "failed")
    assert outcome.faults == []


@pytest.mark.parametrize("number", range(3))
@pytest.mark.parametrize("scheduler", ["none", "asha"])
def test_each_trial_ends_as_it_was_made_to(sweep, scheduler, number):
    outcome = sweep(number, search="random", scheduler=scheduler)
    assert_accounted_for(outcome, 30)
    trials = outcome.trials
    assert not set(trials["status"]) & {"timed_out", "interrupted"}
    fresh = trials[trials["phase"] == "confirm"]
    assert len(fresh) == 15
    assert set(fresh.groupby("config_id")["seed"].nunique()) == {3}
    if scheduler == "none":
        ends = Counter(outcome.ends.values())
        assert Counter(trials["status"]) == Counter(
            {"completed": ends[""], "diverged": ends["nan"], "failed": ends["crash"]}
        )
        assert ends["nan"]
        assert ends["crash"]
    assert verdict(trials).config_id == best_by_rule(trials)


@pytest.mark.parametrize("scheduler", ["none", "asha"])
def test_of_several_seeds_each_is_accounted_for(sweep, scheduler):
    outcome = sweep(5, seeds=2, trials=12, scheduler=scheduler)
    assert_accounted_for(outcome, 24)
    assert verdict(outcome.trials).config_id == best_by_rule(outcome.trials)


CUT = {
    "time budget, before": {"time_budget": 30.0},
    "time budget, within": {"time_budget": 75.0},
    "interrupt, before": {"interrupted_at": 40.0},
    "interrupt, within": {"interrupted_at": 80.0},
}


@pytest.mark.parametrize("case", CUT)
def test_a_sweep_that_is_cut_off_names_the_best_of_what_there_is(sweep, case):
    for number in range(2):
        outcome = sweep(number + 10 * list(CUT).index(case), **CUT[case])
        assert_accounted_for(outcome, 30)
        said = verdict(outcome.trials)
        assert said.config_id == best_by_rule(outcome.trials)
        assert (said.optimism is None) == (said.confirmed == 0)
    assert set(outcome.trials["status"]) & {"timed_out", "interrupted"}


def test_the_journal_has_the_state_of_every_configuration(sweep, tmp_path):
    outcome = sweep(7, search="optuna", scheduler="asha", time_budget=80.0)
    trials = outcome.trials[outcome.trials["phase"] == "search"].set_index("config_id")
    storage = JournalStorage(JournalFileBackend(str(tmp_path / "7" / "study.log")))
    kept = optuna.load_study(study_name="s1", storage=storage).get_trials(deepcopy=False)
    states = {
        f"c{_place(trial.user_attrs['values']):03d}": trial.state.name
        for trial in kept
        if "values" in trial.user_attrs
    }
    assert {trial.state.name for trial in kept} <= {"COMPLETE", "PRUNED", "FAIL"}
    assert states == {config: OF_END[trials.loc[config, "status"]] for config in states}
    assert set(states) == set(trials.index)
    assert len(set(states.values())) == 3


def _place(values):
    return CONFIGURATIONS.index((values["lr"], values["weight_decay"]))
