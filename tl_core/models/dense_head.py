"""Replace a model's head by one with a hidden layer: dense → ReLU → dropout → dense.

Shapes: B images, F features, K classes.
"""

from torch import nn

from tl_core.config import TrainConfig
from tl_core.errors import BadInput
from tl_core.models.stages import classifiers


def replace_head(model: nn.Module, config: TrainConfig, num_classes: int) -> None:
    """Replace the classifier by a dense head, (B, F) → (B, K).

    Args:
        model: changed in place; F is the input size of its classifier's first dense layer.
        config: head_units and head_dropout are read.
        num_classes: K.

    Raises:
        BadInput: the model has several classifiers, or one with other layers than dense ones.
    """
    found = classifiers(model)
    paths = [path for path, module in model.named_modules() if module in found]
    dense = [m for module in found for m in module.modules() if isinstance(m, nn.Linear)]
    if len(found) != 1 or len(paths) != 1 or not dense or _other_weights(found[0]):
        raise BadInput(
            f"head_units={config.head_units}: {type(model).__name__}'s head is no stack of dense"
            " layers that could be replaced; use head_units=none."
        )
    head = nn.Sequential(
        nn.Linear(dense[0].in_features, config.head_units or 0),
        nn.ReLU(),
        nn.Dropout(config.head_dropout),
        nn.Linear(config.head_units or 0, num_classes),
    )
    model.set_submodule(paths[0], head)


def _other_weights(head: nn.Module) -> bool:
    """Whether anything but dense layers has weights in the head."""
    return any(
        next(module.parameters(recurse=False), None) is not None
        for module in head.modules()
        if not isinstance(module, nn.Linear)
    )
