"""The trainer process that trains nothing can stand in for the real one."""

import inspect

from benchmarks.driver import IdleTrainer
from sweep.trial.trainer_process import TrainerProcess


def test_an_idle_trainer_has_the_calls_of_a_real_one():
    used = {n: f for n, f in vars(TrainerProcess).items() if inspect.isfunction(f) and n != "call"}
    for name, function in used.items():
        idle = getattr(IdleTrainer, name)
        assert list(inspect.signature(idle).parameters) == list(
            inspect.signature(function).parameters
        )
