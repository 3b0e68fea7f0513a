"""A version of Ray without a name that it does not publish: the code goes on without it."""

import logging
from types import SimpleNamespace

import pytest
from ray._private import worker
from ray.tune.trainable.metadata import _TrainingRunMetadata

from sweep.engine.ray_cluster import logs_to
from sweep.ray_internals import forget_results, worker_messages_to


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
