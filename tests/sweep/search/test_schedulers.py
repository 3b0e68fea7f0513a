import math
from types import SimpleNamespace

import pytest
from ray.tune.schedulers import TrialScheduler
from ray.tune.utils.object_cache import _ObjectCache

from sweep.search.schedulers import SCHEDULERS, SchedulerContext, build_scheduler

CONTINUE, STOP = TrialScheduler.CONTINUE, TrialScheduler.STOP


class Run:
    """A scheduler with trials by name, told results by hand; "a-0" and "a-1" are seeds of a."""

    def __init__(self, name="asha", epochs=9, grace_period=1, reduction_factor=3.0, seeds=1):
        context = SchedulerContext(
            epochs, grace_period, reduction_factor, concurrent=2, seeds=seeds
        )
        self.scheduler = build_scheduler(name, context)
        self.controller = SimpleNamespace(_actor_cache=_ObjectCache())
        self.trials = {}
        self.configurations = {}

    def tell(self, name, epoch, accuracy):
        if name not in self.trials:
            self.add(name)
        result = self.result(epoch, accuracy)
        return self.scheduler.on_trial_result(None, self.trials[name], result)

    def add(self, *names, **values):
        for name in names:
            configuration = self.configurations.setdefault(
                name.partition("-")[0], len(self.configurations)
            )
            values["strategy"] = "scratch" if name.startswith("scratch") else None
            self.trials[name] = trial = SimpleNamespace(
                trial_id=name, status="RUNNING", placement_group_factory="1 CPU",
                config={"configuration": configuration, "values": dict(values)},
            )  # fmt: skip
            if name.startswith("fresh"):  # a run of the confirmation
                del trial.config["configuration"]
            self.scheduler.on_trial_add(self.controller, trial)

    def complete(self, name, epoch, accuracy, status="completed"):
        result = self.result(epoch, accuracy, status)
        self.scheduler.on_trial_complete(None, self.trials[name], result)

    def die(self, name):
        self.scheduler.on_trial_error(None, self.trials[name])

    @staticmethod
    def result(epoch, accuracy, status="running"):
        return {"epoch": epoch, "val_accuracy": accuracy, "status": status}


@pytest.mark.parametrize("name", SCHEDULERS)
def test_contract_workers_of_trials_that_end_together_are_all_kept(name):
    run = Run(name)
    for trial in "abcd":
        run.add(trial)
    workers = run.controller._actor_cache
    assert workers.cache_object("1 CPU", "worker of a")
    assert workers.cache_object("1 CPU", "worker of b")
    assert list(workers.flush_cached_objects()) == []
    assert not workers.cache_object("1 CPU", "a third, where two run side by side")


@pytest.mark.parametrize("name", SCHEDULERS)
def test_contract_no_trial_is_picked_before_its_turn(name):
    run = Run(name)
    run.add("a")
    run.trials["a"].status = "PENDING"  # Tune starts pending trials in order
    assert run.scheduler.choose_trial_to_run(run.controller) is None


@pytest.mark.parametrize("name", SCHEDULERS)
def test_contract_a_trial_alone_trains_to_its_end(name):
    run = Run(name)
    assert {run.tell("a", epoch, 0.1 * epoch) for epoch in range(1, 9)} == {CONTINUE}
    run.tell("a", 9, 0.9)
    run.complete("a", 9, 0.9)


@pytest.mark.parametrize("name", SCHEDULERS)
def test_contract_a_fresh_run_is_neither_stopped_nor_a_measure_for_others(name):
    run = Run(name)
    assert run.tell("first", 1, 0.5) == CONTINUE
    for number in range(6):
        assert run.tell(f"fresh{number}", 1, 0.9) == CONTINUE
    assert run.tell("fresh", 1, 0.0) == CONTINUE
    run.complete("fresh", 9, 0.99)
    assert run.tell("better than the first", 1, 0.6) == CONTINUE


@pytest.mark.parametrize("name", SCHEDULERS)
def test_contract_a_better_trial_is_not_stopped(name):
    run = Run(name)
    for epoch in range(1, 9):
        run.tell("weak", epoch, 0.1)
        assert run.tell("strong", epoch, 0.5) == CONTINUE


@pytest.mark.parametrize("name", SCHEDULERS)
@pytest.mark.parametrize("grace_period", [1, 20])
def test_contract_one_epoch_is_enough_for_a_schedule(name, grace_period):
    run = Run(name, epochs=1, grace_period=grace_period)
    run.tell("a", 1, 0.5)
    run.complete("a", 1, 0.5)


@pytest.mark.parametrize("name", SCHEDULERS)
def test_contract_a_failed_trial_may_end_without_an_accuracy(name):
    run = Run(name)
    run.tell("a", 1, 0.5)
    run.complete("a", 0, math.nan, "failed")
    assert run.tell("b", 1, 0.6) == CONTINUE


def test_none_stops_nothing():
    run = Run("none")
    assert run.tell("strong", 1, 0.9) == CONTINUE
    assert run.tell("weak", 1, 0.1) == CONTINUE
    assert run.tell("weak", 3, 0.1) == CONTINUE


def test_the_weaker_of_two_is_stopped_at_the_rung():
    run = Run()
    assert run.tell("strong", 1, 0.5) == CONTINUE
    assert run.tell("weak", 1, 0.4) == STOP


def test_rungs_are_at_the_powers_of_the_reduction_factor():
    run = Run()  # 1, 3 and 9
    run.tell("first", 1, 0.5)
    run.tell("second", 1, 0.6)
    assert run.tell("first", 2, 0.9) == CONTINUE
    assert run.tell("second", 2, 0.1) == CONTINUE
    assert run.tell("first", 3, 0.9) == CONTINUE
    assert run.tell("second", 3, 0.8) == STOP


def test_one_in_three_goes_on():
    # The 67th percentile of 0.1 … 0.6 is a third of the way from the fourth, 0.4, to 0.5.
    run = Run()
    for i in range(1, 7):
        run.tell(f"seen{i}", 1, i / 10)
    assert run.tell("below", 1, 0.42) == STOP
    assert Run().tell("alone", 1, 0.42) == CONTINUE
    assert run.tell("above", 1, 0.47) == CONTINUE


def test_nobody_is_stopped_in_the_grace_period():
    run = Run(grace_period=3)
    for epoch in (1, 2):
        assert run.tell("strong", epoch, 0.9) == CONTINUE
        assert run.tell("weak", epoch, 0.1) == CONTINUE
    assert run.tell("strong", 3, 0.9) == CONTINUE
    assert run.tell("weak", 3, 0.1) == STOP


def test_nan_neither_stops_others_nor_enters_a_rung():
    run = Run()
    assert run.tell("diverged", 1, math.nan) == CONTINUE  # it ends by itself
    run.complete("diverged", 1, math.nan, "diverged")
    assert run.tell("first", 1, 0.1) == CONTINUE  # the rung is empty still
    assert run.tell("second", 1, 0.05) == STOP
    assert run.tell("infinite", 1, math.inf) == CONTINUE
    assert run.tell("third", 1, 0.2) == CONTINUE


def test_a_diverged_trial_leaves_the_value_that_it_had():
    run = Run()
    run.tell("diverging", 1, 0.5)
    run.complete("diverging", 2, math.nan, "diverged")
    assert run.tell("weak", 1, 0.4) == STOP


def test_scratch_runs_are_neither_stopped_nor_a_measure_for_others():
    run = Run(epochs=9)
    for number in range(6):
        assert run.tell(f"scratch{number}", 1, 0.9) == CONTINUE
    assert run.tell("transfer", 1, 0.5) == CONTINUE
    assert run.tell("scratch", 1, 0.0) == CONTINUE
    run.complete("scratch", 9, 0.99)
    assert run.tell("strong", 1, 0.6) == CONTINUE


def test_nothing_is_stopped_before_the_grace_period():
    run = Run(epochs=27, grace_period=3)
    for epoch in (1, 2):
        assert run.tell("strong", epoch, 0.9) == CONTINUE
        assert run.tell("weak", epoch, 0.1) == CONTINUE
    assert run.tell("strong", 3, 0.9) == CONTINUE
    assert run.tell("weak", 3, 0.1) == STOP


def test_a_configuration_is_judged_by_the_mean_of_its_seeds():
    run = Run(seeds=2)
    run.add("a-0", "a-1", "b-0", "b-1")
    run.tell("a-0", 1, 0.5)
    run.tell("a-1", 1, 0.5)
    assert run.tell("b-0", 1, 0.2) == CONTINUE  # the other seed decides, too
    assert run.tell("b-1", 1, 0.9) == CONTINUE  # 0.55
    assert run.tell("b-0", 2, 0.1) == CONTINUE


def test_all_seeds_of_a_stopped_configuration_end():
    run = Run(seeds=3)
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


def test_a_rung_holds_means_of_configurations():
    run = Run(seeds=2)
    for name, first, second in (("a", 0.1, 0.9), ("b", 0.3, 0.3)):
        run.add(f"{name}-0", f"{name}-1")
        run.tell(f"{name}-0", 1, first)
        run.tell(f"{name}-1", 1, second)
    # The cutoff between 0.3 and 0.5 is 0.433, where 0.9 would lift it.
    run.add("c-0", "c-1")
    run.tell("c-0", 1, 0.45)
    assert run.tell("c-1", 1, 0.45) == CONTINUE


def test_seeds_without_a_worker_are_not_waited_for():
    run = Run(seeds=3)
    run.add("a-0")
    assert run.tell("a-0", 1, 0.5) == CONTINUE
    run.add("b-0")
    assert run.tell("b-0", 1, 0.4) == STOP


def test_a_seed_that_comes_late_has_its_configuration_judged_again():
    run = Run(seeds=2)
    run.add("a-0", "a-1", "b-0")
    run.tell("a-0", 1, 0.5)
    run.tell("a-1", 1, 0.5)
    assert run.tell("b-0", 1, 0.6) == CONTINUE
    assert run.tell("b-0", 2, 0.6) == CONTINUE
    run.add("b-1")
    assert run.tell("b-1", 1, 0.2) == STOP  # 0.4
    assert run.tell("b-0", 3, 0.9) == STOP


def test_the_next_rung_ends_the_wait_for_a_slow_seed():
    run = Run(seeds=2)  # rungs 1 and 3
    run.add("a-0", "a-1", "b-0", "b-1")
    run.tell("a-0", 1, 0.5)
    run.tell("a-1", 1, 0.5)
    assert [run.tell("b-0", epoch, 0.4) for epoch in (1, 2, 3)] == [CONTINUE, CONTINUE, STOP]
    run.complete("b-0", 3, 0.4, "running")
    assert run.tell("b-1", 1, 0.9) == STOP


def test_a_configuration_with_a_completed_seed_keeps_the_others():
    run = Run(seeds=2)
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
def test_a_configuration_with_a_failed_seed_ranks_below_all_without(end):
    run = Run(seeds=2)
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


def test_a_seed_that_ends_is_waited_for_no_longer():
    run = Run(seeds=3)
    run.add("a-0", "b-0", "b-1", "b-2")
    run.tell("a-0", 1, 0.5)
    assert run.tell("b-0", 1, 0.4) == CONTINUE
    assert run.tell("b-1", 1, 0.4) == CONTINUE
    run.die("b-2")
    assert run.tell("b-0", 2, 0.9) == STOP
    assert run.tell("b-1", 2, 0.9) == STOP


def test_a_trial_that_is_removed_before_a_worker_took_it_holds_nobody_up():
    run = Run(seeds=2)
    run.add("a-0", "b-0", "b-1")
    run.tell("a-0", 1, 0.5)
    assert run.tell("b-0", 1, 0.4) == CONTINUE
    run.scheduler.on_trial_remove(None, run.trials["b-1"])
    assert run.tell("b-0", 2, 0.9) == STOP


def test_a_configuration_of_which_a_seed_is_in_its_last_epoch_is_not_stopped():
    for epochs in ({}, {"epochs": 5}):
        run = Run(seeds=2, grace_period=3)
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


def test_a_seed_that_begins_its_last_epoch_is_not_trained_on_where_its_rung_says_stop():
    run = Run(seeds=2, grace_period=3)
    run.add("strong-0")
    assert run.tell("strong-0", 3, 0.9) == CONTINUE
    run.add("weak-0", "weak-1")
    assert run.tell("weak-0", 3, 0.1) == CONTINUE
    assert run.tell("weak-0", 8, 0.1) == STOP
    assert run.tell("weak-1", 1, 0.1) == STOP


def test_seeds_of_a_scratch_run_are_neither_grouped_nor_stopped():
    run = Run(seeds=2)
    run.add("a-0", "a-1", "scratch-0", "scratch-1")
    run.tell("a-0", 1, 0.5)
    run.tell("a-1", 1, 0.5)
    for epoch in range(1, 9):
        assert run.tell("scratch-0", epoch, 0.0) == CONTINUE
    run.complete("scratch-0", 9, math.nan, "diverged")
    assert run.tell("scratch-1", 1, 0.0) == CONTINUE


def test_nothing_is_kept_of_configurations_that_have_ended():
    run = Run(seeds=2)
    for name in "abcdef":
        run.add(f"{name}-0", f"{name}-1")
        for seed in (0, 1):
            run.tell(f"{name}-{seed}", 1, 0.5)
        run.complete(f"{name}-0", 9, 0.5)
        run.die(f"{name}-1")
    assert (run.scheduler.open, run.scheduler.trials) == ({}, {})
