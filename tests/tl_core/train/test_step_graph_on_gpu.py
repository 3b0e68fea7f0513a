"""Steps that a GPU records and replays train as steps that it does not."""

import gc

import numpy as np
import pytest
import torch
from torch import nn

from tl_core.augment import AUGMENTATIONS
from tl_core.train.step_graph import WARM_UP


def on_gpu(test):
    """The marks of a test that a GPU alone can run."""
    available = torch.cuda.is_available()
    test = pytest.mark.skipif(not available, reason="needs a CUDA device")(test)
    return pytest.mark.gpu(pytest.mark.timeout(120)(test))


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
