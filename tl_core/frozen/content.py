"""What a frozen part of a model computes, as a key: equal content, equal key, in every process.

Of the user's own code not only the text counts: the values of the globals, of the class
attributes and of all else that a function may read when it is called count too. What it reads
from files and from the environment does not.
"""

import contextlib
import functools
import secrets
from collections.abc import Iterable, Iterator, Mapping
from logging import Logger
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import Tensor, fx, nn

from tl_core.machine.user_code import code_digest, digest, has_text, is_users

_NOT_SETTINGS = frozenset(nn.Module().__dict__) | {"train"}
"""Attributes that every module has, and `train`, which freezing puts there."""
_NOT_OF_CLASSES = {"__init__", "_abc_impl", "_autograd_function_id", "_backward_cls"}
"""What a class's instances show by themselves, and what Python and torch keep in it."""
_DEPTH = 100
_TOKENS: WeakKeyDictionary[Any, str] = WeakKeyDictionary()
"""Classes and functions whose source is not known → what they are known by in this process."""


def prefix_key(prefix: fx.GraphModule, settings: str | None = None) -> str:
    """Key of a traced piece of a model: its operations, settings, numbers, and the code behind.

    `settings` is its `settings_key`, where that is known.
    """
    return digest(settings or settings_key(prefix), content_key(_tensors(prefix)))


def settings_key(piece: fx.GraphModule) -> str:
    """Key of all but the numbers."""
    settings = {
        name: (type(part), type(part).forward, own_settings(part))
        for name, part in piece.named_modules()
        if part is not piece
    }
    nodes = piece.graph.nodes
    functions = [node.target for node in nodes if node.op == "call_function"]
    modules = [piece.get_submodule(node.target) for node in nodes if node.op == "call_module"]
    libraries = code_digest(("timm", "torchvision"))
    return digest(str(piece.graph), modules, content_key((settings, functions)), libraries)


def own_settings(module: nn.Module) -> dict[str, object]:
    """Attributes of a module that are neither its tensors nor its parts, and its hooks."""
    held = {name: held for name, held in vars(module).items() if name not in _NOT_SETTINGS}
    hooks = [*module._forward_pre_hooks.values(), *module._forward_hooks.values()]
    return {**held, "hooks": hooks} if hooks else held


def content_key(value: object) -> str:
    """Hash of a value, of what it holds, and of the code of all classes and functions in it."""
    walk = _Walk()
    plain = walk.plain(value)
    return digest(plain, code_digest(walk.modules))


class _Walk:
    """Turns a value into nested lists of text and names."""

    def __init__(self) -> None:
        self.modules: set[str] = set()
        """Full names of the modules of all classes and functions that were met."""
        self.code: dict[int, tuple[str, object]] = {}
        """id → number of a class or function that was met, and itself, which keeps the id."""
        self.path: list[int] = []
        """ids of the values that hold the present one, from the outermost."""

    def plain(self, value: Any) -> object:
        """The value as nested lists."""
        if isinstance(value, Tensor):
            return _tensor(value)
        if isinstance(value, np.ndarray) and not value.dtype.hasobject:
            return [str(value.dtype), value.shape, digest(value.tobytes())]
        if len(self.path) == _DEPTH:
            return secrets.token_hex()
        if id(value) in self.path:
            return ["holds this", len(self.path) - self.path.index(id(value))]
        self.path.append(id(value))
        try:
            return self._code(value) or self._container(value) or self._object(value)
        finally:
            self.path.pop()

    def _all(self, *held: object) -> list[object]:
        return [self.plain(part) for part in held]

    def _alone(self, held: object) -> object:
        """A value of a set: the same whichever comes first."""
        before = dict(self.code)
        found = self.plain(held)
        self.code = before
        return found

    def _code(self, value: Any) -> list[object] | None:
        """A class, or something that is called."""
        if isinstance(value, type | FunctionType):
            number = str(len(self.code))
            met, _ = self.code.setdefault(id(value), (number, value))
            if met != number:
                return ["met", met]
            named = self._named(value)
            if isinstance(value, type):
                return [named, *self._class(value)]
            return [named, *self._function(value)]
        if isinstance(value, functools.partial):
            return ["partial", *self._all(value.func, value.args, value.keywords)]
        if isinstance(value, MethodType):
            return ["method", *self._all(value.__func__, value.__self__)]
        if isinstance(value, ModuleType | Logger):
            return [type(value).__name__, getattr(value, "__name__", None) or value.name]
        if isinstance(value, staticmethod | classmethod):
            return [type(value).__name__, *self._all(value.__func__)]
        if isinstance(value, property):
            return ["property", *self._all(value.fget)]
        if hasattr(value, "__qualname__") and not hasattr(value, "__wrapped__"):  # built in
            return [self._named(value), *self._all(getattr(value, "__self__", None))]
        return None

    def _class(self, value: type) -> list[object]:
        """What instances of a user's class find in it and in its bases."""
        found: list[object] = []
        if self._walked(value):
            found += self._all(*value.__bases__)
            for name, held in vars(value).items():
                told = not (name.startswith("__") and name.endswith("__")) or callable(held)
                if told and name not in _NOT_OF_CLASSES:
                    found += [name, self.plain(held)]
        return found

    def _function(self, value: FunctionType) -> list[object]:
        code = value.__code__
        found = self._all(_instructions(code), value.__defaults__, value.__kwdefaults__)
        found += self._all(*_held(value))
        if self._walked(value):
            found += self._read(value.__globals__, frozenset(_names(code)))
        return found

    def _read(self, names: dict[str, Any], of: frozenset[str]) -> list[object]:
        """The values of some global names, and of these names in the user's modules there."""
        found: list[object] = []
        for name in sorted(of & names.keys()):
            held = names[name]
            found += [name, self.plain(held)]
            if isinstance(held, ModuleType) and is_users(held.__name__):
                inner = vars(held)
                if id(inner) not in self.path:
                    self.path.append(id(inner))
                    found += self._read(inner, of)
                    self.path.pop()
        return found

    def _walked(self, value: Any) -> bool:
        """Whether a class or function is the user's, so that it may read whatever changes."""
        module = str(getattr(value, "__module__", None) or "builtins")
        return is_users(module) or not has_text(module)

    def _container(self, value: Any) -> list[object] | None:
        held: Iterable[object]
        if isinstance(value, Mapping):
            kind, held = "mapping", (part for item in value.items() for part in item)
        elif isinstance(value, list | tuple):
            kind, held = "sequence", value
        elif isinstance(value, set | frozenset):
            return ["set", *sorted(map(repr, map(self._alone, value)))]
        else:
            return None
        own = [] if type(value) is dict else self._all(type(value), _state(value))
        return [kind, *own, *self._all(*held)]

    def _object(self, value: Any) -> list[object]:
        kind = self.plain(type(value))
        if isinstance(value, nn.Module):
            parts = dict(value.named_children())
            return [kind, *self._all(own_settings(value), _tensors(value), parts)]
        state = _state(value)
        if not state and " at 0x" in repr(value):
            return [secrets.token_hex()]  # equals nothing
        plain = not state or isinstance(value, int | float | complex | str | bytes)
        return [kind, repr(value) if plain else "", *self._all(*state.items())]

    def _named(self, value: Any) -> str:
        """Full name of a class or function, made known to `modules`."""
        module = str(getattr(value, "__module__", None) or "builtins")
        self.modules.add(module)
        name = f"{module}.{value.__qualname__}"
        return name if has_text(module) else name + _TOKENS.setdefault(value, secrets.token_hex())


def _tensor(value: Tensor) -> list[object]:
    tensor = value.detach().cpu().contiguous()
    data = tensor.flatten().view(torch.uint8).numpy().tobytes() if tensor.numel() else b""
    return [str(tensor.dtype), tuple(tensor.shape), digest(data)]


def _state(value: Any) -> dict[str, object]:
    """Attributes of an instance, those in slots too."""
    slots = (vars(kind).get("__slots__", ()) for kind in type(value).__mro__)
    names = [n for held in slots for n in ((held,) if isinstance(held, str) else held)]
    in_slots = {n: getattr(value, n) for n in names if n != "__weakref__" and hasattr(value, n)}
    return in_slots | getattr(value, "__dict__", {})


def _instructions(code: CodeType) -> list[object]:
    """What a function does, wherever its text stands."""
    consts = [_instructions(c) if isinstance(c, CodeType) else c for c in code.co_consts]
    return [code.co_code, list(code.co_names), consts]


def _names(code: CodeType) -> Iterator[str]:
    """Names of globals and attributes that a function, or one inside it, reads."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)


def _held(function: FunctionType) -> Iterator[object]:
    """What a function holds of where it was made."""
    for cell in function.__closure__ or ():
        with contextlib.suppress(ValueError):  # not filled yet
            yield cell.cell_contents


def _tensors(module: nn.Module) -> dict[str, Tensor]:
    return dict(module.named_parameters()) | dict(module.named_buffers())
