"""Steps of an optimizer for many runs at once, each with its own momentum and number of steps.

Shapes: M runs, P elements of a run's weights; rates, momenta and counts are (M, 1).
"""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

State = dict[str, Tensor]
ADAM_BETAS = (0.9, 0.999)
RMSPROP_ALPHA = 0.99
EPSILON = 1e-8


@dataclass(frozen=True)
class StackedSteps:
    """How an optimizer steps many runs whose weights are the rows of one tensor.

    Attributes:
        step: (state, gradients (M, P), momenta, counts from 1, nesterov) → what is subtracted from
            the weights, times the rate (M, P). Every row depends on that row alone, every element
            on that element alone. The state is changed in place.
        state: names of the tensors (M, P) that it keeps; 0 at first.
        decoupled_decay: whether weight decay shrinks the weights by rate × decay, as in AdamW,
            instead of adding decay × weight to the gradient.
    """

    step: Callable[[State, Tensor, Tensor, Tensor, bool], Tensor]
    state: tuple[str, ...]
    decoupled_decay: bool = False


def sgd(
    state: State, gradients: Tensor, momenta: Tensor, counts: Tensor, nesterov: bool
) -> Tensor:
    """Source: `torch.optim.SGD` without dampening."""
    velocity = state["momentum"].mul_(momenta).add_(gradients)
    return gradients.addcmul(velocity, momenta) if nesterov else velocity


def adam(
    state: State, gradients: Tensor, momenta: Tensor, counts: Tensor, nesterov: bool
) -> Tensor:
    """Source: Kingma & Ba 2015, algorithm 1; epsilon is added as in `torch.optim.Adam`."""
    first, second = ADAM_BETAS
    mean = state["mean"].lerp_(gradients, 1 - first)
    square = state["square"].mul_(second).addcmul_(gradients, gradients, value=1 - second)
    deviation = (square.sqrt() / (1 - second**counts).sqrt()).add_(EPSILON)
    return mean / (1 - first**counts) / deviation


def rmsprop(
    state: State, gradients: Tensor, momenta: Tensor, counts: Tensor, nesterov: bool
) -> Tensor:
    """Source: `torch.optim.RMSprop`, not centred."""
    square = state["square"].mul_(RMSPROP_ALPHA)
    square.addcmul_(gradients, gradients, value=1 - RMSPROP_ALPHA)
    return state["momentum"].mul_(momenta).add_(gradients / square.sqrt().add_(EPSILON))


SGD = StackedSteps(sgd, ("momentum",))
ADAM = StackedSteps(adam, ("mean", "square"))
ADAMW = StackedSteps(adam, ("mean", "square"), decoupled_decay=True)
RMSPROP = StackedSteps(rmsprop, ("square", "momentum"))
