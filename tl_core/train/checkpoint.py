"""Checkpoints: whole or absent on disk, and loaded without running code from the file."""

import random
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tl_core.errors import BadInput, first_line
from tl_core.machine.whole_file import whole_file
from tl_core.weights.torch_file import PickledCode, UnreadableFile, read_torch_file


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write `state`, tensors and plain values only, whole or not at all; make the folder."""
    with whole_file(path) as temporary:
        torch.save(state, temporary)


def load_checkpoint(path: Path) -> dict[str, Any]:
    """The state of a run that `save_checkpoint` wrote, on the CPU.

    Raises:
        BadInput: the file is missing, truncated, or holds more than tensors and plain values.
    """
    state = load_state(path)
    if not isinstance(state, dict) or "model" not in state:
        raise BadInput(f"{path} is no training checkpoint: it has no entry 'model'.")
    return state


def load_state(path: Path) -> Any:
    """Whatever `save_checkpoint` wrote, on the CPU; raises as `load_checkpoint` does."""
    if not path.exists():
        raise BadInput(f"no checkpoint at {path}.")
    try:
        return read_torch_file(path)
    except PickledCode as code:
        why = f"it holds pickled code, which is not run{code}"
    except UnreadableFile as error:
        why = first_line(error)
    raise BadInput(f"{path} is no readable checkpoint ({why}); delete it.")


def seed_everything(seed: int) -> None:
    """Seed every global generator that a model or an augmentation may draw from."""
    torch.manual_seed(seed)
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002  user code may draw from the global generator


def rng_state() -> dict[str, Any]:
    """State of the global generators, in values that `weights_only=True` accepts."""
    legacy = np.random.get_state(legacy=False)  # noqa: NPY002
    numpy_state = {**legacy, "state": {**legacy["state"], "key": legacy["state"]["key"].tolist()}}
    return {
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        "python": random.getstate(),
        "numpy": numpy_state,
    }


def set_rng_state(state: dict[str, Any]) -> None:
    """Put the global generators back to a state that `rng_state` returned."""
    torch.set_rng_state(state["torch"])
    if state["cuda"] and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(state["cuda"])
    version, internal, gauss = state["python"]
    random.setstate((version, tuple(internal), gauss))
    saved = state["numpy"]
    key = np.array(saved["state"]["key"], dtype=np.uint32)
    np.random.set_state({**saved, "state": {**saved["state"], "key": key}})  # noqa: NPY002
