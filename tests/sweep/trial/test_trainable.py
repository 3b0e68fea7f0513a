"""A trial in its worker, without Ray: memory that runs out on a shared GPU."""

import dataclasses
import os
import time

import pytest
import torch

from sweep.trial import gpu_places, trainable
from sweep.trial.job import Job
from sweep.trial.trainable import TrialActor, unpack
from tl_core import TrainConfig, Trainer

BASE = TrainConfig(
    dataset="digits", width=4, epochs=3, threads=1, precision="fp32", eval_precision="fp32"
)


class Short(Trainer):
    """A run that does not fit into memory as long as more than `fits` share the GPU."""

    fits = 1
    fails_at = 0
    tried: list[int]

    def run_epoch(self):
        allowed = gpu_places.GpuPlaces("run", "0", 4).allowed
        Short.tried.append(allowed)
        if self.epoch >= self.fails_at and allowed > self.fits:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return super().run_epoch()


@pytest.fixture
def run(monkeypatch, tmp_path):
    """run(trials_per_gpu, fits, fails_at): results of a whole trial, the places at each try."""
    monkeypatch.setattr(gpu_places.tempfile, "gettempdir", lambda: str(tmp_path / "temporary"))
    monkeypatch.setattr(trainable, "Trainer", Short)
    monkeypatch.setitem(os.environ, "CUDA_VISIBLE_DEVICES", "0")

    (tmp_path / "checkpoints").mkdir()

    def of(trials_per_gpu, *, fits, fails_at=0):
        actor = begin(trials_per_gpu, fits=fits, fails_at=fails_at)
        results = [unpack(actor.step())]
        while not results[-1]["done"]:
            results.append(unpack(actor.step()))
        actor.cleanup()
        return results, list(Short.tried)

    def begin(trials_per_gpu, *, fits, fails_at=0):
        Short.fits, Short.fails_at, Short.tried = fits, fails_at, []
        job = Job(
            "sweep", BASE.to_dict(), (), {}, str(tmp_path / "checkpoints"), trials_per_gpu, "run"
        )
        actor = TrialActor.__new__(TrialActor)
        actor.setup({"number": 0, "values": {}}, job)
        return actor

    of.begin = begin
    return of


def free_places(count):
    view = gpu_places.GpuPlaces("run", "0", count)
    return sum(view.is_free(place) for place in range(count))


def test_a_packing_that_runs_out_of_memory_backs_off(run):
    results, tried = run(4, fits=1)
    assert [r["epoch"] for r in results] == [1, 2, 3]
    assert [r["status"] for r in results] == ["running", "running", "completed"]
    assert tried == [4, 2, 1, 1, 1]


def test_what_was_reported_is_not_reported_again(run):
    plain, _ = run(1, fits=4)
    results, tried = run(4, fits=2, fails_at=1)
    assert [r["epoch"] for r in results] == [1, 2, 3]
    assert tried == [4, 4, 2, 2, 2]  # the first epoch again, without a report
    accuracies = [[r["val_accuracy"] for r in found] for found in (plain, results)]
    assert accuracies[0] == accuracies[1]


def test_a_trial_that_has_the_gpu_for_itself_ends_out_of_memory(run):
    results, tried = run(4, fits=0)
    assert [r["status"] for r in results] == ["out_of_memory"]
    assert results[0]["error"] == "OutOfMemoryError: CUDA out of memory"
    assert tried == [4, 2, 1]


def test_a_trial_that_shares_nothing_takes_no_place(run, tmp_path):
    results, _ = run(1, fits=4)
    assert results[-1]["status"] == "completed"
    assert not list((tmp_path / "temporary").rglob("place-*"))


def test_a_trial_that_ended_gives_its_place_to_others(run):
    actor = run.begin(2, fits=2)
    assert not unpack(actor.step())["done"]
    assert free_places(2) == 1
    while not unpack(actor.step())["done"]:
        pass
    assert free_places(2) == 2
    assert actor.reset_config({"number": 1, "values": {}})
    assert unpack(actor.step())["epoch"] == 1
    actor.cleanup()
    assert free_places(2) == 2


def test_a_stopped_trial_gives_its_place_up_and_goes_on_if_it_was_not_stopped(run, monkeypatch):
    monkeypatch.setattr(trainable, "IDLE_SECONDS", 0.1)
    actor = run.begin(2, fits=2)
    first = unpack(actor.step())
    deadline = time.monotonic() + 50
    while free_places(2) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    monkeypatch.setattr(trainable, "IDLE_SECONDS", 300.0)
    second = unpack(actor.step())
    assert (first["epoch"], second["epoch"]) == (1, 2)
    assert free_places(2) == 1
    actor.cleanup()


def test_a_run_does_not_inherit_the_places_of_another_of_its_name(tmp_path):
    jobs = [Job("sweep", BASE.to_dict(), (), {}, str(tmp_path), 2) for _ in range(2)]
    assert jobs[0].run_id != jobs[1].run_id
    assert dataclasses.replace(jobs[0], trials_per_gpu=4).run_id == jobs[0].run_id


def test_a_checkpoint_that_cannot_be_written_costs_no_result(run, monkeypatch):
    def full(path, state):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(trainable, "save_checkpoint", full)
    results, _ = run(1, fits=4)
    assert results[-1]["status"] == "completed"
    assert results[-1]["val_accuracy"] == results[-1]["val_accuracy"]
