"""Optimizers are torch's, but load no compiler."""

import subprocess
import sys

import pytest
import torch

from tl_core.train.optim import SGD, Adam, AdamW, RMSprop, without_compiler

TRAINING = """
import sys
import torch
from tl_core import TrainConfig, Trainer

torch.set_num_threads(1)
for fields in (
    {"optimizer": "sgd"},
    {"optimizer": "adamw"},
    {"optimizer": "rmsprop"},
):
    trainer = Trainer(TrainConfig(width=4, limit_train=64, epochs=1, **fields))
    trainer.run_epoch()
    trainer.load_state_dict(trainer.state_dict())
loaded = [name for name in ("torch._dynamo", "torch._inductor", "sympy") if name in sys.modules]
print("loaded:", *loaded)
"""


@pytest.mark.slow
def test_training_one_of_our_models_loads_no_compiler():
    run = subprocess.run(
        [sys.executable, "-c", TRAINING], capture_output=True, text=True, check=False
    )
    assert (run.stdout.strip(), run.returncode) == ("loaded:", 0), run.stderr


@pytest.mark.parametrize(
    ("own", "other", "fields"),
    [
        (SGD, torch.optim.SGD, {"momentum": 0.9, "fused": True}),
        (Adam, torch.optim.Adam, {"weight_decay": 0.1}),
        (AdamW, torch.optim.AdamW, {"fused": True}),
        (RMSprop, torch.optim.RMSprop, {}),
    ],
)
def test_steps_are_torchs_to_the_bit(own, other, fields):
    found = []
    for cls in (own, other):
        torch.manual_seed(0)
        model = torch.nn.Linear(3, 2)
        optimizer = cls(model.parameters(), lr=0.1, **fields)
        for _ in range(3):
            optimizer.zero_grad()
            model(torch.ones(4, 3)).square().sum().backward()
            optimizer.step()
            optimizer.load_state_dict(optimizer.state_dict())
        found.append(model.weight.detach().clone())
    assert torch.equal(*found)
    assert own.__name__ == other.__name__


def test_hooks_of_a_step_run():
    model, calls = torch.nn.Linear(2, 1), []
    optimizer = SGD(model.parameters(), lr=0.1)
    optimizer.register_step_pre_hook(lambda *call: calls.append("before"))
    optimizer.register_step_post_hook(lambda *call: calls.append("after"))
    model(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    assert calls == ["before", "after"]


def test_an_optimizer_of_another_make_keeps_its_step():
    class Own(torch.optim.Optimizer):
        def step(self, closure=None):
            return "stepped"

    assert without_compiler(Own)([torch.nn.Parameter(torch.ones(1))], {}).step() == "stepped"
