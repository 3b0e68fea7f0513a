"""Parameter groups, optimizers and schedules against values worked out by hand."""

import pytest
import torch
from torch import nn

from tl_core.config import TrainConfig
from tl_core.errors import BadInput
from tl_core.models import build_model, stage_count
from tl_core.train.optim import (
    OPTIMIZERS,
    SCHEDULES,
    Plateau,
    build_optimizer,
    check_optimization,
    parameter_groups,
    set_learning_rates,
    take_over_state,
)


@pytest.fixture
def small():
    """A convolution, a norm and a head; without get_classifier the last child is the head."""
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(72, 3))


def names_of(model, group):
    members = {id(p) for p in group["params"]}
    return {name for name, p in model.named_parameters() if id(p) in members}


def test_body_and_head_with_and_without_decay(small):
    config = TrainConfig(lr=0.1, head_lr_ratio=10.0, weight_decay=0.01)
    found = [
        (names_of(small, g), g["lr"], g["peak_lr"], g["weight_decay"])
        for g in parameter_groups(small, config)
    ]
    assert found == [
        ({"0.bias", "1.weight", "1.bias"}, 0.1, 0.1, 0.0),
        ({"0.weight"}, 0.1, 0.1, 0.01),
        ({"3.bias"}, 1.0, 1.0, 0.0),
        ({"3.weight"}, 1.0, 1.0, 0.01),
    ]


def test_frozen_parameters_are_in_no_group(small):
    small[0].requires_grad_(False)
    small[3].bias.requires_grad_(False)
    groups = parameter_groups(small, TrainConfig())
    assert [names_of(small, g) for g in groups] == [{"1.weight", "1.bias"}, {"3.weight"}]


def test_nothing_to_train_is_refused(small):
    small.requires_grad_(False)
    with pytest.raises(BadInput, match="every parameter is frozen; lower freeze_depth"):
        build_optimizer(small, TrainConfig())


def test_a_linear_probe_trains_the_head_alone():
    config, shape = TrainConfig(width=4), {"channels": 1, "num_classes": 3, "image_size": 8}
    depth = stage_count(config, **shape)
    probe = TrainConfig(width=4, freeze_depth=depth)
    model = build_model(probe, **shape)
    groups = parameter_groups(model, probe)
    assert [names_of(model, g) for g in groups] == [{"head.bias"}, {"head.weight"}]


def test_every_stage_has_its_own_rate():
    config = TrainConfig(width=4, lr=0.1, head_lr_ratio=10.0, layer_lr_decay=0.5, weight_decay=0.0)
    model = build_model(config, channels=1, num_classes=3, image_size=8)
    rates = {}
    for group in parameter_groups(model, config):
        for name in names_of(model, group):
            rates[name] = group["peak_lr"]
    assert rates["head.weight"] == rates["head.bias"] == pytest.approx(1.0)
    assert rates["stages.2.0.conv1.weight"] == pytest.approx(0.1)
    assert rates["stages.1.0.norm2.bias"] == pytest.approx(0.05)
    assert rates["stages.0.0.conv2.weight"] == pytest.approx(0.025)
    assert rates["stem.0.weight"] == pytest.approx(0.0125)
    assert len(rates) == len(list(model.parameters()))


def test_state_of_the_parameters_that_both_have_is_taken_over(small):
    first = build_optimizer(small, TrainConfig())
    small[3].weight.grad = torch.ones_like(small[3].weight)
    first.step()
    second = build_optimizer(small, TrainConfig())
    take_over_state(second, first)
    assert not second.state[small[0].weight]["momentum_buffer"].any()
    assert second.state[small[3].weight] is first.state[small[3].weight]


def test_a_factor_scales_every_peak(small):
    optimizer = build_optimizer(small, TrainConfig(lr=0.2, head_lr_ratio=5.0))
    for factor, body, head in ((0.5, 0.1, 0.5), (0.25, 0.05, 0.25), (1.0, 0.2, 1.0)):
        set_learning_rates(optimizer, factor)
        rates = [group["lr"] for group in optimizer.param_groups]
        assert rates == pytest.approx([body, body, head, head])


# From weight 2, gradient 0.5, rate 0.1, decay 0.1, momentum 0.9:
FIRST_STEP = {
    "sgd": 2 - 0.1 * (1 + 0.9) * (0.5 + 0.1 * 2),  # Nesterov: g + 0.9 · (buffer = g)
    "adam": 2 - 0.1,  # the first step is the rate, in the gradient's direction
    "adamw": 2 * (1 - 0.1 * 0.1) - 0.1,
    "rmsprop": 2 - 0.1 / (1 - 0.99) ** 0.5,  # g / sqrt(0.01 g²)
}


@pytest.mark.parametrize(("name", "expected"), FIRST_STEP.items())
def test_first_step_by_hand(name, expected):
    weight = one_step(TrainConfig(optimizer=name, lr=0.1, weight_decay=0.1, momentum=0.9))
    assert weight == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"nesterov": False}, 2 - 0.1 * 0.7),
        ({"momentum": 0.0}, 2 - 0.1 * 0.7),
        ({"momentum": None}, 2 - 0.1 * 0.7),
    ],
)
def test_sgd_without_momentum_or_nesterov(values, expected):
    weight = one_step(TrainConfig(optimizer="sgd", lr=0.1, weight_decay=0.1, **values))
    assert weight == pytest.approx(expected, rel=1e-5)


def one_step(config):
    head = nn.Sequential(nn.Linear(1, 1, bias=False))
    nn.init.constant_(head[0].weight, 2.0)
    optimizer = build_optimizer(head, config)
    head[0].weight.grad = torch.full((1, 1), 0.5)
    optimizer.step()
    return head[0].weight.item()


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_one_step_lowers_a_least_squares_loss(name):
    torch.manual_seed(0)
    inputs, targets = torch.randn(32, 4), torch.randn(32, 2)
    model = nn.Sequential(nn.Linear(4, 2))
    optimizer = build_optimizer(model, TrainConfig(optimizer=name, lr=0.01))
    losses = []
    for _ in range(2):
        loss = (model(inputs) - targets).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[1] < losses[0]


@pytest.fixture
def poisoned_memory():
    """Uninitialized tensors hold NaN, instead of what happened to lie there."""
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)


@pytest.mark.usefixtures("poisoned_memory")
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_step_that_overflows_leaves_no_trace(name):
    """In fp16 the loss scaler often skips the first steps, until it has found its scale."""
    config = TrainConfig(optimizer=name, precision="fp16", lr=0.1)
    ends = []
    for gradients in ((float("inf"), 1.0, 0.5), (1.0, 0.5)):
        head = nn.Sequential(nn.Linear(1, 1, bias=False))
        nn.init.constant_(head[0].weight, 2.0)
        optimizer, scaler = build_optimizer(head, config), torch.amp.GradScaler("cpu")
        for gradient in gradients:
            optimizer.zero_grad()
            scaler.scale(head[0].weight.sum() * gradient).backward()
            scaler.step(optimizer)
            scaler.update()
        ends.append(head[0].weight.item())
    assert ends[0] == ends[1] < 2


FAST_ENOUGH = {"epochs": 10, "warmup_epochs": 2.0, "step_epochs": 3, "decay_factor": 0.1}


@pytest.mark.parametrize(
    ("schedule", "epoch", "factor"),
    [
        *[("constant", e, f) for e, f in ((0, 0), (0.5, 0.25), (2, 1), (6, 1), (10, 1))],
        *[("plateau", e, f) for e, f in ((0, 0), (1, 0.5), (2, 1), (10, 1))],
        # drops after 3, 6 and 9 whole epochs
        *[("step", e, f) for e, f in ((0, 0), (1, 0.5), (2, 1), (2.99, 1), (3, 0.1))],
        *[("step", e, f) for e, f in ((5.9, 0.1), (6, 0.01), (10, 0.001))],
        # half a cosine over 8 epochs: an eighth of a turn at 4, a quarter at 6
        *[("cosine", e, f) for e, f in ((0, 0), (1, 0.5), (2, 1), (4, 0.8535534))],
        *[("cosine", e, f) for e, f in ((6, 0.5), (8, 0.1464466), (10, 0))],
        # up for 2.5 epochs, down for 7.5
        *[("onecycle", e, f) for e, f in ((0, 0.1), (1.25, 0.55), (2.5, 1), (5, 2 / 3))],
        *[("onecycle", e, f) for e, f in ((6.25, 0.5), (10, 0))],
    ],
)
def test_schedule_by_hand(schedule, epoch, factor):
    config = TrainConfig(schedule=schedule, **FAST_ENOUGH)
    assert SCHEDULES[schedule](epoch, config) == pytest.approx(factor, abs=1e-6)


@pytest.mark.parametrize("schedule", ["constant", "step", "cosine", "plateau"])
def test_without_warmup_a_run_starts_at_the_peak(schedule):
    assert SCHEDULES[schedule](0, TrainConfig(schedule=schedule)) == 1


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize(
    "values", [{}, {"warmup_epochs": 1.5}, {"warmup_epochs": 20.0}, {"epochs": 1}]
)
def test_factors_stay_in_range_over_the_whole_run(schedule, values):
    config = TrainConfig(**{"epochs": 8, "step_epochs": 2, "schedule": schedule, **values})
    epochs = [config.epochs * k / 200 for k in range(201)]
    factors = [SCHEDULES[schedule](epoch, config) for epoch in epochs]
    assert all(0 <= factor <= 1 for factor in factors)
    assert max(factors) > 0.04  # warmed up for a twentieth of the way at least


def test_plateau_drops_after_its_patience():
    plateau = Plateau(TrainConfig(schedule="plateau", plateau_patience=2, decay_factor=0.1))
    seen = []
    for loss in (1.0, 0.9, 0.9, 0.95, 0.9, 0.91, 0.92, 0.8, 0.9, 0.9, 0.9):
        plateau.update(loss)
        seen.append(plateau.factor)
    # three without gain at 0.9 (the fifth), two more, a gain, three without (the last)
    assert seen == pytest.approx([1, 1, 1, 1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.01])


def test_other_schedules_leave_the_plateau_alone():
    plateau = Plateau(TrainConfig(schedule="cosine", plateau_patience=0))
    for loss in (1.0, 2.0, 3.0):
        plateau.update(loss)
    assert plateau.factor == 1


def test_plateau_goes_on_from_a_saved_state():
    config = TrainConfig(schedule="plateau", plateau_patience=1, decay_factor=0.5)
    first, second = Plateau(config), Plateau(config)
    for loss in (1.0, 1.1):
        first.update(loss)
    second.load_state_dict(first.state_dict())
    second.update(1.05)  # worse than the best of the first, for the second time
    assert second.factor == 0.5


@pytest.mark.parametrize(("field", "table"), [("optimizer", OPTIMIZERS), ("schedule", SCHEDULES)])
def test_an_unknown_name_lists_the_table(field, table):
    with pytest.raises(BadInput, match=f"{field}='nope': one of {', '.join(table)}"):
        check_optimization(TrainConfig(**{field: "nope"}))
