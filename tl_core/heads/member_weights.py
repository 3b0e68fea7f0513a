"""The weights of many like heads as the rows of one tensor, and their logits by batched products.

Shapes: M members, B images, K classes, P elements of a member's weights with what lies between
them; activations are (B, …).
"""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, fx, nn
from torch.func import functional_call, vmap

LINE = 16
"""Floats of a cache line. Each tensor begins at one, in every row: products of matrices that lie
elsewhere in their lines are rounded differently."""

Weights = dict[str, Tensor]


class Layout:
    """Where the tensors of a head lie in a row (P,).

    Args:
        head: with its parameters.
    """

    def __init__(self, head: nn.Module) -> None:
        self.shapes = {name: parameter.shape for name, parameter in head.named_parameters()}
        self.starts: dict[str, int] = {}
        self.size = 0
        for name, shape in self.shapes.items():
            self.starts[name] = self.size
            self.size += _whole_lines(shape.numel())

    def tensors(self, rows: Tensor) -> Weights:
        """Views (…, *shape) of rows (…, P)."""
        return {
            name: rows[..., self.starts[name] : self.starts[name] + shape.numel()].unflatten(
                -1, shape
            )
            for name, shape in self.shapes.items()
        }

    @torch.no_grad()
    def rows(self, tensors: Sequence[Tensor]) -> Tensor:
        """Tensors (M, *shape), in the order of the parameters, as rows (M, P)."""
        rows = tensors[0].new_zeros(len(tensors[0]), self.size, dtype=torch.float32)
        for place, tensor in zip(self.tensors(rows).values(), tensors, strict=True):
            place.copy_(tensor)
        return rows

    def decays(self) -> Tensor:
        """(P,) 1 where weights decay: those of more than one dimension; 0 elsewhere."""
        row = torch.zeros(self.size)
        for tensor in self.tensors(row).values():
            tensor.fill_(float(tensor.ndim > 1))
        return row


def aligned(parts: Sequence[Tensor]) -> Tensor:
    """Tensors of one shape, stacked so that each begins at a cache line."""
    length = parts[0].numel()
    rows = parts[0].new_empty(len(parts), _whole_lines(length))
    stacked = rows[:, :length].unflatten(1, parts[0].shape)
    for place, part in zip(stacked, parts, strict=True):
        place.copy_(part)
    return stacked


def logits_of(head: fx.GraphModule) -> Callable[[Weights, Tensor], Tensor]:
    """A function: weights (M, …) and activations (M, B, …) → logits (M, B, K).

    Args:
        head: activations (B, …) → logits (B, K).
    """
    called = [node for node in head.graph.nodes if node.op not in ("placeholder", "output")]
    is_one = [node.op for node in called] == ["call_module"]
    module = head.get_submodule(str(called[0].target)) if is_one else None
    if type(module) is nn.Linear and module.bias is not None:
        weight, bias = (f"{called[0].target}.{name}" for name in ("weight", "bias"))
        return lambda weights, activations: torch.baddbmm(
            weights[bias][:, None], activations, weights[weight].mT
        )
    return vmap(lambda weights, activations: functional_call(head, weights, (activations,)))


def _whole_lines(elements: int) -> int:
    return math.ceil(elements / LINE) * LINE
