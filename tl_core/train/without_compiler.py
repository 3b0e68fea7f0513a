"""torch's optimizers without its compiler, which takes 1 to 2.5 s and 150 MiB in every process.

torch wraps methods of its optimizers so that its compiler leaves them alone; the first call of
one imports it, though nothing here is compiled.
"""

import functools
import inspect
from collections.abc import Callable

import torch

WRAPPED = ("add_param_group", "zero_grad", "state_dict", "load_state_dict")
"""Methods of `torch.optim.Optimizer` that import the compiler; the step of most classes too."""


def without_compiler(build: Callable[[], torch.optim.Optimizer]) -> torch.optim.Optimizer:
    """What `build` makes, of a subclass that does the same without importing the compiler.

    A step that torch wrote is not differentiable; one of another make is left as it is.
    """
    base = torch.optim.Optimizer
    wrapped = base.add_param_group
    base.add_param_group = inspect.unwrap(wrapped)  # type: ignore[method-assign]
    try:
        optimizer = build()  # adds its groups
    finally:
        base.add_param_group = wrapped  # type: ignore[method-assign]
    if isinstance(optimizer, base):
        optimizer.__class__ = _unwrapped(type(optimizer))  # type: ignore[arg-type]
        base.__setstate__(optimizer, {})  # lets the hooks see the steps of the new class
    return optimizer


@functools.cache
def _unwrapped(optimizer: type[torch.optim.Optimizer]) -> type[torch.optim.Optimizer]:
    methods = {
        name: inspect.unwrap(method)
        for name in WRAPPED
        if _is_torchs(method := getattr(optimizer, name))
    }
    if _is_torchs(optimizer.step):
        methods["step"] = torch.no_grad()(inspect.unwrap(optimizer.step))
    return type(optimizer.__name__, (optimizer,), methods)


def _is_torchs(method: Callable[..., object]) -> bool:
    return method.__module__.startswith("torch.optim.")
