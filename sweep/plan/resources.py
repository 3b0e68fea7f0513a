"""How many trials run side by side, and what each of them gets."""

from dataclasses import dataclass

from sweep.options.sweep_options import SweepOptions
from tl_core.errors import BadInput
from tl_core.machine.hardware import cpu_count


@dataclass(frozen=True)
class Node:
    """Processors of one machine; a trial runs on one."""

    cpus: int
    gpus: int = 0

    def places(self, cpus: int, per_gpu: int | None) -> int:
        """Trials of so many CPUs side by side, `per_gpu` on a GPU or, where None, on none."""
        by_cpu = self.cpus // cpus
        return by_cpu if per_gpu is None else min(by_cpu, self.gpus * per_gpu)

    def __str__(self) -> str:
        return f"{_count(self.cpus, 'CPU')}, {_count(self.gpus, 'GPU')}"


@dataclass(frozen=True)
class Pool:
    """What the options allow a sweep to use, and the machines that it lies on."""

    cpus: int
    gpus: int
    nodes: tuple[Node, ...]
    """Whole machines: together they may have more than the sweep may use."""

    def places(self, cpus: int, per_gpu: int | None) -> int:
        """Trials side by side; as in `Node`."""
        found = min(self.cpus // cpus, sum(node.places(cpus, per_gpu) for node in self.nodes))
        return found if per_gpu is None else min(found, self.gpus * per_gpu)


@dataclass(frozen=True)
class Resources:
    """Processors of the sweep and of each trial."""

    cpus: int
    gpus: int
    concurrent: int
    """Trials side by side."""
    cpus_per_trial: int
    """Also the threads of each trial."""
    trials_per_gpu: int
    """Trials that share a GPU; 1 where there is none."""
    cpus_alone: int
    """For a single task while no trial runs: all of the machine, where there is one."""

    def __str__(self) -> str:
        share = _count(self.cpus_per_trial, "CPU")
        if self.gpus:
            share += f" and {1 / self.trials_per_gpu:.3g} GPU"
        trials = f"{_count(self.concurrent, 'trial')} at a time, each with {share}"
        return f"{trials} (of {self.cpus} CPUs, {self.gpus} GPUs)"


def local_resources(options: SweepOptions) -> Pool:
    """What the options allow of this machine; raises BadInput where they ask for more."""
    return _allowed(options, [Node(cpu_count(), gpu_count())], "this machine")


def ray_resources(options: SweepOptions) -> Pool:
    """What they allow of the Ray that this process is connected to; raises BadInput likewise."""
    import ray

    found = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    nodes = [Node(int(has.get("CPU", 0)), int(has.get("GPU", 0))) for has in found]
    return _allowed(options, nodes, "the cluster" if len(nodes) > 1 else "the Ray in use")


def _allowed(options: SweepOptions, nodes: list[Node], place: str) -> Pool:
    found = {}
    for kind, asked, way_out in (
        ("CPUs", options.cpus, "Leave --cpus out"),
        ("GPUs", options.gpus, "Use --gpus 0 to train on the CPU"),
    ):
        name = kind.lower()
        have = sum(getattr(node, name) for node in nodes)
        if asked is not None and asked > have:
            ask = f"`--{name} {asked}` asks for {asked} {kind}"
            raise BadInput(f"{ask}; {place} has {have}. {way_out}.")
        found[name] = have if asked is None else asked
    return Pool(found["cpus"], found["gpus"], tuple(nodes))


def share_out(
    options: SweepOptions, pool: Pool, *, trials: int, threads: int | None, packed: int = 1
) -> Resources:
    """Divide the processors among as many trials as fit side by side, each on one machine.

    Trials of one thread side by side do more than one trial with several threads; where there are
    fewer trials than CPUs, each gets more.

    Args:
        trials: of the sweep; 0 where that is not known.
        threads: of a trial; None leaves it open.
        packed: trials on a GPU where the options leave that to a measurement.

    Raises:
        BadInput: a trial fits on no machine.
    """
    per_gpu = (options.trials_per_gpu or packed) if pool.gpus else None
    places = pool.places(threads or 1, per_gpu)
    if places < 1:
        raise BadInput(_too_large(pool, threads))
    concurrent = min(places, trials or places)
    each = threads or _most_cpus(pool, concurrent, per_gpu)
    return Resources(
        cpus=pool.cpus,
        gpus=pool.gpus,
        concurrent=concurrent,
        cpus_per_trial=each,
        trials_per_gpu=per_gpu or 1,
        cpus_alone=_most_cpus(pool, 1, per_gpu) if len(pool.nodes) == 1 else each,
    )


def _most_cpus(pool: Pool, concurrent: int, per_gpu: int | None) -> int:
    """The most CPUs that so many trials side by side can have each."""
    most = max(node.cpus for node in pool.nodes)
    return next(c for c in range(most, 0, -1) if pool.places(c, per_gpu) >= concurrent)


def _too_large(pool: Pool, threads: int | None) -> str:
    """Why not even one trial fits, and the way out."""
    wanted = _count(threads or 1, "CPU")
    nodes = " | ".join(dict.fromkeys(str(node) for node in pool.nodes)) or "none"
    most = min(pool.cpus, max((node.cpus for node in pool.nodes), default=0))
    if threads is not None and most < threads:
        where = " on its largest machine" if most < pool.cpus else ""
        return f"threads={threads}: there are {most} CPUs for the sweep{where}; ask for fewer."
    if pool.gpus:
        lack = f"a trial needs {wanted} and a GPU of one machine, and no machine has both"
        return f"{lack} ({nodes}); use --gpus 0 to train on the CPU."
    return f"a trial needs {wanted}, and no machine has so many ({nodes}); add one to the cluster."


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def gpu_count() -> int:
    """GPUs of this machine that torch can use."""
    import torch

    return torch.cuda.device_count()
