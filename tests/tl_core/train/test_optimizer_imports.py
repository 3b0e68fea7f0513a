"""Optimizers are torch's, but load no compiler."""

import subprocess
import sys

import pytest
import torch

from tl_core import TrainConfig
from tl_core.train.optim import OPTIMIZERS, build_optimizer, optimizer_spec

TRAINING = """
import sys
import torch
from tl_core import TrainConfig, Trainer
from tl_core.train.optim import OPTIMIZERS

def plain(groups, config):
    return torch.optim.NAdam(groups, lr=config.lr)

class Inherited(torch.optim.Adagrad):
    pass

OPTIMIZERS["plain"] = plain
OPTIMIZERS["inherited"] = lambda groups, config: Inherited(groups, lr=config.lr)
torch.set_num_threads(1)
for name in OPTIMIZERS:
    fields = {"optimizer": name, "width": 4, "limit_train": 64, "epochs": 1}
    trainer = Trainer(TrainConfig(**fields))
    trainer.run_epoch()
    trainer.load_state_dict(trainer.state_dict())
    modules = ("torch._dynamo", "torch._inductor", "sympy")
    print(name, *[module for module in modules if module in sys.modules])
"""


@pytest.mark.slow
def test_no_row_loads_the_compiler():
    run = subprocess.run(
        [sys.executable, "-c", TRAINING], capture_output=True, text=True, check=False
    )
    assert run.stdout.split("\n") == [*OPTIMIZERS, "plain", "inherited", ""], run.stderr


def torchs_own(model, config):
    """The optimizer of a row as torch makes it."""
    group = {"params": list(model.parameters()), "weight_decay": config.weight_decay}
    return optimizer_spec(config.optimizer).build([group], config)


def built(model, config):
    """The same, as runs have it."""
    optimizer = build_optimizer(model, config)
    assert len(optimizer.param_groups) == 1
    return optimizer


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_steps_are_torchs_to_the_bit(name):
    config = TrainConfig(optimizer=name, lr=0.1, weight_decay=0.1)
    found = []
    for make in (built, torchs_own):
        torch.manual_seed(0)
        model = torch.nn.Sequential(torch.nn.Linear(3, 2, bias=False))
        optimizer = make(model, config)
        for _ in range(3):
            optimizer.zero_grad()
            model(torch.ones(4, 3)).square().sum().backward()
            optimizer.step()
            optimizer.load_state_dict(optimizer.state_dict())
        found.append((type(optimizer).__name__, model[0].weight.detach().clone()))
    (own_name, own), (torch_name, other) = found
    assert torch.equal(own, other)
    assert own_name == torch_name


def one_step(optimizer, model):
    optimizer.zero_grad()
    model(torch.ones(1, 2)).sum().backward()
    return optimizer.step()


@pytest.fixture
def model():
    return torch.nn.Sequential(torch.nn.Linear(2, 1))


def test_hooks_of_a_step_run_once(model):
    calls = []
    for _ in range(2):
        optimizer = build_optimizer(model, TrainConfig())
    optimizer.register_step_pre_hook(lambda *call: calls.append("before"))
    optimizer.register_step_post_hook(lambda *call: calls.append("after"))
    one_step(optimizer, model)
    assert calls == ["before", "after"]


class Own(torch.optim.Optimizer):
    """Another make: its step is its own, and needs gradients."""

    def step(self, closure=None):
        return "stepped" if torch.is_grad_enabled() else "without gradients"


def test_an_optimizer_of_another_make_keeps_its_step(model, monkeypatch):
    monkeypatch.setitem(OPTIMIZERS, "own", lambda groups, config: Own(groups, {}))
    optimizer = build_optimizer(model, TrainConfig(optimizer="own"))
    assert one_step(optimizer, model) == "stepped"


def test_torchs_classes_are_left_as_they_are(model):
    before = torch.optim.Optimizer.add_param_group
    build_optimizer(model, TrainConfig())
    assert torch.optim.Optimizer.add_param_group is before
    assert type(torch.optim.SGD(model.parameters())) is torch.optim.SGD
