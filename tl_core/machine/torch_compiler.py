"""torch's compiler, loaded when it is used: it takes more than a second to import.

timm and torchvision name it as they are imported, for a few models and operations; functions of
torch that are not to be compiled load it to say so.
"""

import functools
import importlib
import inspect
import sys
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

COMPILER = "torch._dynamo"
UTILITIES = "torch._dynamo.utils"


def put_off_compiler() -> None:
    """Have torch's compiler loaded when something is compiled, from now on in this process.

    What is only kept from the compiler, or asked whether it could be compiled, does not load it.
    """
    if COMPILER not in sys.modules:
        for name, names in STAND_INS.items():
            sys.modules[name] = _StandIn(name, names)


class _StandIn(ModuleType):
    """A module of the compiler's that has some names, and loads the real one for others."""

    def __init__(self, name: str, names: Mapping[str, Any]) -> None:
        super().__init__(name)
        self.__dict__.update(names)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and (self.__name__, name) != (COMPILER, "__path__"):
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        return getattr(_real(self.__name__), name)


def _real(name: str) -> Any:
    for each in STAND_INS:
        if isinstance(sys.modules.get(each), _StandIn):
            sys.modules.pop(each, None)
    return importlib.import_module(name)


def _disabled_later(function: Any = None, *share: Any, **options: Any) -> Any:
    """`torch._dynamo.disable`, which has nothing to do until the compiler is loaded."""
    if function is None:
        return lambda function: _disabled_later(function, *share, **options)
    if not inspect.isfunction(function):
        return _real(COMPILER).disable(function, *share, **options)

    @functools.cache
    def disabled() -> Callable[..., Any]:
        found: Callable[..., Any] = _real(COMPILER).disable(function, *share, **options)
        return found

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        off = isinstance(sys.modules.get(COMPILER), _StandIn)
        return (function if off else disabled())(*args, **kwargs)

    return call


def _is_supported(device: Any) -> bool:
    return bool(_real(UTILITIES).is_compile_supported(device))


STAND_INS: dict[str, dict[str, Any]] = {
    COMPILER: {"disable": _disabled_later},
    UTILITIES: {"is_compile_supported": _is_supported},
}
"""Modules of the compiler's, and what others take from them that compile nothing."""
