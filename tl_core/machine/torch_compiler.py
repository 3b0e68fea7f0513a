"""torch's compiler, loaded when it is used: it takes more than a second to import.

timm and torchvision name it as they are imported, for a few models and operations; functions of
torch that are not to be compiled load it to say so.
"""

import functools
import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any

COMPILER = "torch._dynamo"
UTILITIES = "torch._dynamo.utils"


def put_off_compiler() -> None:
    """Have torch's compiler loaded when something is compiled, from now on in this process.

    What is only kept from the compiler, or asked whether it could be compiled, does not load it.
    """
    if COMPILER not in sys.modules:
        sys.meta_path.insert(0, _Finder())
        for name, names in STAND_INS.items():
            sys.modules[name] = _StandIn(name, names)


class _StandIn(ModuleType):
    """A module of the compiler's that has some names, and loads the real one for others.

    Once that is loaded, whoever still holds the stand-in gets the real one's names alone.
    """

    def __init__(self, name: str, names: Mapping[str, Any]) -> None:
        super().__init__(name)
        del self.__dict__["__spec__"]
        self.__dict__["_names"] = names

    def __getattr__(self, name: str) -> Any:
        if name in ("__spec__", "__file__"):
            spec = PathFinder.find_spec(self.__name__, _folders(self.__name__))
            if name == "__spec__":
                return spec  # None before torch is imported
            if spec is not None:
                return spec.origin
        if _is_off() and name in self._names:
            return self._names[name]
        if _is_off() and name.startswith("__") and name != "__all__":
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        return getattr(_real(self.__name__), name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(_real(self.__name__), name, value)


def _folders(name: str) -> list[str]:
    """Where a module of torch's is looked for."""
    within = name.split(".")[1:-1]
    torch = sys.modules.get("torch")
    return [str(Path(folder, *within)) for folder in getattr(torch, "__path__", ())]


class _Finder(MetaPathFinder):
    """Loads the compiler before a module in it, which that may load itself."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if not (name.startswith(f"{COMPILER}.") and _is_off()):
            return None
        _real(COMPILER)
        loaded = sys.modules.get(name)
        if loaded is None:
            return importlib.util.find_spec(name)
        spec = ModuleSpec(name, _Loaded(loaded))
        loaded.__dict__["__spec__"] = None  # which Python would take, to load the module once more
        return spec


class _Loaded(Loader):
    """Gives a module that is loaded already, as it is."""

    def __init__(self, module: ModuleType) -> None:
        self.module, self.spec = module, module.__spec__

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return self.module

    def exec_module(self, module: ModuleType) -> None:
        module.__dict__["__spec__"] = self.spec


def _is_off() -> bool:
    return isinstance(sys.modules.get(COMPILER), _StandIn)


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

    disabled: list[Callable[..., Any]] = []

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        if _is_off():
            return function(*args, **kwargs)
        if not disabled:
            disabled.append(_real(COMPILER).disable(function, *share, **options))
        return disabled[0](*args, **kwargs)

    return call


def _is_supported(device: Any) -> bool:
    return bool(_real(UTILITIES).is_compile_supported(device))


STAND_INS: dict[str, dict[str, Any]] = {
    COMPILER: {"disable": _disabled_later, "__path__": []},
    UTILITIES: {"is_compile_supported": _is_supported},
}
"""Modules of the compiler's, and what others take from them that compile nothing."""
