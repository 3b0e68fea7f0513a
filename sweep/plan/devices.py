"""Which devices a sweep's trials may name: each sees one GPU of its own, or none."""

from dataclasses import replace

from sweep.options.sweep_options import SweepOptions
from tl_core.errors import BadInput
from tl_core.machine.device import device_named, resolve_device


def check_device(name: str, options: SweepOptions) -> None:
    """Refuse a device that a trial's process will not have, whatever this machine has.

    Raises:
        BadInput: the name is unknown or chooses among GPUs, or `--gpus` says otherwise.
    """
    device = device_named(name)
    if device is None:
        return
    if device.type == "cpu" and options.gpus:
        raise BadInput(
            f"device={name!r} with `--gpus {options.gpus}`: trials on the CPU would hold GPUs "
            "idle; leave one of them out."
        )
    if device.index is not None:
        raise BadInput(
            f"device={name!r}: each trial of a sweep sees one GPU, as cuda; leave device out and "
            f"set CUDA_VISIBLE_DEVICES={device.index} to choose the GPU."
        )
    if device.type == "cuda" and options.gpus == 0:
        raise BadInput(
            f"device={name!r} with `--gpus 0`: a trial would have no GPU; leave one of them out."
        )
    if options.address is None:  # else another machine's devices count
        resolve_device(name)


def without_idle_gpus(options: SweepOptions, name: str) -> SweepOptions:
    """The options with no GPU for trials that all train on the CPU, unless GPUs are asked for."""
    alone = name == "cpu" and options.gpus is None
    return replace(options, gpus=0) if alone else options
