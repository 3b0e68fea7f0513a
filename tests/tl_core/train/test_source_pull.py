"""Decay towards the source weights, against gradients worked out by hand."""

import pytest
import torch

from tl_core import BadInput, TrainConfig, Trainer
from tl_core.models import build_model
from tl_core.train.source_pull import SourcePull
from tl_core.weights.weights_file import save_weights

SHAPE = {"channels": 1, "num_classes": 10, "image_size": 8}


@pytest.fixture
def source(tmp_path):
    """A narrow residual CNN for other classes in a file of ours."""
    config = TrainConfig(width=4)
    model = build_model(config, channels=1, num_classes=3, image_size=8)
    path = tmp_path / "source.safetensors"
    save_weights(path, model, config=config, classes=["a", "b", "c"], mean=[0.5], std=[0.25])
    return str(path)


def test_the_gradient_by_hand(source):
    model = build_model(TrainConfig(width=4, weights=source), **SHAPE)
    pull = SourcePull(model, 0.5, list(model.state_dict()))
    conv, head = model.stem[0].weight, model.head.weight
    start = conv.detach().clone()
    conv.grad, head.grad = torch.ones_like(conv), torch.ones_like(head)
    with torch.no_grad():
        conv.add_(2.0)
        head.add_(2.0)
    pull.add_gradients()
    torch.testing.assert_close(conv.grad, 1 + 0.5 * (conv.detach() - start))
    assert torch.equal(head.grad, torch.ones_like(head))  # the new head has no source


def test_without_strength_there_is_nothing_to_pull(source):
    model = build_model(TrainConfig(width=4, weights=source), **SHAPE)
    assert not SourcePull(model, 0.0, list(model.state_dict()))


def test_what_is_frozen_is_not_pulled(source):
    model = build_model(TrainConfig(width=4, weights=source, freeze_depth=4), **SHAPE)
    assert not SourcePull(model, 0.5, ["head.weight", "head.bias"])


def distance(run, start):
    state = run.model.state_dict()
    return sum((state[n] - start[n]).square().sum().item() for n in start if "head" not in n)


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_a_stronger_pull_stays_nearer_to_the_source(digits, source, precision):
    found = []
    for strength in (0.001, 1.0):
        config = TrainConfig(
            width=4, weights=source, l2_sp=strength, lr=0.05, epochs=2, limit_train=128, threads=1,
            precision=precision, eval_precision="fp32", augmentation="none", batch_size=32,
        )  # fmt: skip
        run = Trainer(config, digits)
        names = [n for n, p in run.model.named_parameters()]
        start = {n: run.model.state_dict()[n].clone() for n in names}
        while run.stop_reason is None:
            run.run_epoch()
        found.append(distance(run, start))
    assert found[1] < 0.5 * found[0]


def test_the_body_has_no_other_decay(digits, source):
    config = TrainConfig(width=4, weights=source, l2_sp=0.1, weight_decay=0.2, threads=1)
    run = Trainer(config, digits)
    decays = {id(p): g["weight_decay"] for g in run.optimizer.param_groups for p in g["params"]}
    assert decays[id(run.model.stem[0].weight)] == 0
    assert decays[id(run.model.head.weight)] == 0.2


def test_without_a_source_it_is_refused():
    with pytest.raises(BadInput, match=r"l2_sp=0.1 pulls towards source weights, but weights is"):
        TrainConfig(l2_sp=0.1)
