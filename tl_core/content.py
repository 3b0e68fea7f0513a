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
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

OWN = "tl_core"
VERSIONED = ("torch", "timm", "torchvision", "numpy")
"""Packages whose code goes by their version."""
_INSTALLED = tuple({sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib")})
_THIS_PROCESS = secrets.token_hex(8)
LOADED_SOURCE = "__source__"
"""Attribute of a module with what it was made of, where its file may have changed since."""
_DEPTH = 10
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

    Of classes the name counts, of functions also what they are made of and hold, of other objects
    their class and what `pickle` would keep of them. What cannot be told equals nothing.
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
    if isinstance(value, ModuleType):
        return value.__name__.encode()
    if isinstance(value, type):
        return _name(value)
    if depth == 0:
        return _unlike_any()
    if isinstance(value, dict):
        return digest(*(described(item, depth - 1) for item in value.items())).encode()
    if isinstance(value, list | tuple):
        return digest(kind, *(described(item, depth - 1) for item in value)).encode()
    if isinstance(value, functools.partial):
        return described((kind, value.func, value.args, value.keywords), depth - 1)
    if isinstance(value, set | frozenset):
        return digest(kind, *sorted(described(item, depth - 1) for item in value)).encode()
    if isinstance(value, nn.Module):
        parts = [(n, type(m), own_settings(m)) for n, m in value.named_modules()]
        return digest(kind, *map(described, parts), described(value.state_dict())).encode()
    if isinstance(value, FunctionType):
        return _function(value, depth - 1)
    if isinstance(value, MethodType):
        of_module = isinstance(value.__self__, nn.Module)  # which is described by itself
        held = b"" if of_module else described(value.__self__, depth - 1)
        return digest(described(value.__func__, depth - 1), held).encode()
    if isinstance(value, CodeType):
        held = described((value.co_consts, value.co_names), depth)
        return digest(kind, value.co_code, held).encode()
    if getattr(value, "__qualname__", None) is not None:  # built in, or wraps a function
        inner = getattr(value, "__wrapped__", None)
        return digest(_name(value), described(inner, depth - 1)).encode()
    try:
        made = value.__reduce_ex__(4)
    except Exception:  # a lock, a file and the like
        return _unlike_any()
    return digest(kind, described(made[1:3] if isinstance(made, tuple) else made, depth)).encode()


def _name(value: Any) -> bytes:
    return f"{getattr(value, '__module__', '')}.{value.__qualname__}".encode()


def _unlike_any() -> bytes:
    return secrets.token_bytes(16)


def _function(function: FunctionType, depth: int) -> bytes:
    """Name, code, defaults, and what the function holds of where it was made."""
    held = []
    for cell in function.__closure__ or ():
        try:
            held.append(cell.cell_contents)
        except ValueError:  # not filled yet
            held.append(None)
    parts = (function.__code__, function.__defaults__, function.__kwdefaults__, held)
    return digest(_name(function), described(parts, depth)).encode()


def _bytes(tensor: Tensor) -> bytes:
    return tensor.flatten().view(torch.uint8).numpy().tobytes() if tensor.numel() else b""


def code_hash(thing: object) -> str:
    """Hash of the source that defines a class or function, and of what that source imports.

    Of a function also what it holds counts: one that another function made, or a `partial`. This
    package counts as a whole; libraries that are installed go by name or version.
    """
    if isinstance(thing, functools.partial):
        return digest(code_hash(thing.func), described((thing.args, thing.keywords)))
    if isinstance(thing, FunctionType) and thing.__closure__:
        return digest(_source_hash(thing), described(thing))
    return _source_hash(thing)


def _source_hash(thing: object) -> str:
    module = inspect.getmodule(thing)
    name = module.__name__ if module else ""
    if name.split(".")[0] in VERSIONED:
        return name
    if name.split(".")[0] == OWN:
        return _own_code()
    files = sorted(_sources(module)) if module else []
    if not files:  # made at run time: known to this process alone
        return digest(_THIS_PROCESS, described(thing))
    loaded = getattr(getattr(module, LOADED_SOURCE, None), "source", None)
    try:
        dated = tuple((file, file.stat().st_mtime_ns) for file in files)
        return digest(loaded, _files_hash(dated))
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
    files = sorted(Path(__file__).parent.rglob("*"))
    return digest(*(f.read_bytes() for f in files if f.suffix in (".py", ".h", ".cpp")))


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
