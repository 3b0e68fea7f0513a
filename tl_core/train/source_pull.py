"""L2-SP: weight decay towards the source weights instead of towards zero.

Source: Li, Grandvalet & Davoine 2018 "Explicit Inductive Bias for Transfer Learning with
Convolutional Networks", eq. 2; the new head decays towards zero, by `weight_decay`, as there.
"""

from collections.abc import Collection

import torch
from torch import nn

from tl_core.models import head_parameters


class SourcePull:
    """The gradient of strength / 2 · ‖w − w₀‖² for each weight w whose source value is w₀.

    The model has its source weights; `moving` names the tensors that may train. Strength 0: off.
    """

    def __init__(self, model: nn.Module, strength: float, moving: Collection[str]) -> None:
        self.strength = strength
        loaded = getattr(model, "loaded", None)
        new = {*head_parameters(model), *(loaded.missing if loaded else ())}
        self.pairs = [
            (parameter, parameter.detach().clone())
            for name, parameter in model.named_parameters()
            if strength > 0 and name in moving and name not in new
        ]

    def __bool__(self) -> bool:
        return bool(self.pairs)

    @torch.no_grad()
    def add_gradients(self) -> None:
        """Add the pull to the gradients of the weights that have one."""
        moved = [(p, source) for p, source in self.pairs if p.grad is not None]
        if moved:
            parameters, sources = zip(*moved, strict=True)
            gradients = [parameter.grad for parameter in parameters]
            differences = torch._foreach_sub(parameters, sources)
            torch._foreach_add_(gradients, differences, alpha=self.strength)
