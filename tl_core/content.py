"""What a part of a model computes, in bytes: its settings, its numbers and the code behind it.

For keys of what is kept: two parts of the same content may share it.
"""

import ast
import functools
import hashlib
import inspect
import secrets
import sys
import sysconfig
from pathlib import Path
from types import ModuleType

import numpy as np
import torch
from torch import Tensor, nn

OWN = "tl_core"
VERSIONED = ("torch", "timm", "torchvision", "numpy")
"""Packages whose code goes by their version."""
_INSTALLED = tuple({sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib")})
_THIS_PROCESS = secrets.token_hex(8)
_DEPTH = 6
_NOT_SETTINGS = frozenset(nn.Module().__dict__) | {"train"}
"""Attributes that every module has, and `train`, which freezing puts there."""


def digest(*parts: object) -> str:
    """Hash of a sequence: bytes as they are, the rest by `repr`."""
    found = hashlib.blake2b(digest_size=12)
    for part in parts:
        data = part if isinstance(part, bytes) else repr(part).encode()
        found.update(len(data).to_bytes(8, "little"))
        found.update(data)
    return found.hexdigest()


def own_settings(module: nn.Module) -> dict[str, object]:
    """Attributes of a module that are neither its tensors nor its parts."""
    return {name: held for name, held in vars(module).items() if name not in _NOT_SETTINGS}


def described(value: object, depth: int = _DEPTH) -> bytes:
    """A value in bytes, the same in every process: plain values, tensors, and what holds them.

    Of functions and classes the name counts, of other objects their class and attributes.
    """
    if isinstance(value, Tensor):
        tensor = value.detach().cpu().contiguous()
        return digest(str(tensor.dtype), tuple(tensor.shape), _bytes(tensor)).encode()
    if isinstance(value, np.ndarray):
        return digest(str(value.dtype), value.shape, value.tobytes()).encode()
    if value is None or isinstance(value, bool | int | float | complex | str | bytes):
        return repr(value).encode()
    if isinstance(value, torch.dtype | torch.device | np.generic):
        return repr(value).encode()
    kind = f"{type(value).__module__}.{type(value).__qualname__}"
    if depth == 0 or isinstance(value, ModuleType):
        return kind.encode()
    if isinstance(value, dict):
        return digest(*(described(item, depth - 1) for item in value.items())).encode()
    if isinstance(value, list | tuple):
        return digest(kind, *(described(item, depth - 1) for item in value)).encode()
    if isinstance(value, functools.partial):
        return described((kind, value.func, value.args, value.keywords), depth - 1)
    if isinstance(value, set | frozenset):
        return digest(kind, *sorted(described(item, depth - 1) for item in value)).encode()
    name = getattr(value, "__qualname__", None)
    if name is not None:
        return f"{getattr(value, '__module__', '')}.{name}".encode()
    return digest(kind, described(getattr(value, "__dict__", {}), depth - 1)).encode()


def _bytes(tensor: Tensor) -> bytes:
    return tensor.flatten().view(torch.uint8).numpy().tobytes() if tensor.numel() else b""


def code_hash(thing: object) -> str:
    """Hash of the source that defines a class or function, and of what that source imports.

    This package counts as a whole; libraries that are installed go by name or version.
    """
    module = inspect.getmodule(thing)
    name = module.__name__ if module else ""
    if name.split(".")[0] in VERSIONED:
        return name
    if name.split(".")[0] == OWN:
        return _own_code()
    files = sorted(_sources(module)) if module else []
    if not files:  # made at run time: known to this process alone
        return _THIS_PROCESS
    try:
        return _files_hash(tuple((file, file.stat().st_mtime_ns) for file in files))
    except OSError:
        return _THIS_PROCESS


def _sources(module: ModuleType, known: frozenset[Path] = frozenset()) -> frozenset[Path]:
    """The module's file, and those of modules that it imports and that are not installed."""
    file = Path(getattr(module, "__file__", None) or "")
    if not file.is_file() or file in known:
        return known
    known |= {file}
    for name in _imported(file, module.__name__, file.stat().st_mtime_ns):
        other = sys.modules.get(name)
        if other is not None and not _installed(other):
            known = _sources(other, known)
    return known


@functools.cache
def _own_code() -> str:
    """Hash of this package, as it was when first asked for."""
    files = sorted(Path(__file__).parent.rglob("*.py"))
    return digest(*(file.read_bytes() for file in files))


def _installed(module: ModuleType) -> bool:
    name, file = module.__name__.split(".")[0], getattr(module, "__file__", None) or ""
    return name == OWN or file.startswith(_INSTALLED)


@functools.lru_cache(maxsize=256)
def _imported(file: Path, name: str, mtime_ns: int) -> tuple[str, ...]:
    """Full names of what a source file may import."""
    package = name if file.name == "__init__.py" else name.rpartition(".")[0]
    found: list[str] = []
    for node in ast.walk(ast.parse(file.read_bytes())):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")[: len(package.split(".")) - node.level + 1]
            base = ".".join([*(parents if node.level else []), *filter(None, [node.module])])
            found += [base, *(f"{base}.{alias.name}" for alias in node.names)]
    return tuple(found)


@functools.lru_cache(maxsize=64)
def _files_hash(files: tuple[tuple[Path, int], ...]) -> str:
    return digest(_own_code(), *(path.read_bytes() for path, _ in files))
