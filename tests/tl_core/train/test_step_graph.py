"""Steps that are recorded and replayed train as steps that are not.

What does not need a GPU is tried with a recorder that replays by calling.
"""

import contextlib
import dataclasses
import gc
import math
import random
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from tl_core import TrainConfig, Trainer
from tl_core.augment import AUGMENTATIONS
from tl_core.models import MODELS
from tl_core.train import step_graph
from tl_core.train.optim import OPTIMIZERS
from tl_core.train.step_graph import WARM_UP, StepGraph, recordable

PLAIN = {
    "width": 4, "depth": 1, "epochs": 2, "threads": 1, "batch_size": 16, "lr": 0.01,
    "precision": "fp32", "eval_precision": "fp32", "schedule": "cosine",
}  # fmt: skip
CUDA = torch.device("cuda")


def on_gpu(test):
    """The marks of a test that a GPU alone can run."""
    available = torch.cuda.is_available()
    test = pytest.mark.skipif(not available, reason="needs a CUDA device")(test)
    return pytest.mark.gpu(pytest.mark.timeout(120)(test))


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
def run(few_digits, tmp_path):
    """run(device, graphs=, **fields) → a Trainer on 200 digits."""

    def make(device="cpu", graphs=True, **fields):
        fields = {**PLAIN, "device": device, "cache_dir": str(tmp_path / device), **fields}
        return Trainer(TrainConfig(**fields), few_digits, graphs=graphs)

    return make


@pytest.fixture
def calling(run, monkeypatch):
    """calling(recorder, **fields) → a Trainer on the CPU whose steps `recorder` records."""
    monkeypatch.setattr(step_graph, "recordable", lambda step: True)

    def make(recorder, **fields):
        monkeypatch.setattr(step_graph, "Recorder", lambda device: recorder)
        return run(**fields)

    return make


@pytest.fixture
def row(monkeypatch):
    """row(forward) adds a model `own`, whose head follows `forward(module, images)`."""

    def add(forward):
        class Own(nn.Module):
            calls = 0

            def __init__(self, inputs, classes):
                super().__init__()
                self.head = nn.Linear(inputs, classes)

            def forward(self, images):
                return self.head(forward(self, images.flatten(1)))

        spec = dataclasses.replace(
            MODELS["baseline"], build=lambda *a, **k: Own(64, 10), heeds=frozenset()
        )
        monkeypatch.setitem(MODELS, "own", spec)

    return add


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


def losses(trainer):
    """Training and validation losses of a run, epoch by epoch."""
    found = []
    while trainer.stop_reason is None:
        metrics = trainer.run_epoch()
        found.append((metrics.train_loss, metrics.val_loss))
    return found


def assert_recorded(trainer):
    """The run's steps were replayed."""
    assert trainer.step.refusal is None
    assert trainer.step.recording is not None


OTHER_MASKS = 0.25
"""How far losses differ where dropout draws other masks, as it does in a replay."""
GPU_RUNS = [
    *({"optimizer": name} for name in ("sgd", "adam", "adamw", "rmsprop")),
    *({"augmentation": name} for name in AUGMENTATIONS),
    {"dropout": 0.3, "clip_norm": 1.0},
    {"precision": "bf16", "attention": "se"},
    {"mixup": 0.2, "cutmix": 1.0, "class_weights": "balanced"},
    {"freeze_depth": 2, "augmentation": "none"},
    {"freeze_depth": 2, "unfreeze_epochs": 1, "augmentation": "light"},
    {"layer_lr_decay": 0.7, "schedule": "onecycle", "momentum": 0.0},
]


@on_gpu
@pytest.mark.parametrize("fields", GPU_RUNS, ids=str)
def test_a_gpu_replays_the_same_training(run, fields):
    fields = {"lr": 0.001, **fields}
    recorded, plain = run("cuda", **fields), run("cuda", graphs=False, **fields)
    found, expected = losses(recorded), losses(plain)
    assert_recorded(recorded)
    tolerance = 0.05 if fields.get("precision") == "bf16" else 0.02
    masks = "dropout" in fields
    np.testing.assert_allclose(found, expected, rtol=OTHER_MASKS if masks else tolerance)
    pairs = zip(recorded.model.parameters(), plain.model.parameters(), strict=True)
    for one, other in pairs:
        torch.testing.assert_close(one, other, rtol=0.1, atol=0.1 if masks else 0.01)


@on_gpu
@pytest.mark.parametrize("optimizer", ["sgd", "rmsprop", "adamw"])
def test_a_gpus_run_goes_on_from_a_checkpoint(run, optimizer):
    fields = {"optimizer": optimizer, "lr": 0.001, "epochs": 3, "dropout": 0.2}
    begun, resumed = run("cuda", **fields), run("cuda", **fields)
    begun.run_epoch()
    resumed.load_state_dict(begun.state_dict())
    found = losses(resumed)
    assert_recorded(resumed)
    np.testing.assert_allclose(found, losses(begun), rtol=OTHER_MASKS)
    assert {type(group["lr"]) for group in resumed.optimizer.param_groups} == {float}


@on_gpu
def test_a_gpu_draws_other_dropout_in_every_replay(run, row):
    row(lambda module, images: nn.functional.dropout(torch.ones_like(images), 0.5))
    trainer = run("cuda", backbone="own", lr=1e-12, augmentation="none")
    trainer.model.train()
    trainer.batches.start_epoch(0)
    batches = list(trainer.epoch_batches())
    found = [trainer.train_step(batches[0], 0.0)[0].item() for _ in range(WARM_UP + 4)]
    assert_recorded(trainer)
    assert len(set(found)) == len(found)


def wait(module, images):
    return images * (1.0 if images.sum().item() == 0 else 2.0)


def fail_in_capture(module, images):
    if torch.cuda.is_available() and torch.cuda.is_current_stream_capturing():
        torch.cuda.synchronize()  # ends the capture with an error
    return nn.functional.dropout(images, 0.2)


def raise_in_capture(module, images):
    if torch.cuda.is_available() and torch.cuda.is_current_stream_capturing():
        raise ValueError("not in a capture")
    return nn.functional.dropout(images, 0.2)


@on_gpu
@pytest.mark.parametrize("forward", [wait, fail_in_capture, raise_in_capture])
def test_a_model_that_a_gpu_cannot_record_trains_as_without(run, row, forward):
    row(forward)
    fields = {"backbone": "own", "lr": 0.001, "optimizer": "rmsprop"}
    refused, plain = run("cuda", **fields), run("cuda", graphs=False, **fields)
    np.testing.assert_allclose(losses(refused), losses(plain), rtol=OTHER_MASKS)
    assert refused.step.refusal is not None
    assert_recorded_after = run("cuda", lr=0.001, dropout=0.2)  # the device is as before
    losses(assert_recorded_after)
    assert_recorded(assert_recorded_after)


@on_gpu
@pytest.mark.parametrize("forward", [None, fail_in_capture])
def test_a_recorded_run_gives_its_memory_back(run, row, forward):
    if forward:
        row(forward)

    def trained():
        trainer = run("cuda", augmentation="standard", backbone="own" if forward else "residual")
        trainer.run_epoch()
        assert (trainer.step.refusal is None) == (forward is None)

    def held():
        gc.collect()
        torch.cuda.empty_cache()
        return torch.cuda.memory_allocated(), torch.cuda.memory_reserved()

    trained()  # loads libraries and the images, which stay
    before = held()
    for _ in range(3):
        trained()
    after = held()
    assert after[0] <= before[0]
    assert after[1] <= before[1]
