"""Trials of small models on the digits, without Ray."""

import gc
from dataclasses import replace

import pytest
import torch
from safetensors.torch import save_file

from sweep.trial import group_training, training
from sweep.trial.job import Job
from sweep.trial.reports import Order
from sweep.trial.training import Training
from tl_core import TrainConfig, Trainer

BASE = TrainConfig(
    dataset="digits", limit_train=200, width=4, depth=1, epochs=3, threads=1, device="cpu",
    precision="fp32", eval_precision="fp32", augmentation="none",
)  # fmt: skip
NUMBERS = (
    "epoch", "train_loss", "train_accuracy", "val_loss", "val_accuracy", "lr", "status",
    "best_val_accuracy", "best_epoch", "params_total", "params_trained", "device_name", "done",
)  # fmt: skip


@pytest.fixture(autouse=True)
def frozen_imports():
    """As in a trainer process: collections search only what a test has made."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def job(tmp_path, cache):
    """job(**fields) → what trials on 200 digits share."""

    def make(*, modules=(), **fields):
        base = replace(BASE, **{"cache_dir": str(cache), **fields}).to_dict()
        (tmp_path / "states").mkdir(exist_ok=True)
        folders = (str(tmp_path / name) for name in ("checkpoints", "states"))
        return Job("s", base, tuple(modules), {}, *folders)

    return make


@pytest.fixture
def heads(job):
    """heads(**fields) → a job of linear probes."""
    return lambda **fields: job(**{"freeze_depth": 4, **fields})


@pytest.fixture
def source(tmp_path, heads):
    """Weights of the whole model, so that runs of other seeds have the same body."""
    path = tmp_path / "source.safetensors"
    state = Trainer(heads(freeze_depth=0).config({})).model.state_dict()
    save_file({name: tensor.contiguous() for name, tensor in state.items()}, path)
    return str(path)


@pytest.fixture
def set_up(monkeypatch):
    """The configurations of the runs that trials set up from now on, in order."""
    made = []

    class Counted(Trainer):
        def __init__(self, config, data=None):
            made.append(config)
            super().__init__(config, data)

    for module in (group_training, training):
        monkeypatch.setattr(module, "Trainer", Counted)
    return made


@pytest.fixture
def train_alone():
    """train_alone(training, number, values, trained=) → all its reports, an epoch at a time."""

    def train(training, number, values, trained=0):
        found = []
        while not found or not found[-1]["done"]:
            order = Order(number, values, trained + len(found), trained + len(found) + 1)
            outcome = training.train([order], grouped=False)
            found += outcome.reports[number]
        return found

    return train


@pytest.fixture
def saved():
    """saved(job, number) → name → tensor, the best weights that a trial has left."""
    return lambda job, number: torch.load(job.checkpoint(number), weights_only=True)["model"]


@pytest.fixture
def same():
    """same(first, second): whether the numbers of two trials' reports are equal to the bit."""
    return lambda first, second: (
        [[report[name] for name in NUMBERS] for report in first]
        == [[report[name] for name in NUMBERS] for report in second]
    )


@pytest.fixture
def is_gone():
    """is_gone(reference): whether nothing holds what a weak reference was to."""

    def look(reference):
        gc.collect()
        return reference() is None

    return look


@pytest.fixture
def fresh(job, train_alone):
    """fresh(job, values) → the reports of a trial that a new process trains by itself."""
    return lambda own, values: train_alone(Training(own), 0, values)
