"""Progressive unfreezing: what trains in which epoch, and that nothing is lost on the way."""

import pytest
import torch

from tl_core import TrainConfig, Trainer
from tl_core.models import stages
from tl_core.models.freezing import depth_of_epoch
from tl_core.train.checkpoint import load_checkpoint, save_checkpoint

FIELDS = {
    "width": 4, "threads": 1, "precision": "fp32", "eval_precision": "fp32", "device": "cpu",
    "batch_size": 100, "lr": 0.05, "schedule": "constant",
}  # fmt: skip


@pytest.fixture
def digits(few_digits):
    """As many as these tests need."""
    return few_digits


def run_of(digits, **fields):
    return Trainer(TrainConfig(**{**FIELDS, **fields}), digits)


def changed_stages(run):
    """Numbers of the stages that the next epoch changes."""
    before = {name: value.clone() for name, value in run.model.state_dict().items()}
    run.run_epoch()
    after = run.model.state_dict()
    moved = {name for name in after if not torch.equal(after[name], before[name])}
    return [n for n, names in enumerate(stages(run.model), 1) if moved & set(names)]


def test_depths_by_hand():
    config = TrainConfig(freeze_depth=3, unfreeze_epochs=2)
    assert [depth_of_epoch(config, epoch) for epoch in range(9)] == [3, 3, 2, 2, 1, 1, 0, 0, 0]
    assert depth_of_epoch(TrainConfig(freeze_depth=3), 50) == 3


@pytest.mark.parametrize("augmentation", ["none", "light"])
def test_a_stage_more_trains_every_so_many_epochs(digits, augmentation):
    run = run_of(digits, freeze_depth=4, unfreeze_epochs=1, epochs=6, augmentation=augmentation)
    assert [changed_stages(run) for _ in range(6)] == [
        [], [4], [3, 4], [2, 3, 4], [1, 2, 3, 4], [1, 2, 3, 4]
    ]  # fmt: skip


def test_what_a_run_may_change_covers_all_its_epochs(digits):
    short = run_of(digits, freeze_depth=4, unfreeze_epochs=2, epochs=3)
    names = [name for group in stages(short.model)[3:] for name in group]
    assert set(names) < set(short.moving)
    assert not set(short.moving) & {name for group in stages(short.model)[:3] for name in group}


def test_the_best_weights_hold_what_moved_after_them(digits, monkeypatch):
    run = run_of(digits, freeze_depth=4, unfreeze_epochs=1, epochs=3, augmentation="none")
    results = iter([(1.0, 0.9), (1.0, 0.2), (1.0, 0.1)])
    monkeypatch.setattr(run, "evaluate", lambda split: next(results))
    run.run_epoch()
    first = {name: value.clone() for name, value in run.model.state_dict().items()}
    run.run_epoch()
    run.run_epoch()
    run.restore_best()
    assert run.best_epoch == 1
    for name, value in run.model.state_dict().items():
        assert torch.equal(value, first[name]), name


@pytest.mark.parametrize("stop_after", [1, 2, 3])
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_a_resumed_run_equals_one_never_stopped(digits, tmp_path, stop_after, optimizer):
    fields = {"freeze_depth": 3, "unfreeze_epochs": 1, "epochs": 4, "optimizer": optimizer}
    fields["lr"] = 0.01
    whole = run_of(digits, **fields)
    expected = [whole.run_epoch().train_loss for _ in range(4)]
    half = run_of(digits, **fields)
    for _ in range(stop_after):
        half.run_epoch()
    save_checkpoint(tmp_path / "half.pt", half.state_dict())
    other = run_of(digits, **fields)
    other.load_state_dict(load_checkpoint(tmp_path / "half.pt"))
    rest = [other.run_epoch().train_loss for _ in range(4 - stop_after)]
    assert rest == expected[stop_after:]


def test_momentum_of_what_trained_before_goes_on(digits):
    run = run_of(digits, freeze_depth=4, unfreeze_epochs=1, epochs=2)
    run.run_epoch()
    head = run.model.head.weight
    before = run.optimizer.state[head]["momentum_buffer"].clone()
    run.unfreeze(1)
    assert torch.equal(run.optimizer.state[head]["momentum_buffer"], before)
    assert sum(len(group["params"]) for group in run.optimizer.param_groups) > 2
