"""When a run stops, and which epoch's weights it keeps."""

import math

import pytest
import torch

from tl_core import TrainConfig, fit


def scripted(run, monkeypatch, accuracies, losses=None):
    """Validation results of `run`, as told instead of measured."""
    results = iter(zip(losses or [1.0] * len(accuracies), accuracies, strict=True))
    monkeypatch.setattr(run, "evaluate", lambda split: next(results))
    return run


@pytest.mark.parametrize(
    ("fields", "accuracies", "epochs", "reason"),
    [
        ({"epochs": 3}, [0.1, 0.9, 0.2], 3, "epochs"),
        ({"patience": 2}, [0.5, 0.6, 0.6, 0.55, 0.9], 4, "patience"),
        ({"patience": 2}, [0.5, 0.4, 0.6, 0.5, 0.5, 0.9], 5, "patience"),
        ({"target_accuracy": 0.6}, [0.5, 0.6, 0.9], 2, "target"),
        ({"target_accuracy": 0.6, "epochs": 2}, [0.5, 0.6, 0.9], 2, "epochs"),
    ],
)
def test_reasons_to_stop(plain_run, unequal, monkeypatch, fields, accuracies, epochs, reason):
    run = scripted(plain_run(unequal, **fields), monkeypatch, accuracies)
    while run.stop_reason is None:
        metrics = run.run_epoch()
    assert (metrics.epoch, run.stop_reason) == (epochs, reason)


def test_the_best_epochs_weights_are_kept(plain_run, unequal, monkeypatch):
    run = scripted(plain_run(unequal, lr=0.1), monkeypatch, [0.3, 0.8, 0.8, 0.2])
    heads = []
    for _ in range(4):
        run.run_epoch()
        heads.append(run.model.head.weight.detach().clone())
    assert (run.best_epoch, run.best_val_accuracy) == (2, 0.8)
    assert torch.equal(run.best_weights["head.weight"], heads[1])
    run.restore_best()
    assert torch.equal(run.model.head.weight, heads[1])
    assert not torch.equal(heads[1], heads[3])


def test_plateau_lowers_the_rate(plain_run, unequal, monkeypatch):
    fields = {"schedule": "plateau", "plateau_patience": 1, "decay_factor": 0.1, "lr": 0.01}
    losses = [1.0, 0.9, 0.95, 0.9, 0.8]
    run = scripted(plain_run(unequal, **fields), monkeypatch, [0.5] * 5, losses)
    rates = [run.run_epoch().lr for _ in range(5)]
    assert rates == pytest.approx([0.01, 0.01, 0.01, 0.01, 0.001])


@pytest.mark.parametrize("batch_size", [2, 8], ids=["in an epoch", "by its last step"])
def test_divergence_ends_the_run(plain_run, unequal, batch_size):
    run = plain_run(unequal, lr=1e30, batch_norm=False, batch_size=batch_size)
    metrics = run.run_epoch()
    assert run.stop_reason == "diverged"
    values = (metrics.train_loss, metrics.val_loss, metrics.val_accuracy)
    assert all(math.isnan(value) for value in values)
    assert (run.best_epoch, run.best_weights) == (0, {})


def test_fit_ends_after_the_diverged_epoch(unequal):
    config = TrainConfig(
        lr=1e30, batch_norm=False, width=4, threads=1, precision="fp32", eval_precision="fp32"
    )
    epochs = list(fit(config, unequal))
    assert [m.epoch for m in epochs] == [1]
