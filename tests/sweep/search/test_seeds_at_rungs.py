"""ASHA with several seeds: a configuration is stopped as one, by the mean of its seeds."""

import math

import pytest
from ray.tune.schedulers import TrialScheduler

CONTINUE, STOP = TrialScheduler.CONTINUE, TrialScheduler.STOP


def test_the_mean_of_its_seeds_decides_on_a_configuration(scheduled):
    run = scheduled(seeds=2)
    run.add("a-0", "a-1", "b-0", "b-1")
    run.tell("a-0", 1, 0.5)
    run.tell("a-1", 1, 0.5)
    assert run.tell("b-0", 1, 0.2) == CONTINUE  # the other seed decides, too
    assert run.tell("b-1", 1, 0.9) == CONTINUE  # 0.55
    assert run.tell("b-0", 2, 0.1) == CONTINUE


def test_all_seeds_of_a_stopped_configuration_end(scheduled):
    run = scheduled(seeds=3)
    run.add("a-0", "a-1", "a-2", "b-0", "b-1", "b-2")
    for name in ("a-0", "a-1", "a-2"):
        assert run.tell(name, 1, 0.5) == CONTINUE
    assert run.tell("b-0", 1, 0.7) == CONTINUE
    assert run.tell("b-1", 1, 0.3) == CONTINUE
    assert run.tell("b-0", 2, 0.9) == CONTINUE
    assert run.tell("b-2", 1, 0.3) == STOP  # 0.43
    run.complete("b-2", 1, 0.3, "running")
    assert run.tell("b-0", 3, 0.99) == STOP
    assert run.tell("b-1", 2, 0.99) == STOP
    assert run.tell("a-0", 2, 0.1) == CONTINUE


def test_a_rung_holds_means_of_configurations(scheduled):
    run = scheduled(seeds=2)
    for name, first, second in (("a", 0.1, 0.9), ("b", 0.3, 0.3)):
        run.add(f"{name}-0", f"{name}-1")
        run.tell(f"{name}-0", 1, first)
        run.tell(f"{name}-1", 1, second)
    # The cutoff between 0.3 and 0.5 is 0.433, where 0.9 would lift it.
    run.add("c-0", "c-1")
    run.tell("c-0", 1, 0.45)
    assert run.tell("c-1", 1, 0.45) == CONTINUE


def test_seeds_without_a_worker_are_not_waited_for(scheduled):
    run = scheduled(seeds=3)
    run.add("a-0")
    assert run.tell("a-0", 1, 0.5) == CONTINUE
    run.add("b-0")
    assert run.tell("b-0", 1, 0.4) == STOP


def test_a_late_seed_has_its_configuration_decided_again(scheduled):
    run = scheduled(seeds=2)
    run.add("a-0", "a-1", "b-0")
    run.tell("a-0", 1, 0.5)
    run.tell("a-1", 1, 0.5)
    assert run.tell("b-0", 1, 0.6) == CONTINUE
    assert run.tell("b-0", 2, 0.6) == CONTINUE
    run.add("b-1")
    assert run.tell("b-1", 1, 0.2) == STOP  # 0.4
    assert run.tell("b-0", 3, 0.9) == STOP


def test_the_next_rung_ends_the_wait_for_a_slow_seed(scheduled):
    run = scheduled(seeds=2)  # rungs 1 and 3
    run.add("a-0", "a-1", "b-0", "b-1")
    run.tell("a-0", 1, 0.5)
    run.tell("a-1", 1, 0.5)
    assert [run.tell("b-0", epoch, 0.4) for epoch in (1, 2, 3)] == [CONTINUE, CONTINUE, STOP]
    run.complete("b-0", 3, 0.4, "running")
    assert run.tell("b-1", 1, 0.9) == STOP


def test_a_configuration_with_a_completed_seed_keeps_the_others(scheduled):
    run = scheduled(seeds=2)
    run.add("a-0")
    for epoch in range(1, 9):
        assert run.tell("a-0", epoch, 0.5) == CONTINUE
    run.complete("a-0", 9, 0.5)
    run.add("b-0", "b-1")
    run.tell("b-0", 1, 0.9)
    run.tell("b-1", 1, 0.9)
    run.add("a-1")
    assert {run.tell("a-1", epoch, 0.1) for epoch in range(1, 9)} == {CONTINUE}


@pytest.mark.parametrize("end", ["diverged", "failed", "died"])
def test_a_configuration_with_a_failed_seed_ranks_below_all_without(scheduled, end):
    run = scheduled(seeds=2)
    run.add("a-0", "a-1", "b-0", "b-1", "c-0", "c-1")

    def lose(name):
        run.die(name) if end == "died" else run.complete(name, 1, math.nan, end)

    lose("a-0")
    assert run.tell("a-1", 1, 0.9) == CONTINUE  # the first at the rung
    lose("b-0")
    assert run.tell("b-1", 1, 0.95) == CONTINUE  # better than another of that kind
    assert run.tell("c-0", 1, 0.1) == CONTINUE
    assert run.tell("c-1", 1, 0.1) == CONTINUE
    assert run.tell("a-1", 3, 0.9) == CONTINUE
    run.tell("c-0", 3, 0.1)
    run.tell("c-1", 3, 0.1)
    assert run.tell("b-1", 3, 0.95) == STOP


def test_a_seed_that_ends_is_waited_for_no_longer(scheduled):
    run = scheduled(seeds=3)
    run.add("a-0", "b-0", "b-1", "b-2")
    run.tell("a-0", 1, 0.5)
    assert run.tell("b-0", 1, 0.4) == CONTINUE
    assert run.tell("b-1", 1, 0.4) == CONTINUE
    run.die("b-2")
    assert run.tell("b-0", 2, 0.9) == STOP
    assert run.tell("b-1", 2, 0.9) == STOP


def test_a_trial_that_is_removed_before_a_worker_took_it_holds_nobody_up(scheduled):
    run = scheduled(seeds=2)
    run.add("a-0", "b-0", "b-1")
    run.tell("a-0", 1, 0.5)
    assert run.tell("b-0", 1, 0.4) == CONTINUE
    run.scheduler.on_trial_remove(None, run.trials["b-1"])
    assert run.tell("b-0", 2, 0.9) == STOP


def test_a_configuration_of_which_a_seed_is_in_its_last_epoch_is_not_stopped(scheduled):
    for epochs in ({}, {"epochs": 5}):
        run = scheduled(seeds=2, grace_period=3)
        run.add("strong-0")
        assert run.tell("strong-0", 3, 0.9) == CONTINUE
        run.add("weak-0", **epochs)
        run.add("weak-1", **epochs)
        last = epochs.get("epochs", 9)
        assert run.tell("weak-0", 3, 0.9) == CONTINUE  # waits for the other
        assert run.tell("weak-0", last - 1, 0.9) == CONTINUE  # and no longer
        assert run.tell("weak-1", 3, 0.1) == CONTINUE
        run.complete("weak-0", last, 0.9)
        assert run.tell("weak-1", last - 1, 0.1) == CONTINUE


def test_a_seed_that_begins_its_last_epoch_is_not_trained_on_where_its_rung_says_stop(scheduled):
    run = scheduled(seeds=2, grace_period=3)
    run.add("strong-0")
    assert run.tell("strong-0", 3, 0.9) == CONTINUE
    run.add("weak-0", "weak-1")
    assert run.tell("weak-0", 3, 0.1) == CONTINUE
    assert run.tell("weak-0", 8, 0.1) == STOP
    assert run.tell("weak-1", 1, 0.1) == STOP


def test_seeds_of_a_scratch_run_are_neither_grouped_nor_stopped(scheduled):
    run = scheduled(seeds=2)
    run.add("a-0", "a-1", "scratch-0", "scratch-1")
    run.tell("a-0", 1, 0.5)
    run.tell("a-1", 1, 0.5)
    for epoch in range(1, 9):
        assert run.tell("scratch-0", epoch, 0.0) == CONTINUE
    run.complete("scratch-0", 9, math.nan, "diverged")
    assert run.tell("scratch-1", 1, 0.0) == CONTINUE


def test_nothing_is_kept_of_configurations_that_have_ended(scheduled):
    run = scheduled(seeds=2)
    for name in "abcdef":
        run.add(f"{name}-0", f"{name}-1")
        for seed in (0, 1):
            run.tell(f"{name}-{seed}", 1, 0.5)
        run.complete(f"{name}-0", 9, 0.5)
        run.die(f"{name}-1")
    assert (run.scheduler.open, run.scheduler.trials) == ({}, {})
