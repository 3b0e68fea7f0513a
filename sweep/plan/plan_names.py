"""Names in a plan: data sets, models, optimizers, files, each looked up before a sweep starts."""

from collections.abc import Callable

from sweep.plan.devices import check_device
from sweep.plan.plan import Plan
from tl_core.batches.batches import check_augmentation
from tl_core.config import PRETRAINED, TrainConfig, config_from_dict
from tl_core.datasets import check_dataset
from tl_core.errors import BadInput
from tl_core.machine.user_path import expanded
from tl_core.models import check_model
from tl_core.train.optim import check_optimization


def check_names(plan: Plan) -> None:
    """Check every value that names a data set, model, optimizer and the like, wherever it stands.

    The base counts where some configuration keeps its value; so do scratch runs.

    Raises:
        BadInput: a name is in no table, or a file is not there.
    """
    for device in plan.levels("device"):
        check_device(device, plan.options)
    for values in plan.variants():
        check_model(config_from_dict(values, plan.base))
    for field, check in NAMED:
        for value in plan.levels(field):
            check(config_from_dict({field: value}, plan.base))
    for field in ("weights", "teacher"):
        for file in plan.levels(field):
            if file not in (None, PRETRAINED) and not expanded(file).is_file():
                raise BadInput(f"{field}={file!r}: no such file.")


NAMED: tuple[tuple[str, Callable[[TrainConfig], None]], ...] = (
    ("dataset", check_dataset),
    ("optimizer", check_optimization),
    ("schedule", check_optimization),
    ("augmentation", check_augmentation),
)
"""Fields whose values are names of a table's rows, and what looks them up in a configuration."""
