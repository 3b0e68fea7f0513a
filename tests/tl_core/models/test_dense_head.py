"""A head of one hidden layer in place of the model's own."""

import pytest
import torch
from torch import nn

from tl_core import BadInput, TrainConfig
from tl_core.models import build_model, head_parameters, stages


@pytest.mark.parametrize(
    "backbone", ["residual", "plain", "baseline", "timm:test_resnet", "timm:test_efficientnet"]
)
def test_the_head_is_two_dense_layers_with_dropout(make, backbone):
    plain, images = make(backbone)
    model, _ = make(backbone, head_units=7, head_dropout=0.4)
    dense = [m for m in model.modules() if isinstance(m, nn.Linear)]
    assert [m.out_features for m in dense] == [7, 5]
    assert {p for m in dense for p in m.parameters()} == {
        model.get_parameter(name) for name in head_parameters(model)
    }
    assert [m.p for m in model.get_classifier() if isinstance(m, nn.Dropout)] == [0.4]
    assert stages(model) == stages(plain)
    assert model.eval()(images).shape == (4, 5)


def test_a_linear_probe_trains_this_head_alone(make):
    model, _ = make("residual", head_units=7, freeze_depth=4)
    trained = {name for name, p in model.named_parameters() if p.requires_grad}
    assert trained == head_parameters(model) == {f"head.{n}.{k}" for n in (0, 3) for k in
                                                 ("weight", "bias")}  # fmt: skip


class TwoHeads(nn.Module):
    """Something with two classifiers."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Linear(4, 2), nn.Linear(4, 2)

    def get_classifier(self):
        return self.one, self.two


class ConvHead(nn.Sequential):
    """A classifier that is no dense layer."""

    def get_classifier(self):
        return self[-1]


@pytest.mark.parametrize("model", [TwoHeads(), ConvHead(nn.Conv2d(1, 2, 1))])
def test_other_heads_are_refused(monkeypatch, model):
    from tl_core.models import MODELS, ModelSpec

    monkeypatch.setitem(MODELS, "odd", ModelSpec(lambda config, **_: model, "odd"))
    with pytest.raises(BadInput, match=r"head_units=7: .* could be replaced; use head_units=none"):
        build_model(
            TrainConfig(backbone="odd", head_units=7), channels=1, num_classes=2, image_size=4
        )


def test_weights_of_the_same_head_come_over(make, tmp_path):
    from tl_core.weights.weights_file import save_weights

    model, _ = make("residual", head_units=7)
    path = tmp_path / "w.safetensors"
    config = TrainConfig(width=4, head_units=7)
    save_weights(path, model, config=config, classes="abcde", mean=[0.5], std=[0.2])
    other, _ = make("residual", head_units=7, weights=str(path))
    assert other.loaded.missing == other.loaded.unexpected == ()
    assert torch.equal(other.head[0].weight, model.head[0].weight)
    plain, _ = make("residual", weights=str(path))
    assert set(plain.loaded.missing) == {"head.weight", "head.bias"}
