"""Steps that are recorded and replayed train as steps that are not.

What does not need a GPU is tried with a recorder that replays by calling.
"""

import contextlib
import dataclasses
import math
import random
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from tl_core import TrainConfig
from tl_core.train import step_graph
from tl_core.train.optim import OPTIMIZERS
from tl_core.train.step_graph import WARM_UP, StepGraph, recordable

PLAIN = {
    "epochs": 2,
    "threads": 1,
    "batch_size": 16,
    "precision": "fp32",
    "eval_precision": "fp32",
}
CUDA = torch.device("cuda")


@dataclasses.dataclass
class Called:
    """In place of a recording: what was recorded is called again."""

    function: object
    calls: int = 0

    def __call__(self):
        self.calls += 1
        return self.function()


class CallingRecorder:
    """In place of a GPU's recorder; raises `error` where a step is to be recorded."""

    def __init__(self, error=None, small=True):
        self.error, self.small = error, small
        self.steps_aside = self.given_back = 0
        self.recordings = []

    @contextlib.contextmanager
    def aside(self):
        self.steps_aside += 1
        yield

    def record(self, function):
        if self.error is not None:
            raise self.error
        self.recordings.append(Called(function))
        return self.recordings[-1]

    def is_small(self, share):
        return self.small

    def give_back(self):
        self.given_back += 1


@pytest.fixture(autouse=True)
def no_gpu_to_wait_for(monkeypatch):
    """Without a GPU there is no wait to note."""
    if not torch.cuda.is_available():
        monkeypatch.setattr(step_graph, "waits_noted", lambda: contextlib.nullcontext([]))


@pytest.fixture
def calling(run, monkeypatch):
    """calling(recorder, **fields) → a Trainer on the CPU whose steps `recorder` records."""
    monkeypatch.setattr(step_graph, "recordable", lambda step: True)

    def make(recorder, **fields):
        monkeypatch.setattr(step_graph, "Recorder", lambda device: recorder)
        return run(**fields)

    return make


def same_weights(one, other):
    """Whether two runs ended with the same weights to the bit."""
    states = one.model.state_dict(), other.model.state_dict()
    return all(torch.equal(states[0][name], states[1][name]) for name in states[0])


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("fields", [{}, {"mixup": 0.2}, {"precision": "bf16", "clip_norm": 1.0}])
def test_replayed_steps_train_as_others(calling, run, numbers, name, fields):
    recorder = CallingRecorder()
    replayed = calling(recorder, optimizer=name, **fields)
    found = numbers(replayed)
    (recorded,) = recorder.recordings
    plain = run(graphs=False, optimizer=name, **fields)
    assert isinstance(replayed.step, StepGraph)
    assert recorder.steps_aside == WARM_UP
    assert recorded.calls == 2 * plain.steps_per_epoch - WARM_UP
    # Rates in a tensor are float32, so that the losses are the same to rounding.
    pair = [np.array(rows)[:, [0, 2]] for rows in (found, numbers(plain))]
    np.testing.assert_allclose(*pair, rtol=1e-3)


def test_the_rate_of_every_step_reaches_the_recording(calling):
    recorder = CallingRecorder()
    trainer = calling(recorder, optimizer="sgd", schedule="onecycle", epochs=1)
    rates = []
    trainer.optimizer.register_step_pre_hook(
        lambda optimizer, *_: rates.append(float(optimizer.param_groups[0]["lr"]))
    )
    expected = []
    for step, batch in enumerate(trainer.epoch_batches()):
        trainer.train_step(batch, step / 10)
        expected.append(0.01 * trainer.rate_factor)
    assert len(set(expected)) > WARM_UP + 5
    np.testing.assert_allclose(rates, expected, rtol=1e-6)


def test_rates_in_a_checkpoint_are_numbers(calling):
    trainer = calling(CallingRecorder(), optimizer="adam")
    trainer.run_epoch()
    rates = [group["lr"] for group in trainer.state_dict()["optimizer"]["param_groups"]]
    expected = [group["peak_lr"] * trainer.rate_factor for group in trainer.optimizer.param_groups]
    assert rates == expected
    assert not any(group["capturable"] for group in trainer.optimizer.param_groups)


def test_a_batch_of_another_size_is_trained_on_without_the_recording(calling):
    recorder = CallingRecorder()
    trainer = calling(recorder, epochs=1)
    batches = list(trainer.epoch_batches())
    for batch in batches[: WARM_UP + 1]:
        trainer.train_step(batch, 0.5)
    small = type(batches[0])(*(each[:5] for each in batches[0]))
    before = recorder.recordings[0].calls
    loss, hits = trainer.train_step(small, 0.5)
    assert recorder.recordings[0].calls == before
    assert math.isfinite(loss.item())
    assert 0 <= hits <= 5


def test_new_stages_and_a_checkpoint_are_recorded_anew(calling):
    recorder = CallingRecorder()
    fields = {"freeze_depth": 2, "unfreeze_epochs": 1, "epochs": 4, "augmentation": "light"}
    trainer = calling(recorder, **fields)
    trainer.run_epoch()
    assert len(recorder.recordings) == 1
    trainer.run_epoch()
    assert len(recorder.recordings) == 2
    state = trainer.state_dict()
    trainer.load_state_dict(state)
    trainer.run_epoch()
    assert len(recorder.recordings) > 2


@pytest.mark.parametrize("why", ["the recording", "a wait", "memory"])
def test_a_step_that_is_not_recorded_trains_as_without(calling, run, numbers, monkeypatch, why):
    error = RuntimeError("operation not permitted\nwhen capturing") if "rec" in why else None
    recorder = CallingRecorder(error, small=why != "memory")
    if why == "a wait":
        noted = lambda: contextlib.nullcontext(["called a synchronizing operation"])  # noqa: E731
        monkeypatch.setattr(step_graph, "waits_noted", noted)
    trainer = calling(recorder, optimizer="rmsprop")
    assert trainer.step.refusal is None
    plain = run(graphs=False, optimizer="rmsprop")
    assert numbers(trainer) == numbers(plain)
    assert same_weights(trainer, plain)
    assert not recorder.recordings
    assert recorder.given_back == 1
    assert "\n" not in trainer.step.refusal


@pytest.mark.parametrize("draw", [random.random, np.random.rand, lambda: torch.rand(1), None])
def test_a_model_that_decides_on_the_host_is_not_recorded(calling, row, draw):
    def forward(module, images):
        if draw is None:
            module.calls += 1
        elif draw() < 0.5:
            return 2 * images
        return images

    row(forward)
    recorder = CallingRecorder()
    trainer = calling(recorder, backbone="own")
    trainer.run_epoch()
    assert trainer.step.refusal == "a step changes what the host may decide by"
    assert not recorder.recordings


def test_a_model_that_decides_nothing_is_recorded(calling, row):
    row(lambda module, images: images)
    recorder = CallingRecorder()
    trainer = calling(recorder, backbone="own")
    trainer.run_epoch()
    assert len(recorder.recordings) == 1


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, True),
        ({"optimizer": "adamw", "precision": "bf16"}, True),
        ({"precision": "fp16"}, False),
        ({"deterministic": True}, False),
        ({"teacher": "t.safetensors"}, False),
    ],
)
def test_the_settings_that_are_recorded(fields, expected):
    config = TrainConfig(**{**PLAIN, **fields})
    for device in (CUDA, torch.device("cpu")):
        step = SimpleNamespace(config=config, device=device, precision=config.precision)
        assert recordable(step) == (expected and device == CUDA)


def test_an_optimizer_of_ones_own_is_not_recorded(monkeypatch):
    monkeypatch.setitem(OPTIMIZERS, "own", lambda groups, config: torch.optim.SGD(groups, 0.1))
    config = TrainConfig(**PLAIN, optimizer="own")
    assert not recordable(SimpleNamespace(config=config, device=CUDA, precision="fp32"))


def test_a_cpu_records_nothing(run):
    assert not isinstance(run().step, StepGraph)
