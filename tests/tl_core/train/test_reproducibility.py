"""Same seed, resumed, reused: the same numbers, to the bit."""

import json
import os
import subprocess
import sys

import pytest
import torch

from tl_core import BadInput, TrainConfig, Trainer, fit
from tl_core.train import precision
from tl_core.train.checkpoint import load_checkpoint, save_checkpoint
from tl_core.train.optim import OPTIMIZERS, SCHEDULES

# Everything that draws numbers or keeps a state is on.
BUSY = {
    "width": 8, "threads": 1, "precision": "fp32", "eval_precision": "fp32", "device": "cpu",
    "limit_train": 150, "batch_size": 50, "epochs": 4, "dropout": 0.3, "mixup": 0.4,
    "augmentation": "standard",
    "cutmix": 1.0, "schedule": "plateau", "plateau_patience": 0, "decay_factor": 0.5,
    "class_weights": "balanced", "clip_norm": 1.0, "lr": 0.3, "momentum": 0.9,
}  # fmt: skip


@pytest.fixture
def busy(shared_cache, digits):
    """busy(**fields) → the config, whose decoded digits lie in the shared cache."""
    return lambda **fields: TrainConfig(**{**BUSY, "cache_dir": str(shared_cache), **fields})


def numbers(metrics):
    """What must be the same to the bit in two runs; the rest are times and memory."""
    names = ("epoch", "train_loss", "train_accuracy", "val_loss", "val_accuracy", "lr")
    return [getattr(metrics, name) for name in names]


def run_all(config):
    """Every epoch's numbers, and the state at the end, before anything else draws a number."""
    trainer = Trainer(config)
    epochs = []
    while trainer.stop_reason is None:
        epochs.append(numbers(trainer.run_epoch()))
    return epochs, trainer.state_dict()


def same_state(first, second):
    """Whether two states are equal to the bit, at any depth, types included."""
    if isinstance(first, torch.Tensor):
        return first.dtype == second.dtype and torch.equal(first, second)
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(
            same_state(first[k], second[k]) for k in first
        )
    if isinstance(first, list | tuple):
        pairs = zip(first, second, strict=True)
        return type(first) is type(second) and all(same_state(one, two) for one, two in pairs)
    return type(first) is type(second) and first == second


def test_the_same_seed_gives_the_same_numbers(busy):
    first, one = run_all(busy())
    second, two = run_all(busy())
    assert first == second
    assert same_state(one, two)


def test_another_seed_gives_other_numbers(busy):
    first, _ = run_all(busy(epochs=1))
    second, _ = run_all(busy(epochs=1, seed=1))
    assert first[0][1] != second[0][1]


def test_a_run_computes_with_its_own_threads_whatever_began_since(busy):
    trainer = Trainer(busy(threads=2))
    Trainer(busy(threads=1))
    trainer.run_epoch()
    assert torch.get_num_threads() == 2


@pytest.mark.parametrize("stop_after", [1, 3])
def test_resumed_equals_uninterrupted(busy, tmp_path, stop_after):
    config, path = busy(), tmp_path / "last.pt"
    expected, whole = run_all(config)
    assert len({epoch[-1] for epoch in expected}) > 1  # the plateau has dropped the rate
    stream = fit(config, checkpoint=path)
    first = [numbers(next(stream)) for _ in range(stop_after)]
    stream.close()
    torch.rand(5)  # what else the process draws must not matter
    rest = [numbers(m) for m in fit(config, checkpoint=path)]
    assert first + rest == expected
    assert same_state(load_checkpoint(path), whole)
    assert list(fit(config, checkpoint=path)) == []  # it is finished


@pytest.mark.parametrize(
    "fields",
    [{"optimizer": name, "lr": 0.01} for name in OPTIMIZERS]
    + [{"schedule": name} for name in SCHEDULES]
    + [{"precision": "bf16"}, {"precision": "fp16"}, {"channels_last": False}],
    ids=lambda fields: "-".join(str(value) for value in fields.values()),
)
def test_every_optimizer_and_schedule_resumes_to_the_bit(busy, tmp_path, fields):
    config = busy(epochs=2, limit_train=100, **fields)
    expected, whole = run_all(config)
    half = Trainer(config)
    half.run_epoch()
    save_checkpoint(tmp_path / "last.pt", half.state_dict())
    other = Trainer(config)
    other.load_state_dict(load_checkpoint(tmp_path / "last.pt"))
    assert numbers(other.run_epoch()) == expected[1]
    assert same_state(other.state_dict(), whole)


def test_the_best_weights_survive_a_resume(busy, tmp_path, monkeypatch):
    def script(trainer, accuracy):
        monkeypatch.setattr(trainer, "evaluate", lambda split: (1.0, accuracy))

    first = Trainer(busy(patience=2))
    script(first, 0.9)
    first.run_epoch()
    best = {name: value.clone() for name, value in first.model.state_dict().items()}
    save_checkpoint(tmp_path / "last.pt", first.state_dict())
    second = Trainer(busy(patience=2))
    second.load_state_dict(load_checkpoint(tmp_path / "last.pt"))
    script(second, 0.5)
    second.run_epoch()
    second.run_epoch()
    assert (second.best_epoch, second.best_val_accuracy, second.stop_reason) == (
        1,
        0.9,
        "patience",
    )
    second.restore_best()
    assert same_state(dict(second.model.state_dict()), best)


def test_a_checkpoint_of_another_config_is_refused(busy, tmp_path):
    path = tmp_path / "last.pt"
    next(fit(busy(), checkpoint=path))
    with pytest.raises(BadInput, match=r"of another run: lr, batch_size differ"):
        next(fit(busy(lr=0.1, batch_size=25), checkpoint=path))


def test_a_damaged_checkpoint_is_refused(busy, tmp_path):
    path = tmp_path / "last.pt"
    path.write_bytes(b"not a checkpoint")
    with pytest.raises(BadInput, match=r"last\.pt is no readable checkpoint"):
        next(fit(busy(), checkpoint=path))


def test_a_resumed_run_keeps_the_precision_once_measured(busy, tmp_path, monkeypatch):
    times = {"fp32": 2.0, "bf16": 1.0}
    monkeypatch.setattr(
        precision, "seconds_per_step", lambda config, data, name, phase: times[name]
    )
    first = Trainer(busy(precision="auto", cache_dir=str(tmp_path / "one")))
    assert first.precision == "bf16"
    save_checkpoint(tmp_path / "last.pt", first.state_dict())
    times["bf16"] = 3.0
    second = Trainer(busy(precision="auto", cache_dir=str(tmp_path / "two")))
    assert second.precision == "fp32"
    second.load_state_dict(load_checkpoint(tmp_path / "last.pt"))
    assert second.precision == "bf16"


def test_measuring_the_precision_moves_no_number(busy, monkeypatch, tmp_path):
    monkeypatch.setattr(precision, "MIN_SPEEDUP", float("inf"))  # measured, and fp32 it is
    config = busy(epochs=1, precision="auto", eval_precision="auto", cache_dir=str(tmp_path))
    measured, _ = run_all(config)
    assert list((tmp_path / "precision").glob("*.json"))
    given, _ = run_all(busy(epochs=1))
    assert measured == given


IN_A_FRESH_PROCESS = """
import json, sys
from pathlib import Path
from tl_core import fit
from tl_core.config import config_from_dict

names = ("epoch", "train_loss", "train_accuracy", "val_loss", "val_accuracy", "lr")
stream = fit(config_from_dict(json.loads(sys.argv[1])), checkpoint=Path(sys.argv[2]))
print(json.dumps([[getattr(metrics, name) for name in names] for metrics in stream]))
"""


def in_a_fresh_process(config, path):
    """The numbers of the epochs that another process yields for `fit(config, checkpoint=path)`."""
    arguments = [json.dumps(config.to_dict()), str(path)]
    done = subprocess.run(
        [sys.executable, "-c", IN_A_FRESH_PROCESS, *arguments],
        capture_output=True, text=True, env={**os.environ, "PYTHONHASHSEED": "7"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.slow
def test_resumed_in_a_fresh_process_equals_uninterrupted(busy, tmp_path):
    config, path = busy(), tmp_path / "last.pt"
    expected, whole = run_all(config)
    stream = fit(config, checkpoint=path)
    first = [numbers(next(stream)) for _ in range(2)]
    stream.close()
    assert first + in_a_fresh_process(config, path) == expected
    assert same_state(load_checkpoint(path), whole)


@pytest.mark.slow
def test_a_reused_process_equals_a_fresh_one(busy, tmp_path):
    run_all(busy(seed=3, backbone="baseline", optimizer="adam", lr=0.01, epochs=2, dropout=0.5))
    reused, state = run_all(busy(epochs=2))
    fresh = in_a_fresh_process(busy(epochs=2), tmp_path / "last.pt")
    assert reused == fresh
    assert same_state(state, load_checkpoint(tmp_path / "last.pt"))
