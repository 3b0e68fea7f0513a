"""Replace a model's head by one with a hidden layer."""

from torch import nn

from tl_core.config import TrainConfig
from tl_core.errors import BadInput
from tl_core.models.stages import classifiers


def replace_head(model: nn.Module, config: TrainConfig, num_classes: int) -> None:
    """Replace the classifier by dense → ReLU → dropout → dense.

    Raises:
        BadInput: the model has several classifiers, or one with other layers than dense ones.
    """
    found = classifiers(model)
    paths = [path for path, module in model.named_modules() if module in found]
    dense = [m for module in found for m in module.modules() if isinstance(m, nn.Linear)]
    covered = {id(p) for m in dense for p in m.parameters(recurse=False)}
    others = [p for module in found for p in module.parameters() if id(p) not in covered]
    if len(found) != 1 or len(paths) != 1 or not dense or others:
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
