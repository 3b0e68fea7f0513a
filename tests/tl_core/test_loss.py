"""Distillation against values worked out by hand, and the teacher's view of a batch."""

import math

import numpy as np
import pytest
import torch

from tl_core import BadInput, TrainConfig, Trainer
from tl_core.loss import distillation
from tl_core.models import build_model
from tl_core.transfer import save_weights

PLAIN = {
    "width": 4, "threads": 1, "precision": "fp32", "eval_precision": "fp32", "device": "cpu",
    "augmentation": "none", "label_smoothing": 0.0, "schedule": "constant",
}  # fmt: skip


def test_distillation_by_hand():
    student, teacher = torch.tensor([[0.0, 0.0]]), torch.tensor([[math.log(9), 0.0]])
    # at T = 2 the teacher says 3/4 and 1/4, the student a half each
    expected = 4 * (0.75 * math.log(0.75 / 0.5) + 0.25 * math.log(0.25 / 0.5))
    assert distillation(student, teacher, 2.0).item() == pytest.approx(expected)
    assert distillation(teacher, teacher, 3.0).item() == pytest.approx(0, abs=1e-6)


def keep(path, data, *, size=8, channels=1, classes=None, **fields):
    """A teacher with random weights in a file of ours; returns the path and the model."""
    config = TrainConfig(**{**PLAIN, **fields})
    torch.manual_seed(5)
    classes = classes or data.classes
    model = build_model(config, channels=channels, num_classes=len(classes), image_size=size)
    mean, std = [0.4] * channels, [0.3] * channels
    save_weights(path, model, config=config, classes=classes, mean=mean, std=std, image_size=size)
    return str(path), model.eval()


def loss_of(run):
    images, _, targets = run.batches.train(np.arange(16), run.augmentation)
    logits = run.network(images)
    return images, logits, targets, run.loss(images, logits, targets)


@pytest.mark.parametrize(("share", "temperature"), [(0.3, 2.0), (1.0, 4.0), (0.0, 1.0)])
def test_the_loss_is_shared_between_labels_and_teacher(tmp_path, digits, share, temperature):
    path, model = keep(tmp_path / "t.safetensors", digits, width=8)
    run = Trainer(
        TrainConfig(**PLAIN, teacher=path, distill_share=share, distill_temperature=temperature),
        digits,
    )
    run.model.train()
    _, logits, targets, loss = loss_of(run)
    pixels = digits.train.batch(np.arange(16)).float() / 255
    own = model((pixels - 0.4) / 0.3)
    expected = (1 - share) * torch.nn.functional.cross_entropy(logits, targets)
    expected = expected + share * distillation(logits, own, temperature)
    torch.testing.assert_close(loss, expected, rtol=1e-4, atol=1e-5)
    loss.backward()
    assert all(p.grad is None for p in run.loss.teacher.model.parameters())


def test_a_teacher_of_other_size_and_channels_sees_the_same_images(tmp_path, digits):
    path, model = keep(tmp_path / "t.safetensors", digits, size=16, channels=3)
    run = Trainer(TrainConfig(**PLAIN, teacher=path), digits)
    images, _, _, _ = loss_of(run)
    pixels = digits.train.batch(np.arange(16)).float() / 255
    large = torch.nn.functional.interpolate(
        pixels.expand(-1, 3, -1, -1), size=(16, 16), mode="bilinear", antialias=True
    )
    expected = model((large - 0.4) / 0.3)
    torch.testing.assert_close(run.loss.teacher.logits(images), expected, rtol=1e-3, atol=1e-4)


def test_a_student_of_three_channels_and_a_grey_teacher(tmp_path, digits):
    path, model = keep(tmp_path / "t.safetensors", digits)
    run = Trainer(TrainConfig(**PLAIN, teacher=path, input_adapt="repeat"), digits)
    images, _, _, _ = loss_of(run)
    assert images.shape[1] == 3
    pixels = digits.train.batch(np.arange(16)).float() / 255
    expected = model((pixels - 0.4) / 0.3)
    torch.testing.assert_close(run.loss.teacher.logits(images), expected, rtol=1e-3, atol=1e-4)


def test_a_student_learns_from_the_teacher_alone(tmp_path, digits):
    """Labels play no part at share 1: what is learned is what the teacher says."""
    path, _ = keep(tmp_path / "t.safetensors", digits, width=8)
    config = TrainConfig(
        **{**PLAIN, "width": 8}, teacher=path, distill_share=1.0, lr=0.05, epochs=6,
        limit_train=256, batch_size=32,
    )  # fmt: skip
    run = Trainer(config, digits)
    losses = []
    while run.stop_reason is None:
        losses.append(run.run_epoch().train_loss)
    assert losses[-1] < 0.5 * losses[0]


def test_a_teacher_of_other_classes_is_refused(tmp_path, digits):
    path, _ = keep(tmp_path / "t.safetensors", digits, classes=("cat", "dog"))
    with pytest.raises(BadInput, match=r"knows the classes cat, dog, but the data have 0, 1, 2,"):
        Trainer(TrainConfig(**PLAIN, teacher=path), digits)


def test_frozen_stages_are_not_cached_where_a_teacher_looks_on(tmp_path, digits):
    path, _ = keep(tmp_path / "t.safetensors", digits)
    run = Trainer(TrainConfig(**PLAIN, teacher=path, freeze_depth=4), digits)
    assert run.batches is run.images
