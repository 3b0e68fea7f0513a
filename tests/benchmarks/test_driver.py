"""The trainer process that trains nothing can stand in for the real one."""

import inspect
from collections.abc import Callable

from benchmarks.driver import IdleTrainer
from sweep.trial.trainer_process import TrainerProcess


def test_an_idle_trainer_has_the_calls_of_a_real_one():
    used = {n: f for n, f in vars(TrainerProcess).items() if inspect.isfunction(f) and n != "call"}
    for name, function in used.items():
        assert _parameters(getattr(IdleTrainer, name)) == _parameters(function)


def _parameters(function: Callable) -> list[str]:
    """Names of the parameters, less those that Ray adds to the methods of a class it has seen."""
    return [n for n in inspect.signature(function).parameters if not n.startswith("_")]
