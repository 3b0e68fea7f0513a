"""Read weights files without running their code; write our own whole or not at all.

Our files are safetensors with the fields of WeightsMetadata as JSON strings. The .safetensors and
.pth files of others are read too.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from tl_core.config import TrainConfig
from tl_core.errors import BadInput, first_line
from tl_core.machine.plain_file import open_plain
from tl_core.machine.user_path import expanded
from tl_core.machine.whole_file import whole_file
from tl_core.weights.metadata import WeightsMetadata, parse_metadata
from tl_core.weights.torch_file import PickledCode, UnreadableFile, read_torch_file

TORCH_SUFFIXES = (".pth", ".pt", ".bin", ".ckpt", ".tar")
NO_WEIGHTS = ("optim", "scheduler", "scaler")
"""Parts of key names whose tensors are no weights."""
MOST_WRAPPERS = 3
"""Depth of nested dicts that are searched for tensors."""


def weights_path(weights: str) -> Path:
    """The file that `weights` names; BadInput if there is none, or its suffix is unknown."""
    path = expanded(weights)
    try:
        open_plain(path).close()
    except (FileNotFoundError, NotADirectoryError):
        raise BadInput(
            f"weights={weights!r}: no such file; give a .safetensors or .pth file, pretrained or"
            " none."
        ) from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        why = getattr(error, "strerror", None) or first_line(error)
        raise BadInput(
            f"weights={weights!r} cannot be read ({why}); give a .safetensors or .pth file."
        ) from None
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
            found = {"": load_file(path)}
        except Exception as error:  # safetensors raises half a dozen kinds for damaged files
            raise _unreadable(path, error) from error
    else:
        found = dict(_state_dicts(_of_torch(path), "", set()))
    if not any(found.values()):
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
    except Exception as error:
        raise _unreadable(path, error) from error
    return parse_metadata(texts)


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

    Raises:
        OSError: it cannot be written.
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
    with whole_file(path) as partial:
        try:
            save_file(tensors, partial, metadata={"format": "pt", **metadata})
        except SafetensorError as error:
            number = re.search(r"\(os error (\d+)\)", str(error))
            if number is None:
                raise
            raise OSError(int(number[1]), str(error)) from error


def _of_torch(path: Path) -> object:
    try:
        return read_torch_file(path)
    except PickledCode as code:
        raise BadInput(
            f"weights {path} holds pickled code, which is not run{code}; save the model's"
            " state_dict alone, as .safetensors or with torch.save."
        ) from code
    except UnreadableFile as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> BadInput:
    return BadInput(
        f"weights {path} cannot be read, cut off or in another format ({first_line(error)}); get"
        " it again."
    )


def _state_dicts(
    content: object, wrapper: str, seen: set[tuple[int, int]]
) -> Iterator[tuple[str, dict[str, Tensor]]]:
    """Dicts of tensors below `content`; one that lies under several keys is found once."""
    depth = wrapper.count(".") + 1
    if not isinstance(content, Mapping) or (id(content), depth) in seen:
        return
    seen.add((id(content), depth))
    named = {name: value for name, value in content.items() if isinstance(name, str)}
    tensors = {name: value for name, value in named.items() if _has_values(value)}
    if tensors:
        yield wrapper, tensors
    if depth >= MOST_WRAPPERS:
        return
    for name, value in named.items():
        if not any(sign in name for sign in NO_WEIGHTS):
            yield from _state_dicts(value, f"{wrapper}.{name}" if wrapper else name, seen)


def _has_values(value: object) -> bool:
    """Whether it is a tensor with plain values: not meta, quantized or sparse."""
    if not isinstance(value, Tensor) or value.layout != torch.strided:
        return False
    return not (value.is_meta or value.is_quantized)
