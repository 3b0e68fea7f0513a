"""What a frozen part of a model computes, as a key: equal content, equal key, in every process."""

import contextlib
import functools
import secrets
from collections.abc import Iterator, Mapping
from types import FunctionType, MethodType, ModuleType
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import Tensor, fx, nn

from tl_core.machine.user_code import code_digest, digest, has_text

_NOT_SETTINGS = frozenset(nn.Module().__dict__) | {"train"}
"""Attributes that every module has, and `train`, which freezing puts there."""
_DEPTH = 10
_TOKENS: WeakKeyDictionary[Any, str] = WeakKeyDictionary()
"""Classes and functions whose source is not known → what they are known by in this process."""


def prefix_key(prefix: fx.GraphModule) -> str:
    """Key of a traced piece of a model: its operations, settings, numbers, and the code behind."""
    modules = {name: part for name, part in prefix.named_modules() if part is not prefix}
    settings = {
        name: (type(part), type(part).forward, own_settings(part))
        for name, part in modules.items()
    }
    called = [node.target for node in prefix.graph.nodes if node.op == "call_function"]
    libraries = code_digest(("timm", "torchvision"))
    return digest(
        prefix_text(prefix), content_key((settings, called, _tensors(prefix))), libraries
    )


def prefix_text(prefix: fx.GraphModule) -> str:
    """Its operations and the modules that it calls."""
    called = [node.target for node in prefix.graph.nodes if node.op == "call_module"]
    return "\n".join([str(prefix.graph), *(repr(prefix.get_submodule(name)) for name in called)])


def own_settings(module: nn.Module) -> dict[str, object]:
    """Attributes of a module that are neither its tensors nor its parts."""
    return {name: held for name, held in vars(module).items() if name not in _NOT_SETTINGS}


def content_key(value: object) -> str:
    """Hash of a value, of what it holds, and of the code of all classes and functions in it."""
    modules: set[str] = set()
    plain = _plain(value, modules, _DEPTH)
    return digest(plain, code_digest(modules))


def _plain(value: Any, modules: set[str], depth: int) -> object:
    """A value as nested lists of text and names; full names of modules are added to `modules`."""

    def plain(*held: object) -> list[object]:
        return [_plain(part, modules, depth - 1) for part in held]

    if isinstance(value, Tensor):
        tensor = value.detach().cpu().contiguous()
        data = tensor.flatten().view(torch.uint8).numpy().tobytes() if tensor.numel() else b""
        return [str(tensor.dtype), tuple(tensor.shape), digest(data)]
    if isinstance(value, np.ndarray):
        return [str(value.dtype), value.shape, digest(value.tobytes())]
    if depth == 0:
        return secrets.token_hex()
    if isinstance(value, Mapping):
        return ["mapping", *(plain(*item) for item in value.items())]
    if isinstance(value, list | tuple):
        return [type(value).__name__, *plain(*value)]
    if isinstance(value, set | frozenset):
        return ["set", *sorted(map(repr, plain(*value)))]
    if isinstance(value, functools.partial):
        return ["partial", *plain(value.func, value.args, value.keywords)]
    if isinstance(value, nn.Module):
        parts = dict(value.named_children())
        return [_named(type(value), modules), *plain(own_settings(value), _tensors(value), parts)]
    if isinstance(value, MethodType):
        holder = value.__self__
        return plain(value.__func__, type(holder) if isinstance(holder, nn.Module) else holder)
    if isinstance(value, FunctionType):
        line, defaults = value.__code__.co_firstlineno, (value.__defaults__, value.__kwdefaults__)
        return [_named(value, modules), line, *plain(defaults, list(_held(value)))]
    if isinstance(value, ModuleType):
        return value.__name__
    if hasattr(value, "__qualname__"):  # a class, or built in
        return _named(value, modules)
    if getattr(value, "__dict__", None):
        return [_named(type(value), modules), *plain(vars(value))]
    if " at 0x" in repr(value):
        return secrets.token_hex()  # equals nothing
    return [_named(type(value), modules), repr(value)]


def _held(function: FunctionType) -> Iterator[object]:
    """What a function holds of where it was made."""
    for cell in function.__closure__ or ():
        with contextlib.suppress(ValueError):  # not filled yet
            yield cell.cell_contents


def _named(value: Any, modules: set[str]) -> str:
    """Full name of a class or function, made known to `modules`."""
    module = str(getattr(value, "__module__", None) or "builtins")
    modules.add(module)
    name = f"{module}.{value.__qualname__}"
    return name if has_text(module) else name + _TOKENS.setdefault(value, secrets.token_hex())


def _tensors(module: nn.Module) -> dict[str, Tensor]:
    return dict(module.named_parameters()) | dict(module.named_buffers())
