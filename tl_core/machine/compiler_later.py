"""torchvision and timm without torch's compiler, which they import and nothing here uses.

It takes 2.5 s of a processor and 150 MiB in every process. The two need one function of it, and a
mark on a few of theirs; here it is imported when these are called. Where a version of the two
reads more of it, it is imported as it would be without this module.
"""

import contextlib
import functools
import importlib
import importlib.abc
import importlib.machinery
import inspect
import sys
from collections.abc import Callable, Iterator, Sequence
from types import ModuleType
from typing import Any

COMPILER = "torch._dynamo"
FUNCTIONS = f"{COMPILER}.utils"


class CompilerLater(importlib.abc.MetaPathFinder):
    """Finds the modules of BODIES, to be run while the compiler is kept out."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """The module's own description, with a loader of ours; None for any other module."""
        if name not in BODIES:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is not None and type(spec.loader) is importlib.machinery.SourceFileLoader:
            spec.loader = _Loader(spec.loader.name, spec.loader.path)
        return spec


class _Loader(importlib.machinery.SourceFileLoader):
    def exec_module(self, module: ModuleType) -> None:
        """Run the module's body."""
        with contextlib.nullcontext() if COMPILER in sys.modules else BODIES[module.__name__]():
            super().exec_module(module)


@contextlib.contextmanager
def _functions_later() -> Iterator[None]:
    """Let the module that is read for one function be one that has only this."""

    def is_compile_supported(*arguments: Any) -> Any:
        return importlib.import_module(FUNCTIONS).is_compile_supported(*arguments)

    module: Any = ModuleType(FUNCTIONS)
    module.is_compile_supported = is_compile_supported
    module.__getattr__ = _real_attribute  # of a version that reads more
    sys.modules[FUNCTIONS] = module
    try:
        yield
    finally:
        if sys.modules.get(FUNCTIONS) is module:
            del sys.modules[FUNCTIONS]


def _real_attribute(name: str) -> Any:
    if name.startswith("__"):  # asked by the import itself
        raise AttributeError(name)
    sys.modules.pop(FUNCTIONS, None)
    return getattr(importlib.import_module(FUNCTIONS), name)


@contextlib.contextmanager
def _marks_later() -> Iterator[None]:
    """Let functions be kept from the compiler only once there is one."""
    import torch

    disable = torch.compiler.disable

    def disable_later(function: Any = None, recursive: bool = True, **named: Any) -> Any:
        mark = functools.partial(disable, function, recursive, **named)
        return _marked_later(function, mark) if inspect.isfunction(function) else mark()

    torch.compiler.disable = disable_later
    try:
        yield
    finally:
        torch.compiler.disable = disable


def _marked_later(function: Callable[..., Any], mark: Callable[[], Any]) -> Callable[..., Any]:
    marked = functools.cache(mark)

    @functools.wraps(function)
    def call(*arguments: Any, **named: Any) -> Any:
        chosen = marked() if COMPILER in sys.modules else function
        return chosen(*arguments, **named)

    return call


BODIES = {"torchvision.ops.roi_align": _functions_later, "timm": _marks_later}
"""Modules that import the compiler, directly or by what they import → what keeps it out."""


@contextlib.contextmanager
def without_compiler_import() -> Iterator[None]:
    """Let functions of torch that are hidden from its compiler run without importing it.

    Such are the counting of operations, and random numbers on the meta device. Whoever reads
    anything else of the compiler inside the block gets the real one.
    """
    if COMPILER in sys.modules:
        yield
        return
    hidden: list[Any] = []

    def disable(function: Any, *arguments: Any, **named: Any) -> Any:
        hidden.append(function)
        return function

    module: Any = ModuleType(COMPILER)
    module.disable = disable
    module.__getattr__ = functools.partial(_real, module)
    sys.modules[COMPILER] = module
    try:
        yield
    finally:
        if sys.modules.get(COMPILER) is module:
            del sys.modules[COMPILER]
        for function in hidden:  # torch remembers what it was told
            vars(function).pop("__dynamo_disable", None)


def _real(module: ModuleType, name: str) -> Any:
    """What the real compiler has in the place of a module that stands for it."""
    if sys.modules.get(COMPILER) is module:
        del sys.modules[COMPILER]
    return getattr(importlib.import_module(COMPILER), name)


def import_compiler_later() -> None:
    """Keep torch's compiler out of what this process imports from now on."""
    if not any(isinstance(finder, CompilerLater) for finder in sys.meta_path):
        sys.meta_path.insert(0, CompilerLater())
