"""A version of Ray without a name that it does not publish: the code goes on without it."""

import logging
import os
from types import SimpleNamespace

import pytest
import ray
from ray._private import worker
from ray.tune.trainable.metadata import _TrainingRunMetadata

from sweep.engine.ray_cluster import logs_to
from sweep.ray_internals import forget_results, importing_for_workers, worker_messages_to


def test_messages_of_workers_are_rays_own_where_they_cannot_be_redirected(monkeypatch, tmp_path):
    monkeypatch.delattr(worker, "print_to_stdstream")
    with logs_to(tmp_path / "ray.log"):
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


def test_a_trial_that_takes_no_such_attribute_is_left_as_it_is():
    class Slotted:
        __slots__ = ("run_metadata",)

    trial = Slotted()
    trial.run_metadata = _TrainingRunMetadata()
    trial.run_metadata.last_result = {"val_accuracy": 0.5}
    forget_results(trial)
    assert not trial.run_metadata.last_result


def test_ray_is_told_of_a_worker_while_it_is_imported_and_not_after(monkeypatch):
    monkeypatch.setenv("RAY_JOB_ID", "of the user's own")
    monkeypatch.delenv("RAY_RAYLET_PID", raising=False)
    given = ray.actor.ActorClassID
    with importing_for_workers(MINE="1"):
        told = {name: os.environ[name] for name in ("RAY_JOB_ID", "RAY_RAYLET_PID", "MINE")}
        drawn = [ray.actor.ActorClassID.from_random() for _ in range(2)]
    assert told == {"RAY_JOB_ID": "ffffffff", "RAY_RAYLET_PID": str(os.getpid()), "MINE": "1"}
    assert all(isinstance(one, given) for one in drawn)
    assert drawn[0] != drawn[1]
    assert ray.actor.ActorClassID is given
    assert os.environ["RAY_JOB_ID"] == "of the user's own"
    assert not {"RAY_RAYLET_PID", "MINE"} & set(os.environ)
