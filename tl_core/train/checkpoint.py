"""Checkpoints: whole or absent on disk, and loaded without running code from the file."""

import random
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tl_core.config import TrainConfig, config_from_dict
from tl_core.errors import BadInput, first_line
from tl_core.machine.whole_file import whole_file
from tl_core.weights.torch_file import PickledCode, UnreadableFile, read_torch_file

_MAY_DIFFER = {"data_dir", "cache_dir", "device", "threads", "eval_batch_size"}
"""Fields that a resumed run may change."""


def save_checkpoint(path: Path, state: dict[str, Any], *, synced: bool = False) -> None:
    """Write `state`, tensors and plain values only, whole or not at all; make the folder.

    `synced` as in `whole_file`.
    """
    with whole_file(path, synced=synced) as temporary:
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
        found = read_torch_file(path)
        _check_sums(path)
        return found
    except PickledCode as code:
        why = f"it holds pickled code, which is not run{code}"
    except (UnreadableFile, OSError) as error:
        why = first_line(error)
    raise BadInput(f"{path} is no readable checkpoint ({why}); delete it.")


def _check_sums(path: Path) -> None:
    """Raise UnreadableFile where the content is not what was written; torch does not look."""
    try:
        with zipfile.ZipFile(path) as file:
            damaged = file.testzip()
    except Exception as error:  # damaged headers may raise anything
        raise UnreadableFile(first_line(error)) from error
    if damaged is not None:
        raise UnreadableFile(f"{damaged} is damaged")


def refuse_other_run(saved: dict[str, Any], config: TrainConfig) -> None:
    """Refuse the checkpoint of another run.

    Args:
        saved: fields of the checkpoint's configuration.
        config: of the run that is to go on.

    Raises:
        BadInput: they differ in a field that decides the numbers.
    """
    fields = config_from_dict(saved).to_dict()
    own = config.to_dict()
    names = [k for k in fields if fields[k] != own[k] and k not in _MAY_DIFFER]
    if names:
        raise BadInput(f"the checkpoint is of another run: {', '.join(names)} differ.")


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
