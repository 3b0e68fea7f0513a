"""What a part of a model computes, in bytes: its settings, its numbers and the code behind it.

For keys of what is kept: two parts of the same content may share it.
"""

import functools
import hashlib
import secrets
import sys
from pathlib import Path
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from tl_core.machine.user_code import SourceUnknown, is_library, sources_of, version_of

OWN = "tl_core"
VERSIONED = ("torch", "timm", "torchvision", "numpy")
"""Libraries whose code goes by their version, except where they are a checkout of the user's."""
_THIS_PROCESS = secrets.token_hex(8)
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
    """Hash of the source that defines a class, a function or an object's class, imports included.

    Of a function that another one made, a `partial` and any other object what they hold counts
    too. This package counts as a whole; installed libraries go by name and version, those in
    `VERSIONED` by name.
    """
    if isinstance(thing, functools.partial):
        return digest(code_hash(thing.func), described((thing.args, thing.keywords)))
    plain = isinstance(thing, FunctionType) and not thing.__closure__
    if plain or isinstance(thing, type):
        return _source_hash(thing)
    return digest(_source_hash(thing), described(thing))


def _source_hash(thing: object) -> str:
    name = str(getattr(thing, "__module__", None))
    top = name.split(".")[0]
    if top == OWN:
        return _package_hash(OWN)
    if top in VERSIONED:
        return name if is_library(top) else digest(name, _package_hash(top))
    try:
        sources = sources_of(name, leave_out=OWN, by_version=VERSIONED)
    except SourceUnknown:  # made at run time: known to this process alone
        return digest(_THIS_PROCESS, described(thing))
    return digest(_package_hash(OWN), name, sources)


def import_hash(name: str) -> str:
    """Hash of what a loaded module imports, also within functions, its own code aside.

    This package and installed libraries count as in `code_hash`.
    """
    try:
        sources = sources_of(name, leave_out=OWN, by_version=VERSIONED)
    except SourceUnknown:  # a module made at run time: known to this process alone
        return digest(_THIS_PROCESS, name)
    return digest(*(part for part in sources if part[0] != name))


def library_versions() -> tuple[str, ...]:
    """Name and version of the libraries that go by it."""
    return tuple(map(version_of, VERSIONED))


@functools.cache
def _package_hash(name: str) -> str:
    """Hash of the sources of a loaded package, as they were when first asked for."""
    (folder, *_) = sys.modules[name].__path__
    files = sorted(Path(folder).rglob("*"))
    return digest(*(f.read_bytes() for f in files if f.suffix in (".py", ".h", ".cpp")))
