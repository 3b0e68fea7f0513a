"""Trials that a trainer process trains one at a time."""

import math
import os
import weakref
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
import torch

from sweep.options.user_modules import read_user_module
from sweep.trial import training as training_module
from sweep.trial.reports import Order
from sweep.trial.training import Training
from tl_core import Trainer
from tl_core.machine import memory_watch
from tl_core.train.optim import SCHEDULES

SHORT = "CUDA out of memory"


def report_of(outcome, number=0):
    (report,) = outcome.reports[number]
    return report


def test_a_trial_reports_each_epoch_and_leaves_its_best_weights(job, train_alone, saved):
    told = job()
    found = train_alone(Training(told), 7, {"lr": 0.01})
    assert [r["epoch"] for r in found] == [1, 2, 3]
    assert [r["status"] for r in found] == ["running", "running", "completed"]
    alone = Trainer(told.config({"lr": 0.01}))
    assert [r["val_loss"] for r in found] == [alone.run_epoch().val_loss for _ in found]
    last = found[-1]
    assert (last["best_val_accuracy"], last["best_epoch"]) == (
        alone.best_val_accuracy, alone.best_epoch,
    )  # fmt: skip
    for name, weight in saved(told, 7).items():
        assert torch.equal(alone.best_weights[name], weight)


@pytest.mark.parametrize(("seconds", "reported"), [(0.0, [1, 1, 1]), (math.inf, [2, 1])])
def test_epochs_that_take_no_time_are_reported_together_as_far_as_ordered(
    job, fresh, same, monkeypatch, seconds, reported
):
    """A rung lies behind the second epoch."""
    monkeypatch.setattr(training_module, "SECONDS_AT_ONCE", seconds)
    told = job()
    training, parts = Training(told), []
    while (trained := sum(map(len, parts))) < 3:
        order = Order(0, {}, trained, 2 if trained < 2 else None)
        parts.append(training.train([order], grouped=False).reports[0])
    assert list(map(len, parts)) == reported
    assert same([report for part in parts for report in part], fresh(told, {}))


def test_trials_do_not_depend_on_those_before(job, train_alone, fresh, same):
    told = job(dropout=0.3, augmentation="standard")
    training = Training(told)
    values = {"lr": 0.01, "seed": 3}
    train_alone(training, 0, {"threads": 2, "width": 8})
    training.train([Order(1, {"epochs": 9}, 0, 1)], grouped=False)
    training.drop([1])  # it was stopped
    assert same(train_alone(training, 2, values), fresh(told, values))


def test_one_whose_process_died_is_trained_again_and_reports_what_is_new(
    job, train_alone, fresh, same
):
    told = job()
    assert same(train_alone(Training(told), 0, {}, trained=2), fresh(told, {})[2:])


def test_one_that_diverges_leaves_no_weights(job, train_alone):
    told = job()
    (only,) = train_alone(Training(told), 0, {"lr": 3e38})
    assert (only["status"], only["error"]) == ("diverged", None)
    assert math.isnan(only["best_val_accuracy"])
    assert not told.checkpoint(0).exists()


@pytest.fixture
def breaks(monkeypatch):
    """breaks(error, epoch): the schedule `breaks` raises in that epoch, from 0."""

    def at(error, epoch=1):
        def schedule(progress, config):
            if progress >= epoch:
                raise type(error)(*error.args)
            return 1.0

        monkeypatch.setitem(SCHEDULES, "breaks", schedule)

    return at


@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        (ValueError("no such rate"), "failed", "ValueError: no such rate"),
        (torch.OutOfMemoryError(SHORT), "out_of_memory", f"OutOfMemoryError: {SHORT}"),
        (MemoryError("little is left"), "out_of_memory", "MemoryError: little is left"),
        (
            RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"),
            "out_of_memory",
            "RuntimeError: DefaultCPUAllocator: can't allocate memory: you tried",
        ),
    ],
)
def test_an_error_is_the_last_report_and_the_next_trial_is_trained(
    job, breaks, train_alone, error, status, line
):
    training = Training(job())
    breaks(error)
    first, last = train_alone(training, 0, {"schedule": "breaks"})
    assert (first["status"], last["status"]) == ("running", status)
    assert (last["error"], last["done"]) == (line, True)
    assert last["params_total"] == first["params_total"]
    assert train_alone(training, 1, {})[-1]["status"] == "completed"


def test_a_trial_that_cannot_be_says_so(job, train_alone):
    (only,) = train_alone(Training(job()), 0, {"lr": -1.0})
    assert only["status"] == "failed"
    assert "lr=-1.0" in only["error"]


def test_one_that_shares_a_gpu_makes_room_and_can_begin_again(
    job, breaks, train_alone, fresh, same
):
    told = job(schedule="breaks")
    training = Training(told)
    breaks(torch.OutOfMemoryError(SHORT))
    report_of(training.train([Order(0, {}, 0, 1, shared=True)], grouped=False))
    outcome = training.train([Order(0, {}, 1, 2, shared=True)], grouped=False)
    assert (outcome.short, outcome.reports) == ([0], {0: []})
    assert not training.lone
    breaks(None, math.inf)
    assert same(train_alone(training, 0, {}, trained=1), fresh(told, {})[1:])


@pytest.fixture
def models(monkeypatch):
    """Weak references to the models of all runs."""
    made = []
    build = Trainer._build_model

    def noting(trainer):
        model = build(trainer)
        made.append(weakref.ref(model))
        return model

    monkeypatch.setattr(Trainer, "_build_model", noting)
    return made


@pytest.mark.parametrize("end", ["completed", "stopped", "failed", "short"])
def test_a_trial_that_ended_is_held_no_longer(job, breaks, models, train_alone, end):
    training = Training(job(schedule="breaks"))
    breaks(torch.OutOfMemoryError(SHORT), 1 if end in ("failed", "short") else math.inf)
    if end in ("completed", "failed"):
        train_alone(training, 0, {})
    else:
        for trained in (0, 1):
            order = Order(0, {}, trained, trained + 1, shared=True)
            training.train([order], grouped=False)
    if end == "stopped":
        (model,) = models
        assert model() is not None
        training.drop([0])
    (model,) = models
    assert model() is None  # without a collection of its own: the next trial may need the memory


@pytest.mark.parametrize("reason", ["no folder", "full disk"])
def test_weights_that_cannot_be_written_cost_no_result(job, train_alone, tmp_path, reason):
    told = job()
    if reason == "no folder":
        (tmp_path / "file").write_text("")
        told = replace(told, checkpoints=str(tmp_path / "file" / "checkpoints"))
    elif not Path("/dev/full").exists():
        pytest.skip("needs Linux's /dev/full")
    else:
        told.checkpoint(0).parent.mkdir()
        told.checkpoint(0).with_name(f".{os.getpid()}-s_00000.pt").symlink_to("/dev/full")
    found = train_alone(Training(told), 0, {})
    assert [r["status"] for r in found] == ["running", "running", "completed"]
    assert not told.checkpoint(0).exists()


HALVED = """
from tl_core.train.optim import SCHEDULES

SCHEDULES["halved"] = lambda progress, config: 0.5
"""


def test_modules_of_the_user_are_there(job, train_alone, write_file, monkeypatch):
    monkeypatch.setitem(SCHEDULES, "halved", None)  # the module's row is gone after the test
    module = read_user_module(write_file(HALVED, "halved.py"))
    told = job(modules=[module], schedule="halved", lr=0.01)
    assert {r["lr"] for r in train_alone(Training(told), 0, {})} == {0.005}


def test_a_machine_that_is_short_of_memory_ends_the_trial(job, train_alone, monkeypatch):
    monkeypatch.setattr(memory_watch, "LOOK_SECONDS", 0.001)
    monkeypatch.setattr(memory_watch, "LEAST", -(2**40))
    monkeypatch.setattr(psutil.Process, "parent", lambda process: None)  # nor larger ones beside
    training = Training(job())
    training.memory.reserve = math.inf
    last = train_alone(training, 0, {"epochs": 500})[-1]
    assert last["status"] == "out_of_memory"
    assert "of the machine's memory were left" in last["error"]
