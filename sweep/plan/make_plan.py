"""From options to a plan.

Planning reads the user's files and checks every name and value; it trains nothing, downloads
nothing and decodes no image, so that `--dry-run` is quick.
"""

import os
from dataclasses import replace

from search_spaces.domains import Choice, fix
from sweep.options.decided import fixed_fields
from sweep.options.spaces import SearchSpace, load_space
from sweep.options.sweep_options import SweepOptions
from sweep.options.user_modules import load_modules
from sweep.plan.at_source import check_source_options
from sweep.plan.plan import Plan, counted_plan
from sweep.plan.unheeded import unheeded_options, without_dead_fields
from sweep.search.search import choose_search
from tl_core.batches.batches import check_augmentation
from tl_core.config import PRETRAINED, config_from_dict
from tl_core.datasets import check_dataset
from tl_core.errors import BadInput
from tl_core.frozen.feature_cache import BUDGET_VARIABLE
from tl_core.machine.cache_folder import gibibytes_from
from tl_core.machine.device import device_named, resolve_device
from tl_core.machine.memory_watch import RESERVE_VARIABLE
from tl_core.machine.user_path import expanded
from tl_core.models import check_model
from tl_core.train.optim import check_optimization


def make_plan(options: SweepOptions, space: SearchSpace | None = None) -> Plan:
    """Check everything that can be checked without data or a GPU, and count the trials.

    `space` is what to explore, where that is not what the file that the options name says.

    Raises:
        BadInput: a name, a value, a file or a combination of options is wrong.
    """
    modules = load_modules(options.imports)
    for variable in (BUDGET_VARIABLE, RESERVE_VARIABLE):
        gibibytes_from(variable)
    space = space or load_space(options.space)
    fixed = fixed_fields(options, space.base)
    base = config_from_dict(fixed, space.base)
    sizes = {"limit_train": Choice(options.limit_train)} if len(options.limit_train) > 1 else {}
    free = {**sizes, **fix(space.space, fixed)}
    if base.device == "cpu" and "device" not in free and options.gpus is None:
        options = replace(options, gpus=0)
    plan = Plan(
        options=options,
        space=space,
        base=base,
        free=free,
        modules=(*modules, space.module),
        named=tuple(options.overrides),
        search=choose_search(options, space),
    )
    check_source_options(plan)
    _check_names(plan)
    counted = counted_plan(without_dead_fields(plan))
    return replace(counted, notes=(*unheeded_options(counted), *counted.notes))


def _check_names(plan: Plan) -> None:
    """Look up the data sets, models, optimizers, devices and files of all configurations."""
    for device in plan.levels("device"):
        _check_device(device, plan.options)
    for values in plan.variants():
        check_model(config_from_dict(values, plan.base))
    checks = {
        "dataset": check_dataset, "optimizer": check_optimization,
        "schedule": check_optimization, "augmentation": check_augmentation,
    }  # fmt: skip
    for field, check in checks.items():
        for value in plan.levels(field):
            check(config_from_dict({field: value}, plan.base))
    for field in ("weights", "teacher"):
        for file in plan.levels(field):
            if file not in (None, PRETRAINED) and not os.path.isfile(expanded(file)):
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
