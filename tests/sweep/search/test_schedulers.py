"""Schedulers of one seed a configuration: a contract of all, and the rungs of ASHA."""

import math

import pytest
from ray.tune.schedulers import TrialScheduler

from sweep.search.schedulers import SCHEDULERS

CONTINUE, STOP = TrialScheduler.CONTINUE, TrialScheduler.STOP


@pytest.mark.parametrize("name", SCHEDULERS)
def test_contract_no_trial_is_picked_before_its_turn(scheduled, name):
    run = scheduled(name)
    run.add("a")
    run.trials["a"].status = "PENDING"  # Tune starts pending trials in order
    assert run.scheduler.choose_trial_to_run(None) is None


@pytest.mark.parametrize("name", SCHEDULERS)
def test_contract_what_has_been_decided_is_told_when_tune_looks_for_a_trial(scheduled, name):
    run = scheduled(name)
    told = []
    run.scheduler.decided = lambda: told.append(True)
    run.tell("a", 1, 0.5)
    assert told == []
    run.scheduler.choose_trial_to_run(None)
    assert told == [True]


@pytest.mark.parametrize("name", SCHEDULERS)
def test_contract_a_trial_alone_trains_to_its_end(scheduled, name):
    run = scheduled(name)
    assert {run.tell("a", epoch, 0.1 * epoch) for epoch in range(1, 9)} == {CONTINUE}
    run.tell("a", 9, 0.9)
    run.complete("a", 9, 0.9)


@pytest.mark.parametrize("name", SCHEDULERS)
def test_contract_a_fresh_run_is_neither_stopped_nor_a_measure_for_others(scheduled, name):
    run = scheduled(name)
    assert run.tell("first", 1, 0.5) == CONTINUE
    for number in range(6):
        assert run.tell(f"fresh{number}", 1, 0.9) == CONTINUE
    assert run.tell("fresh", 1, 0.0) == CONTINUE
    run.complete("fresh", 9, 0.99)
    assert run.tell("better than the first", 1, 0.6) == CONTINUE


@pytest.mark.parametrize("name", SCHEDULERS)
def test_contract_a_better_trial_is_not_stopped(scheduled, name):
    run = scheduled(name)
    for epoch in range(1, 9):
        run.tell("weak", epoch, 0.1)
        assert run.tell("strong", epoch, 0.5) == CONTINUE


@pytest.mark.parametrize("name", SCHEDULERS)
@pytest.mark.parametrize("grace_period", [1, 20])
def test_contract_one_epoch_is_enough_for_a_schedule(scheduled, name, grace_period):
    run = scheduled(name, epochs=1, grace_period=grace_period)
    run.tell("a", 1, 0.5)
    run.complete("a", 1, 0.5)


@pytest.mark.parametrize("name", SCHEDULERS)
def test_contract_a_failed_trial_may_end_without_an_accuracy(scheduled, name):
    run = scheduled(name)
    run.tell("a", 1, 0.5)
    run.complete("a", 0, math.nan, "failed")
    assert run.tell("b", 1, 0.6) == CONTINUE


def test_none_stops_nothing(scheduled):
    run = scheduled("none")
    assert run.tell("strong", 1, 0.9) == CONTINUE
    assert run.tell("weak", 1, 0.1) == CONTINUE
    assert run.tell("weak", 3, 0.1) == CONTINUE


def test_the_weaker_of_two_is_stopped_at_the_rung(scheduled):
    run = scheduled()
    assert run.tell("strong", 1, 0.5) == CONTINUE
    assert run.tell("weak", 1, 0.4) == STOP


def test_rungs_are_at_the_powers_of_the_reduction_factor(scheduled):
    run = scheduled()  # 1, 3 and 9
    run.tell("first", 1, 0.5)
    run.tell("second", 1, 0.6)
    assert run.tell("first", 2, 0.9) == CONTINUE
    assert run.tell("second", 2, 0.1) == CONTINUE
    assert run.tell("first", 3, 0.9) == CONTINUE
    assert run.tell("second", 3, 0.8) == STOP


def test_one_in_three_goes_on(scheduled):
    # The 67th percentile of 0.1 … 0.6 is a third of the way from the fourth, 0.4, to 0.5.
    run = scheduled()
    for i in range(1, 7):
        run.tell(f"seen{i}", 1, i / 10)
    assert run.tell("below", 1, 0.42) == STOP
    assert scheduled().tell("alone", 1, 0.42) == CONTINUE
    assert run.tell("above", 1, 0.47) == CONTINUE


def test_nothing_is_stopped_in_the_grace_period(scheduled):
    run = scheduled(grace_period=3)
    for epoch in (1, 2):
        assert run.tell("strong", epoch, 0.9) == CONTINUE
        assert run.tell("weak", epoch, 0.1) == CONTINUE
    assert run.tell("strong", 3, 0.9) == CONTINUE
    assert run.tell("weak", 3, 0.1) == STOP


def test_nan_neither_stops_others_nor_enters_a_rung(scheduled):
    run = scheduled()
    assert run.tell("diverged", 1, math.nan) == CONTINUE  # it ends by itself
    run.complete("diverged", 1, math.nan, "diverged")
    assert run.tell("first", 1, 0.1) == CONTINUE  # the rung is empty still
    assert run.tell("second", 1, 0.05) == STOP
    assert run.tell("infinite", 1, math.inf) == CONTINUE
    assert run.tell("third", 1, 0.2) == CONTINUE


def test_a_diverged_trial_leaves_the_value_that_it_had(scheduled):
    run = scheduled()
    run.tell("diverging", 1, 0.5)
    run.complete("diverging", 2, math.nan, "diverged")
    assert run.tell("weak", 1, 0.4) == STOP


def test_scratch_runs_are_neither_stopped_nor_a_measure_for_others(scheduled):
    run = scheduled(epochs=9)
    for number in range(6):
        assert run.tell(f"scratch{number}", 1, 0.9) == CONTINUE
    assert run.tell("transfer", 1, 0.5) == CONTINUE
    assert run.tell("scratch", 1, 0.0) == CONTINUE
    run.complete("scratch", 9, 0.99)
    assert run.tell("strong", 1, 0.6) == CONTINUE


@pytest.mark.parametrize("starts_again", [True, False])
def test_a_trial_that_starts_again_has_not_failed(scheduled, starts_again):
    """Two seeds: the strong configuration's rung counts its mean unless one of them failed."""
    run = scheduled(seeds=2)
    run.add("strong-0", "strong-1", "weak-0", "weak-1")
    run.die("strong-0", starts_again=starts_again)
    for seed in (0, 1):
        if starts_again or seed:
            run.tell(f"strong-{seed}", 1, 0.9)
    run.tell("weak-0", 1, 0.4)
    assert run.tell("weak-1", 1, 0.4) == (STOP if starts_again else CONTINUE)
