"""Judging trials that trained a head on a frozen body, with real models."""

from functools import partial

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from sweep.judge.judge_trial import judge_in_turn, judge_trial
from sweep.trial.job import Job
from sweep.trial.reports import Order
from sweep.trial.training import Training
from tl_core import TrainConfig, Trainer
from tl_core.frozen import features
from tl_core.frozen.cut import cut_model
from tl_core.frozen.feature_cache import BUDGET_VARIABLE
from tl_core.train.checkpoint import save_checkpoint

BASE = TrainConfig(
    dataset="digits", width=4, depth=1, freeze_depth=4, epochs=2, threads=1, precision="fp32",
    eval_precision="fp32", augmentation="none",
)  # fmt: skip


@pytest.fixture
def job(tmp_path):
    """job(**fields) of linear probes of the digits."""

    def make(**fields):
        base = {**BASE.to_dict(), "cache_dir": str(tmp_path / "cache"), **fields}
        return Job("s", base, (), {}, str(tmp_path / "checkpoints"))

    return make


def test_a_stopped_winner_of_a_group_is_trained_again_by_itself_with_the_same_numbers(job):
    told = job()
    values = [{"lr": 0.001 * (number + 1)} for number in range(4)]
    orders = [Order(number, own, 0, 1) for number, own in enumerate(values)]
    (reported,) = Training(told).train(orders, grouped=True).reports[3]
    measured = judge_trial(told, 3, values[3], 1)
    assert measured.retrained
    (val, _) = measured.tables["evaluations"].to_pylist()
    assert val["accuracy"] == pytest.approx(reported["val_accuracy"], abs=1e-6)
    assert val["loss"] == pytest.approx(reported["val_loss"], rel=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("gone", [(), (0, 1)], ids=["kept", "retrained"])
def test_three_seeds_are_judged_by_one_look_at_the_test_split(job, monkeypatch, tmp_path, gone):
    """The body that they share is a source's."""
    source = tmp_path / "source.safetensors"
    torch.manual_seed(0)
    whole = Trainer(TrainConfig(**{**BASE.to_dict(), "freeze_depth": 0}))
    save_file({k: v.contiguous() for k, v in whole.model.state_dict().items()}, source)
    sizes = []

    def counted(model):
        cut = cut_model(model)
        cut.prefix.register_forward_pre_hook(lambda _, images: sizes.append(len(images[0])))
        return cut

    seeds = [{"lr": 0.01, "seed": seed} for seed in range(3)]
    told = job(weights=str(source))
    for number in set(range(3)) - set(gone):
        trainer = Trainer(told.config(seeds[number]))
        trainer.run_epoch()
        save_checkpoint(told.checkpoint(number), {"model": trainer.best_weights, "epoch": 1})
    judgings = [partial(judge_trial, told, n, seeds[n], 1, votes=True) for n in range(3)]
    own = len(whole.data.train) + len(whole.data.val)
    activations = Trainer(told.config(seeds[0])).batches.probe.size_bytes  # tried once a process
    monkeypatch.setattr(features, "cut_model", counted)
    found = judge_in_turn(judgings, 1)
    assert sum(sizes) - len(whole.data.test) in (0, own)
    monkeypatch.setenv(BUDGET_VARIABLE, str((own + 1) * activations / 2**30))  # not the test split
    for judged, again in zip(found, judge_in_turn(judgings, 1), strict=True):
        assert judged.accuracy == again.accuracy
        assert np.array_equal(judged.probabilities, again.probabilities)
    assert len({judged.probabilities.tobytes() for judged in found}) == 3
    assert [judged.retrained for judged in found] == [n in gone for n in range(3)]
