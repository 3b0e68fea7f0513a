"""Ray and trainer processes that start while the driver still imports and plans."""

import contextlib
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from sweep.options.sweep_options import SweepOptions
from sweep.plan.resources import cpu_count
from sweep.signals import to_the_end
from sweep.start.fork_server import ForkServer
from sweep.start.forking import may_fork
from sweep.start.ray_host import RayHost
from sweep.start.ray_start import join_own, prepare_environment, start_ray

if TYPE_CHECKING:  # it loads Ray, which reads its environment as it is imported
    from sweep.engine.engine import Engine

GPU_SIGNS = tuple(
    map(Path, ("/dev/nvidiactl", "/proc/driver/nvidia", "/dev/dxg", "/dev/kfd", "/dev/nvmap"))
)
"""Files of a machine with a GPU: NVIDIA's driver, WSL2, AMD's ROCm, NVIDIA's Jetson."""
MOST_EARLY = 8
"""Most trainer processes that are started before the plan says how many there are to be."""
STARTER = ThreadPoolExecutor(1, thread_name_prefix="ray-start")
"""Its thread lives as long as the process: Ray's processes end with the thread that began them."""


class EarlyStart:
    """Ray and trainer processes, started before the plan says which are needed.

    Args:
        host: the process that starts Ray; None: this one does.
        engine: to be had once they have started.
    """

    def __init__(self, host: RayHost | None = None) -> None:
        self.host = host
        self.started: Future[Engine] | None = None

    def go_on(self, cpus: int, gpus: int | None) -> None:
        """Start the trainer processes as soon as Ray has started, with these processors."""
        self.started = STARTER.submit(_start_all, cpus, gpus, self.host)

    def engine(self) -> "Engine | None":
        """The engine, once it has started; None where it has not.

        An error is raised again where the user sees it, by another start.
        """
        try:
            return self.started.result() if self.started is not None else None
        except Exception:
            return None

    def end(self) -> None:
        """End all of it."""
        gave_up = self.host is not None and self.host.give_up()
        self.engine()
        if self.started is not None:
            import ray

            ray.shutdown()
        if self.host is not None:
            ending.append(self.host)
            if not gave_up:
                self.host.end()


early_starts: list[EarlyStart] = []
"""Those that no sweep has taken over yet."""
ending: list[RayHost] = []
"""Ray ends there, beside what the command still does."""


def start_early(
    options: SweepOptions,
    modules: Sequence[str] = (),
    alone: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> None:
    """Start Ray and trainer processes while this process still loads its own modules and plans.

    `ray_cluster` takes them over, and starts Ray again where the plan needs other processors.
    Nothing is started where a cluster is to be joined.

    Args:
        options: of the sweep.
        modules: what its trainer processes will import besides what they always do.
        alone: a context in which no other thread of the caller's runs.
    """
    cpus = cpu_count() if options.cpus is None else options.cpus
    if options.address is not None or not 0 < cpus <= cpu_count():
        return
    prepare_environment(None)
    gpus = None if options.gpus != 0 and any(sign.exists() for sign in GPU_SIGNS) else 0
    server = None
    early = EarlyStart()
    early_starts.append(early)
    with alone():
        if "ray" not in sys.modules and may_fork():
            with contextlib.suppress(OSError):  # no room for a file or a process
                server = ForkServer()
                early.host = RayHost(partial(_ray_here, cpus, gpus), _end_ray)
    if server is not None:
        server.load(modules)
        with alone():
            server.start()
    import ray  # noqa: F401  # in this thread, so that two do not import it at once

    early.go_on(cpus, gpus)


def _ray_here(cpus: int, gpus: int | None) -> str:
    """Start Ray in this process; its address."""
    start_ray(None, cpus, gpus)
    import ray

    return str(ray.get_runtime_context().gcs_address)


def _end_ray() -> None:
    import ray

    ray.shutdown()


def _start_all(cpus: int, gpus: int | None, host: RayHost | None) -> "Engine":
    """Start trainer processes on all GPUs that Ray has, or on CPUs; without a host, Ray first."""
    if host is None:
        start_ray(None, cpus, gpus)
    else:
        join_own(host.address())
    import ray

    engine = engine_in_it(owned=True)
    found = int(ray.cluster_resources().get("GPU", 0))
    engine.processes.start(min(found or cpus, MOST_EARLY), on_gpus=found > 0)
    return engine


def engine_in_it(*, owned: bool) -> "Engine":
    """An engine in the Ray that this process is connected to; `owned` as in `Engine`."""
    from sweep.engine.engine import Engine

    return Engine(owned=owned)


def taken_over(cpus: int | None, gpus: int | None) -> EarlyStart | None:
    """What was started early, if it has the processors that are wanted now; it is ended if not."""
    early = early_starts.pop() if early_starts else None
    if early is None:
        return None
    if early.engine() is not None:
        import ray

        has = ray.cluster_resources()
        if (has.get("CPU", 0), has.get("GPU", 0)) == (cpus, gpus):
            return early
    early.end()
    return None


def stop_early() -> None:
    """End what `start_early` started, where no sweep took it over; wait for what is ending."""
    with to_the_end():
        while early_starts:
            with contextlib.suppress(Exception):
                early_starts.pop().end()
        while ending:
            ending.pop().wait()
