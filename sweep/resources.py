"""How many trials run side by side, and what each of them gets."""

import os
from dataclasses import dataclass

from sweep.options import SweepOptions
from tl_core.errors import BadInput


@dataclass(frozen=True)
class Resources:
    """Processors of the sweep and of each trial.

    Attributes:
        cpus: in all.
        gpus: in all.
        concurrent: trials side by side.
        cpus_per_trial: also the threads of each trial.
        gpus_per_trial: a fraction where trials share a GPU.
    """

    cpus: int
    gpus: int
    concurrent: int
    cpus_per_trial: int
    gpus_per_trial: float

    @property
    def trials_per_gpu(self) -> int:
        """Trials that share a GPU; 1 where there is none."""
        return round(1 / self.gpus_per_trial) if self.gpus_per_trial else 1

    def __str__(self) -> str:
        trials = f"{self.concurrent} trial{'s' if self.concurrent > 1 else ''} at a time"
        share = f"{self.cpus_per_trial} CPU{'s' if self.cpus_per_trial > 1 else ''}"
        if self.gpus:
            share += f" and {self.gpus_per_trial:.3g} GPU"
        total = f"{self.cpus} CPUs, {self.gpus} GPUs"
        return f"{trials}, each with {share} (of {total})"


def local_resources(options: SweepOptions) -> tuple[int, int]:
    """CPUs and GPUs of this machine that the options allow.

    Raises:
        BadInput: more are asked for than there are.
    """
    have = {"CPUs": cpu_count(), "GPUs": gpu_count()}
    return _allowed(options, have, "this machine")


def cluster_resources(options: SweepOptions) -> tuple[int, int]:
    """CPUs and GPUs of the joined cluster that the options allow."""
    import ray

    found = ray.cluster_resources()
    have = {"CPUs": int(found.get("CPU", 0)), "GPUs": int(found.get("GPU", 0))}
    return _allowed(options, have, "the cluster")


def _allowed(options: SweepOptions, have: dict[str, int], place: str) -> tuple[int, int]:
    asked = {"CPUs": options.cpus, "GPUs": options.gpus}
    for kind, number in asked.items():
        if number is not None and number > have[kind]:
            flag = f"--{kind.lower()}"
            way_out = "Use --gpus 0 to train on the CPU" if kind == "GPUs" else f"Leave {flag} out"
            raise BadInput(
                f"`{flag} {number}` asks for {number} {kind}; {place} has {have[kind]}. {way_out}."
            )
    cpus = have["CPUs"] if options.cpus is None else options.cpus
    return cpus, have["GPUs"] if options.gpus is None else options.gpus


def share_out(
    options: SweepOptions,
    cpus: int,
    gpus: int,
    *,
    trials: int | None,
    threads: int | None,
    packed: int = 1,
) -> Resources:
    """Divide the processors among as many trials as fit side by side.

    On CPUs alone a trial gets `threads` of them (default 1, more where there are fewer trials than
    CPUs): several one-thread trials do more than one trial with several threads.

    Args:
        options: say how many trials share a GPU.
        cpus: for the sweep.
        gpus: for the sweep.
        trials: of the sweep.
        threads: of a trial; None leaves it open.
        packed: trials on a GPU where the options leave that to a measurement.

    Raises:
        BadInput: a trial asks for more threads than there are CPUs.
    """
    if threads is not None and threads > cpus:
        raise BadInput(f"threads={threads}: there are {cpus} CPUs for the sweep; ask for fewer.")
    places, per_gpu = cpus // (threads or 1), options.trials_per_gpu or packed
    if gpus:
        places = min(places, gpus * per_gpu)
    concurrent = max(1, min(places, trials if trials is not None else places))
    return Resources(
        cpus=cpus,
        gpus=gpus,
        concurrent=concurrent,
        cpus_per_trial=threads or max(1, cpus // concurrent),
        gpus_per_trial=1 / per_gpu if gpus else 0.0,
    )


def cpu_count() -> int:
    """CPUs that this process may use, which a container or a scheduler may have limited."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def gpu_count() -> int:
    """GPUs of this machine that torch can use."""
    import torch

    return torch.cuda.device_count()
