"""torch's compiler stays unloaded where nothing is compiled.

Optimizers load it, two seconds of imports in every process, only to tell it to
keep off them. Here they leave that until somebody else has loaded it.
"""

import functools
import inspect
import sys
from collections.abc import Callable
from typing import Any, TypeVar, cast

import torch

COMPILER = "torch._dynamo"
_MARK = "__dynamo_disable"
"""Where torch's wrapper of such a function keeps what it calls instead (torch/_compile.py)."""


Class = TypeVar("Class", bound=type[torch.optim.Optimizer])


def without_compiler(optimizer: Class) -> Class:
    """A subclass that does the same without loading the compiler; not differentiable."""
    keep_compiler_unloaded(
        optimizer.add_param_group, optimizer.zero_grad, optimizer.state_dict,
        optimizer.load_state_dict,
    )  # fmt: skip
    step = inspect.unwrap(optimizer.step)

    @functools.wraps(step)
    def step_without_gradient(self: torch.optim.Optimizer, *args: Any, **kwargs: Any) -> Any:
        with torch.no_grad():
            return step(self, *args, **kwargs)

    return cast(Class, type(optimizer.__name__, (optimizer,), {"step": step_without_gradient}))


def keep_compiler_unloaded(*functions: Any) -> None:
    """Let functions that torch wrapped in `torch._disable_dynamo` run without the compiler.

    What is wrapped otherwise, or was called already, stays as it is.
    """
    for function in functions:
        inner = getattr(function, "__wrapped__", None)
        if inner is not None and not hasattr(inner, _MARK):
            setattr(inner, _MARK, _waiting(inner))


def _waiting(function: Callable[..., Any]) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        if COMPILER not in sys.modules:
            return function(*args, **kwargs)
        delattr(function, _MARK)  # torch's wrapper makes its own at the next call
        return torch._disable_dynamo(function)(*args, **kwargs)

    return call
