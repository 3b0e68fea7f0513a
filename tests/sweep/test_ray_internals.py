"""A version of Ray without a name that it does not publish: the code goes on without it."""

import logging
import sys
from types import SimpleNamespace

import pytest
from ray._private import worker
from ray.tune.execution import class_cache
from ray.tune.trainable.metadata import _TrainingRunMetadata
from ray.tune.utils.object_cache import _ObjectCache

from sweep.driver import ray_cluster as module
from sweep.ray_internals import (
    drop_actor_environment,
    forget_results,
    keep_workers,
    worker_messages_to,
)
from sweep.search.schedulers import SCHEDULERS, SchedulerContext, build_scheduler


def test_workers_of_trials_that_end_together_are_all_kept():
    workers = _ObjectCache()
    trial = SimpleNamespace(placement_group_factory="1 CPU")
    keep_workers(SimpleNamespace(_actor_cache=workers), trial, 2)
    assert workers.cache_object("1 CPU", "worker of a")
    assert workers.cache_object("1 CPU", "worker of b")
    assert list(workers.flush_cached_objects()) == []
    assert not workers.cache_object("1 CPU", "a third, where two are to be kept")


@pytest.mark.parametrize("controller", [
    SimpleNamespace(), SimpleNamespace(_actor_cache=None),
    SimpleNamespace(_actor_cache=SimpleNamespace(increase_max=lambda factory: None)),
])  # fmt: skip
@pytest.mark.parametrize("name", SCHEDULERS)
def test_a_scheduler_runs_where_the_number_of_idle_workers_is_not_to_be_set(name, controller):
    scheduler = build_scheduler(name, SchedulerContext(9, 1, 3.0, concurrent=2))
    trial = SimpleNamespace(
        trial_id="t0", placement_group_factory="1 CPU", config={"configuration": 0, "values": {}}
    )
    scheduler.on_trial_add(controller, trial)
    result = {"epoch": 1, "val_accuracy": 0.5, "status": "running"}
    assert scheduler.on_trial_result(controller, trial, result) == "CONTINUE"


def test_actors_keep_their_environment_where_it_has_another_name(monkeypatch):
    for name, value in module.WARM.items():
        monkeypatch.setenv(name, value)
    for name in ("DEFAULT_ENV_VARS", "ENV_VARS_TO_PROPAGATE"):
        monkeypatch.delattr(class_cache, name)
    module.take_warm_workers()
    monkeypatch.setitem(sys.modules, "ray.tune.execution.class_cache", None)
    monkeypatch.delattr("ray.tune.execution.class_cache")
    drop_actor_environment()


def test_messages_of_workers_are_rays_own_where_they_cannot_be_redirected(monkeypatch, tmp_path):
    monkeypatch.delattr(worker, "print_to_stdstream")
    with module.logs_to(tmp_path / "ray.log"):
        logging.getLogger("ray.tune").warning("a banner")
    assert "a banner" in (tmp_path / "ray.log").read_text()
    assert not hasattr(worker, "print_to_stdstream")


def test_a_message_may_come_with_more_than_today(monkeypatch, caplog):
    with worker_messages_to(logging.getLogger("told")):
        worker.print_to_stdstream({"pid": 7, "lines": ["it died"]}, True, color="red")
    assert caplog.messages == ["7: it died"]


@pytest.mark.parametrize("missing", ["run_metadata", "metric_analysis", "metric_n_steps"])
def test_of_results_what_is_found_is_forgotten(missing):
    trial = SimpleNamespace(run_metadata=_TrainingRunMetadata())
    trial.run_metadata.last_result = {"val_accuracy": 0.5}
    kept = trial.run_metadata.last_result
    delattr(trial if missing == "run_metadata" else trial.run_metadata, missing)
    forget_results(trial)
    assert bool(kept) == (missing == "run_metadata")
