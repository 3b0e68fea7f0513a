"""Read weights files without running their code; write our own whole or not at all.

Our files are safetensors with the fields of WeightsMetadata as JSON strings. The .safetensors and
.pth files of others are read too.
"""

import argparse
import json
import os
import pathlib
import pickle
import re
import warnings
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from tl_core.config import TrainConfig
from tl_core.errors import BadInput, first_line
from tl_core.machine.user_path import expanded

TORCH_SUFFIXES = (".pth", ".pt", ".bin", ".ckpt", ".tar")
NO_WEIGHTS = ("optim", "scheduler", "scaler")
"""Parts of key names whose tensors are no weights."""
MOST_WRAPPERS = 3
"""Depth of nested dicts that are searched for tensors."""
SIGNS_OF_CODE = (
    "Unsupported global", "unsupported GLOBAL", "Unsupported class", "Trying to call reduce",
)  # fmt: skip
A_PICKLE, SIGN_OF_PICKLE = b"\x80", "Unsupported operand"
"""First byte of a pickle that torch.save did not write, and torch's error for it."""


@dataclass(frozen=True)
class WeightsMetadata:
    """Metadata of a weights file; None where it has none."""

    config: dict[str, Any] | None = None
    """Field name → value of the TrainConfig that trained it (lists where tuples were)."""
    classes: tuple[str, ...] | None = None
    """Class names, in the order of the logits."""
    mean: tuple[float, ...] | None = None
    """Normalization mean per channel, of [0, 1] pixels."""
    std: tuple[float, ...] | None = None
    """Normalization standard deviation per channel."""
    image_size: int | None = None
    """Side of the images trained on, in pixels."""
    white_levels: dict[str, float | None] | None = None
    """Kind of images of more than 8 bits ("integers", "floats") → the value of white; null if no
    training image was of that kind. Older files lack it."""
    accuracy: float | None = None
    """Validation accuracy, in [0, 1]."""


def weights_path(weights: str) -> Path:
    """The file that `weights` names; BadInput if there is none, or its suffix is unknown."""
    path = expanded(weights)
    if not path.is_file():
        raise BadInput(
            f"weights={weights!r}: no such file; give a .safetensors or .pth file, pretrained or"
            " none."
        )
    if path.suffix not in (".safetensors", *TORCH_SUFFIXES):
        suffix = path.suffix or "no suffix"
        raise BadInput(f"weights={weights!r}: {suffix} is not .safetensors / .pth.")
    return path


def read_state_dicts(path: Path) -> dict[str, dict[str, Tensor]]:
    """Every set of named tensors in the file, on the CPU: wrapper → name → tensor.

    The wrapper is the keys above the tensors, such as `state_dict`, joined by dots; empty if there
    are none. No code in the file is run: a .pth file is read with `weights_only=True`.

    Raises:
        BadInput: the file is truncated, or holds pickled code or no tensors.
    """
    if path.suffix == ".safetensors":
        try:
            return {"": load_file(path)}
        except (SafetensorError, OSError, ValueError) as error:
            raise _unreadable(path, error) from error
    found = dict(_state_dicts(_torch_load(path)))
    if not found:
        raise BadInput(f"weights {path} holds no named tensors; save the model's state_dict.")
    return found


def read_metadata(path: str | Path) -> WeightsMetadata:
    """Metadata of a weights file. Absent fields are None: all of them in files of others.

    Raises:
        BadInput: the file is missing or truncated.
    """
    path = weights_path(str(path))
    if path.suffix != ".safetensors":
        return WeightsMetadata()
    try:
        with safe_open(path, framework="pt") as file:
            texts = file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise _unreadable(path, error) from error
    values = {name: _json(texts.get(name)) for name in WeightsMetadata.__dataclass_fields__}
    lists = {k: tuple(v) for k, v in values.items() if isinstance(v, list)}
    return WeightsMetadata(**{**values, **lists})


def save_weights(
    path: str | Path,
    model: nn.Module,
    *,
    config: TrainConfig,
    classes: Sequence[str],
    mean: Sequence[float],
    std: Sequence[float],
    image_size: int | None = None,
    white_levels: dict[str, float | None] | None = None,
    accuracy: float | None = None,
) -> None:
    """Write parameters and buffers to a safetensors file that `weights=PATH` loads.

    The file is written under another name and renamed, so a reader never sees a part of it. Its
    folder is created. The model may be on any device, in any memory layout. The other arguments
    are those of WeightsMetadata.
    """
    path = Path(path)
    about = {
        "config": config.to_dict(),
        "classes": list(classes),
        "mean": list(map(float, mean)),
        "std": list(map(float, std)),
        "image_size": image_size,
        "white_levels": white_levels,
        "accuracy": accuracy,
    }
    metadata = {name: json.dumps(value) for name, value in about.items() if value is not None}
    # Copies, since safetensors refuses tensors that share memory, such as tied weights.
    tensors = {
        name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
        for name, tensor in model.state_dict().items()
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        save_file(tensors, partial, metadata={"format": "pt", **metadata})
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def _torch_load(path: Path) -> object:
    try:
        # torch warns about pickles that torch.save did not write.
        with warnings.catch_warnings(action="ignore"), torch.serialization.safe_globals(_data()):
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if not _holds_code(path, str(error)):
            raise _unreadable(path, "torch.save did not write it") from error
        found = re.search(r"(?:GLOBAL|class) ([\w.]+)", str(error))
        named = f" ({found[1]})" if found else ""
        raise BadInput(
            f"weights {path} holds pickled code, which is not run{named}; save the model's"
            " state_dict alone, as .safetensors or with torch.save."
        ) from error
    except Exception as error:  # a damaged file may raise anything
        raise _unreadable(path, error) from error


def _holds_code(path: Path, error: str) -> bool:
    if SIGN_OF_PICKLE in error:  # a text file gives this error too
        with open(path, "rb") as file:
            return file.read(1) == A_PICKLE
    return any(sign in error for sign in SIGNS_OF_CODE) or zipfile.is_zipfile(path)


def _unreadable(path: Path, reason: Exception | str) -> BadInput:
    why = reason if isinstance(reason, str) else first_line(reason)
    return BadInput(
        f"weights {path} cannot be read, cut off or in another format ({why}); get it again."
    )


def _data() -> list[Any]:
    """Types of plain values that scripts keep beside weights: argparse's, NumPy's and paths."""
    named = [argparse.Namespace, pathlib.PosixPath, np.ndarray, np.dtype]
    kinds = [type(np.dtype(kind)) for kind in "?bhilqBHILQefdSU"]
    makers = {"scalar": np.float64(0), "_reconstruct": np.zeros(1)}
    functions = [
        (value.__reduce__()[0], f"numpy.{core}.multiarray.{name}")
        for name, value in makers.items()
        for core in ("core", "_core")  # NumPy 1 and 2
    ]
    return [*named, *kinds, *functions]


def _state_dicts(content: object, wrapper: str = "") -> Iterator[tuple[str, dict[str, Tensor]]]:
    if not isinstance(content, Mapping):
        return
    named = {name: value for name, value in content.items() if isinstance(name, str)}
    tensors = {name: value for name, value in named.items() if _has_values(value)}
    if tensors:
        yield wrapper, tensors
    if wrapper.count(".") + 1 >= MOST_WRAPPERS:
        return
    for name, value in named.items():
        if not any(sign in name for sign in NO_WEIGHTS):
            yield from _state_dicts(value, f"{wrapper}.{name}" if wrapper else name)


def _has_values(value: object) -> bool:
    """Whether it is a tensor with plain values: not meta, quantized or sparse."""
    if not isinstance(value, Tensor) or value.layout != torch.strided:
        return False
    return not (value.is_meta or value.is_quantized)


def _json(text: str | None) -> Any:
    try:
        return None if text is None else json.loads(text)
    except json.JSONDecodeError:  # another writer's text under one of our names
        return None
