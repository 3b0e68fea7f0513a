"""Loss and distillation against values worked out by hand, and the teacher's view of a batch."""

import math

import numpy as np
import pytest
import torch

from tl_core import BadInput, TrainConfig, Trainer
from tl_core.models import build_model
from tl_core.train.loss import distillation, label_loss
from tl_core.weights.weights_file import save_weights

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


RATIOS = (1.0, 19.0, 40.0, 91.0, 1e3, 1e6)
"""How much more one class weighs than another."""


def distribution(classes, label, smoothing):
    """What a model should say of an image of class `label`."""
    wanted = torch.full((classes,), smoothing / classes)
    wanted[label] += 1 - smoothing
    return wanted


@pytest.mark.parametrize("targets", [[0, 1, 0], [[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]]])
def test_weights_and_smoothing_by_hand(targets):
    """Smoothing stays inside an image's term; the class of the image weighs the whole term."""
    logits = torch.tensor([[math.log(4), 0.0], [math.log(4), 0.0], [0.0, 0.0]])
    weights, smoothing = torch.tensor([0.5, 3.0]), 0.2
    right, wrong, even = -math.log(0.8), -math.log(0.2), math.log(2)
    terms = [0.9 * right + 0.1 * wrong, 0.9 * wrong + 0.1 * right, even]
    expected = (0.5 * terms[0] + 3.0 * terms[1] + 0.5 * terms[2]) / (0.5 + 3.0 + 0.5)
    found = label_loss(logits, torch.tensor(targets), weights, smoothing)
    assert found.item() == pytest.approx(expected)


def test_a_mixed_image_weighs_what_its_classes_weigh_by_their_shares():
    logits = torch.tensor([[math.log(4), 0.0], [0.0, 0.0]])
    targets = torch.tensor([[0.75, 0.25], [0.0, 1.0]])
    weights = torch.tensor([1.0, 9.0])
    terms = [-0.75 * math.log(0.8) - 0.25 * math.log(0.2), math.log(2)]
    expected = (3.0 * terms[0] + 9.0 * terms[1]) / 12.0  # 0.75 · 1 + 0.25 · 9 = 3
    assert label_loss(logits, targets, weights, 0.0).item() == pytest.approx(expected)


@pytest.mark.parametrize("classes", [2, 3, 10])
@pytest.mark.parametrize("smoothing", [0.0, 0.02, 0.1, 0.9])
def test_the_optimum_is_the_right_class_whatever_the_ratio(classes, smoothing):
    """Gradient 0 where the model says what the image's own target is: the only minimum."""
    for ratio in RATIOS:
        weights = torch.ones(classes, dtype=torch.float64)
        weights[-1] = ratio
        labels = torch.tensor([0, classes - 1, 0])
        wanted = [distribution(classes, int(label), smoothing) for label in labels]
        target = torch.stack(wanted).double()
        logits = target.clamp(min=1e-12).log().requires_grad_()
        label_loss(logits, labels, weights, smoothing).backward()
        assert logits.grad.abs().max() < 1e-7
        assert (target.argmax(1) == labels).all()


@pytest.mark.parametrize("shares", [[0.7, 0.3, 0.0], [0.5, 0.1, 0.4]])
def test_the_optimum_of_a_mixed_image_is_its_mix_whatever_the_ratio(shares):
    for ratio in RATIOS:
        target = torch.tensor([shares, [0.0, 0.0, 1.0]], dtype=torch.float64)
        weights = torch.tensor([1.0, ratio, ratio], dtype=torch.float64)
        logits = target.clamp(min=1e-12).log().requires_grad_()
        label_loss(logits, target, weights, 0.0).backward()
        assert logits.grad.abs().max() < 1e-7


def test_it_is_torchs_cross_entropy_without_weights_or_without_smoothing():
    logits, labels = torch.randn(6, 4), torch.tensor([0, 1, 2, 3, 3, 0])
    mixed = torch.rand(6, 4).softmax(1)
    cross_entropy = torch.nn.functional.cross_entropy
    for targets in (labels, mixed):
        for smoothing in (0.0, 0.1):
            expected = cross_entropy(logits, targets, label_smoothing=smoothing)
            torch.testing.assert_close(label_loss(logits, targets, None, smoothing), expected)
            even = label_loss(logits, targets, torch.full((4,), 7.0), smoothing)
            torch.testing.assert_close(even, expected)
    weights = torch.tensor([1.0, 2.0, 50.0, 0.1])
    expected = cross_entropy(logits, labels, weight=weights)
    torch.testing.assert_close(label_loss(logits, labels, weights, 0.0), expected)


def rare(by_hand, count, *, few, classes=2):
    """Bright images of class 1, few, and dark ones of the others."""
    rng = np.random.default_rng(0)
    labels = np.arange(count) % max(classes - 1, 1) * 2 % classes
    labels[:: count // few] = 1
    levels = rng.integers(0, 60, (count, 1, 8, 8)) + 90 * labels[:, None, None, None]
    return by_hand(levels.clip(max=255).astype(np.uint8), labels.tolist(), classes=classes)


@pytest.mark.parametrize("fields", [{}, {"mixup": 0.2}])
def test_a_rare_class_is_learned_with_weights_and_smoothing(by_hand, fields):
    """1 image in 41, so that torch's own weighting of smoothing would turn the optimum over."""
    data = rare(by_hand, 615, few=15)
    config = TrainConfig(
        **{**PLAIN, "label_smoothing": 0.1, **fields}, class_weights="balanced",
        batch_norm=False, epochs=3, batch_size=32, lr=0.05,
    )  # fmt: skip
    run = Trainer(config, data)
    while run.stop_reason is None:
        reached = run.run_epoch().val_accuracy
    assert reached >= 0.99


def test_a_class_without_training_images_does_no_harm(by_hand):
    data = rare(by_hand, 200, few=50)
    absent = by_hand(data.train.images.take(np.arange(200)), data.train.labels.tolist(), classes=4)
    config = TrainConfig(
        **{**PLAIN, "label_smoothing": 0.1}, class_weights="balanced", epochs=3, batch_size=32,
        batch_norm=False, lr=0.05,
    )  # fmt: skip
    run = Trainer(config, absent)
    while run.stop_reason is None:
        reached = run.run_epoch().val_accuracy
    assert reached >= 0.99


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


@pytest.mark.slow
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
