"""Stop the building of a model that a weights file could never fill.

Whoever writes a file writes the configuration in it, too: `width=100000000` would take the memory,
`depth=100000000` the time.
"""

import contextlib
import math
from collections.abc import Iterator
from pathlib import Path

import torch
from safetensors import safe_open
from torch import nn
from torch.nn.modules.module import register_module_parameter_registration_hook

SLACK = 4
"""Times as many values and tensors as the file has may be made: some models replace layers."""
FREE_VALUES, FREE_TENSORS = 20_000_000, 2_000


class TooLarge(ValueError):
    """A model is far larger than its file."""


@contextlib.contextmanager
def as_large_as(path: Path) -> Iterator[None]:
    """Raise TooLarge where the block makes many more parameters than a .safetensors file has."""
    values, tensors = _contents(path)
    most_values = SLACK * values + FREE_VALUES
    most_tensors = SLACK * tensors + FREE_TENSORS
    made = [0, 0]

    def count(module: nn.Module, name: str, parameter: nn.Parameter | None) -> None:
        if parameter is None or torch.nn.parameter.is_lazy(parameter):
            return
        made[0] += parameter.numel()
        made[1] += 1
        if made[0] > most_values or made[1] > most_tensors:
            raise TooLarge(f"its model is far larger than the {values:,} values in the file")

    hook = register_module_parameter_registration_hook(count)
    try:
        yield
    finally:
        hook.remove()


def _contents(path: Path) -> tuple[int, int]:
    """Values in all tensors of the file, and tensors."""
    with safe_open(path, framework="pt") as file:
        names = list(file.keys())
        return sum(math.prod(file.get_slice(name).get_shape()) for name in names), len(names)
