"""Batch normalization, residual sum and activation as one native layer of our own models on a CPU.

With ELU, the default, a training step takes less than half as long (benchmarks/README.md). The
machine's own C++ compiler makes the library when a layer first gets images on a CPU. It is kept as
<cache>/kernels/<key>-<hash of the file>.so, the key a hash of the sources, the compiler and the
processor; a file that is not what its name says is compiled again, as loading one that was cut
short may end the process. Without a compiler, or with TL_SWEEP_KERNELS=0, PyTorch's own operations
give the same numbers to rounding, more slowly.
"""

import ctypes
import functools
import hashlib
import os
import platform
import shutil
import subprocess
import warnings
from collections.abc import Callable
from pathlib import Path

import torch
from filelock import FileLock
from torch import Tensor

from tl_core.kernels.trust import is_private, private_folder
from tl_core.machine.cache_folder import DEFAULT_CACHE, cache_folder
from tl_core.machine.disk import FULL, is_full

SWITCH_VARIABLE = "TL_SWEEP_KERNELS"
SOURCE = Path(__file__).with_name("layers.cpp")
# Sums may be reordered, so that they vectorize; NaN and infinity keep their meaning.
FLAGS = (
    "-std=c++17", "-O3", "-march=native", "-fassociative-math", "-fno-signed-zeros",
    "-fno-trapping-math", "-fno-math-errno", "-shared", "-fPIC", "-pthread",
)  # fmt: skip
COMPILE_SECONDS = 120
_POINTER, _INTEGER = ctypes.c_void_p, ctypes.c_int64
_ARGUMENTS = {
    "statistics": (_POINTER, *(_INTEGER,) * 3, *(ctypes.c_float,) * 2, *(_POINTER,) * 4),
    "apply": (_INTEGER, *(_POINTER,) * 6, *(_INTEGER,) * 3, _POINTER),
    "backward": (_INTEGER, *(_POINTER,) * 6, *(_INTEGER,) * 3, *(_POINTER,) * 4),
}


@functools.cache
def layer_library() -> ctypes.CDLL | None:
    """The functions of layers.cpp; None where they cannot be had or are switched off."""
    compiler = shutil.which(os.environ.get("CXX") or "c++") or shutil.which("g++")
    if os.environ.get(SWITCH_VARIABLE) == "0" or compiler is None:
        return None
    try:
        file = library_file(compiler)
        if file is None:
            return None
        library = ctypes.CDLL(str(file))
    except (OSError, subprocess.SubprocessError) as error:  # a read-only disk, a compiler's flags
        _say_if_full(error)
        return None
    for name, types in _ARGUMENTS.items():
        for dtype in ("float32", "bfloat16"):
            function = getattr(library, f"{name}_{dtype}")
            function.argtypes, function.restype = types, None
    return library


def _say_if_full(error: OSError | subprocess.SubprocessError) -> None:
    """Warn where the library finds no room, so that each process is slow to start and to train."""
    told = (getattr(error, "stderr", None) or b"").decode(errors="replace")
    if is_full(error) or any(os.strerror(number) in told for number in FULL):
        warnings.warn(
            f"{cache_folder(None)} takes no more: its disk is full, or your share of it. Native"
            " layers are off and training is slower; free some space, or set TL_SWEEP_CACHE.",
            UserWarning,
            stacklevel=3,
        )


def library_file(compiler: str) -> Path | None:
    """The library's file, compiled under a lock if need be; None without a private folder.

    Warns:
        UserWarning: there is no private folder.
    """
    preferred = cache_folder(None) / "kernels"
    folder = private_folder([preferred, Path(DEFAULT_CACHE).expanduser() / "kernels"])
    if folder is None:
        warnings.warn(
            f"{preferred} belongs to another user or cannot be written, so native layers are off "
            "and training is slower; set TL_SWEEP_CACHE to a folder of your own.",
            UserWarning,
            stacklevel=2,
        )
        return None
    sources = [file.read_bytes() for file in sorted(SOURCE.parent.glob("*.[hc]*"))]
    asked = [compiler, "--version"]
    version = subprocess.check_output(asked, stderr=subprocess.DEVNULL, text=True, timeout=30)
    about = (sources, repr(FLAGS), version, _processor())
    key = hashlib.blake2b(repr(about).encode(), digest_size=8).hexdigest()
    found = _whole(folder, key)
    if found:
        return found
    with FileLock(folder / f"{key}.lock"):
        return _whole(folder, key) or _compile(compiler, folder, key)


def _whole(folder: Path, key: str) -> Path | None:
    """The library's file, if it is as it was compiled and nobody else can have written it."""
    for file in folder.glob(f"{key}-*.so"):
        if is_private(file) and file.name == _file_name(key, file):
            return file
    return None


def _file_name(key: str, file: Path) -> str:
    return f"{key}-{hashlib.blake2b(file.read_bytes(), digest_size=8).hexdigest()}.so"


def _compile(compiler: str, folder: Path, key: str) -> Path:
    """Compile into a file that only this user can write; damaged ones go."""
    partial = folder / f"{key}.partial"
    partial.unlink(missing_ok=True)
    command = [compiler, *FLAGS, "-o", str(partial), str(SOURCE)]
    subprocess.run(command, check=True, capture_output=True, timeout=COMPILE_SECONDS)
    partial.chmod(0o700)
    for damaged in folder.glob(f"{key}-*.so"):
        damaged.unlink()
    return partial.replace(folder / _file_name(key, partial))


def _processor() -> str:
    """What `-march=native` looks at: the processor and what it can do."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return f"{platform.machine()} {platform.processor()}"
    wanted = ("vendor_id", "cpu family", "model", "flags", "Features", "CPU part")
    return "\n".join(dict.fromkeys(line for line in lines if line.startswith(wanted)))


def native_function(library: ctypes.CDLL, name: str, dtype: torch.dtype) -> Callable[..., None]:
    """The function of layers.cpp for float32 or bfloat16."""
    return getattr(library, f"{name}_{str(dtype).removeprefix('torch.')}")


def pointer(tensor: Tensor | None) -> int | None:
    """Where a tensor lies, for a function that takes null too."""
    return None if tensor is None else tensor.data_ptr()


def readable(x: Tensor) -> bool:
    """Whether the functions can read a tensor (B, C, H, W) where it lies.

    A trace or a compiler would not see what they do, so these get PyTorch's operations.
    """
    return (
        not (torch.jit.is_tracing() or torch.compiler.is_compiling())
        and type(x) is Tensor
        and x.ndim == 4
        and x.device.type == "cpu"
        and x.dtype in (torch.float32, torch.bfloat16)
        and x.is_contiguous(memory_format=torch.channels_last)
    )
