"""A trial in its worker, without Ray: memory that runs out on a shared GPU."""

import os

import pytest
import torch

from sweep import gpu_places, trainable
from sweep.trainable import Job, TrialActor, unpack
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
        allowed = gpu_places.GpuPlaces("sweep", "0", 4).allowed
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

    def of(trials_per_gpu, *, fits, fails_at=0):
        Short.fits, Short.fails_at, Short.tried = fits, fails_at, []
        (tmp_path / "checkpoints").mkdir(exist_ok=True)
        job = Job("sweep", BASE.to_dict(), (), {}, str(tmp_path / "checkpoints"), trials_per_gpu)
        actor = TrialActor.__new__(TrialActor)
        actor.setup({"number": 0, "values": {}}, job)
        results = [unpack(actor.step())]
        while not results[-1]["done"]:
            results.append(unpack(actor.step()))
        actor.cleanup()
        return results, list(Short.tried)

    return of


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
