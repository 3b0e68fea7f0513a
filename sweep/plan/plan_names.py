"""Names in a plan: data sets, models, optimizers, files, each looked up before a sweep starts."""

from sweep.options.sweep_options import SweepOptions
from sweep.plan.plan import Plan
from sweep.results.sources import PRETRAINED
from tl_core.batches.batches import check_augmentation
from tl_core.config import config_from_dict
from tl_core.datasets import check_dataset
from tl_core.errors import BadInput
from tl_core.machine.device import device_named, resolve_device
from tl_core.machine.user_path import expanded
from tl_core.models import check_model
from tl_core.train.optim import check_optimization


def check_names(plan: Plan) -> None:
    """Check every value that names a data set, model, optimizer and the like.

    The base counts where some configuration keeps its value; so do scratch runs.

    Raises:
        BadInput: a name is in no table, or a file is not there.
    """
    for device in plan.levels("device"):
        _check_device(device, plan.options)
    for values in plan.variants():
        check_model(config_from_dict(values, plan.base))
    for field, check in (
        ("dataset", check_dataset),
        ("optimizer", check_optimization),
        ("schedule", check_optimization),
        ("augmentation", check_augmentation),
    ):
        for value in plan.levels(field):
            check(config_from_dict({field: value}, plan.base))
    for field in ("weights", "teacher"):
        for file in plan.levels(field):
            if file not in (None, PRETRAINED) and not expanded(file).is_file():
                raise BadInput(f"{field}={file!r}: no such file.")


def _check_device(name: str, options: SweepOptions) -> None:
    """Refuse a device that a trial's process, which sees one GPU or none, will not have."""
    device = device_named(name)
    if device is None:
        return
    if device.index is not None:
        raise BadInput(
            f"device={name!r}: each trial of a sweep sees one GPU, as cuda; leave device out and "
            f"set CUDA_VISIBLE_DEVICES={device.index} to choose the GPU."
        )
    idle = device.type == "cpu" and options.gpus
    if idle or (device.type == "cuda" and options.gpus == 0):
        why = "trials on the CPU would hold GPUs idle" if idle else "a trial would have no GPU"
        asked = f"device={name!r} with `--gpus {options.gpus}`"
        raise BadInput(f"{asked}: {why}; leave one of them out.")
    if options.address is None:  # else another machine's devices count
        resolve_device(name)
