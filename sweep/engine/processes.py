"""Start and end the trainer processes of a sweep, and call functions in them."""

import itertools
import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from sweep.plan.resources import Resources
from sweep.trial.job import Job
from sweep.trial.trainer_process import TrainerProcess

MOST_DEATHS = 2
"""A call fails whose process died so often."""
T = TypeVar("T")


@dataclass
class Process:
    """A trainer process.

    Attributes:
        device: names what it trains on; processes that share a GPU have the same.
        ready: answered once it can do something.
        place: what it answers of its machine and GPUs; asked for at its start, since later it
            trains.
        gpu: number of its GPU in a Ray of our own.
        lead: the process whose GPU it shares.
        serves: whether the desk gives it work.
        error: what it raised instead of starting.
    """

    name: str
    device: str
    actor: Any
    ready: Any
    gpu: int | None = None
    lead: str | None = None
    serves: bool = False
    error: Exception | None = None
    place: Any = None


class Processes:
    """The trainer processes of one Ray.

    Args:
        owned: whether no other work runs on this Ray: nothing is reserved in it then. Elsewhere
            each process reserves a trial's CPUs and, where the sweep has GPUs, a whole one.
        trainer: class of the processes.
    """

    def __init__(self, *, owned: bool, trainer: type = TrainerProcess) -> None:
        self.owned = owned
        self.actor_class: Any = ray.remote(trainer)
        self.all: dict[str, Process] = {}
        self.names = (f"trainer-{number}" for number in itertools.count())
        self.cpus, self.on_gpus = 1, False
        self.per_gpu = 1
        self.job: Job | None = None
        self.desk: Any = None

    @property
    def leads(self) -> list[Process]:
        """The processes that do not share another's GPU."""
        return [process for process in self.all.values() if process.lead is None]

    def mates(self, name: str) -> list[str]:
        """The processes that share the GPU of this one, which end with it."""
        return [process.name for process in self.all.values() if process.lead == name]

    def start(self, count: int, *, on_gpus: bool, cpus: int = 1) -> None:
        """Let there be so many, each on a GPU of its own or, all of them, on CPUs.

        Args:
            cpus: of each.
        """
        if on_gpus != self.on_gpus or (cpus != self.cpus and not self.owned):
            self.end_all()
        self.on_gpus, self.cpus = on_gpus, cpus
        for process in self.leads[count:]:
            self.end(process.name)
        while len(self.leads) < count:
            self.start_one()

    def start_for(self, resources: Resources) -> None:
        """Let there be one for each trial side by side, or for each GPU."""
        count = resources.concurrent
        if resources.gpus:
            count = max(1, min(count, resources.gpus))
        self.start(count, on_gpus=resources.gpus > 0, cpus=resources.cpus_per_trial)

    def start_one(self) -> None:
        """Start one more on a device of its own."""
        gpu = None
        options: dict[str, Any] = {"num_cpus": 0 if self.owned else self.cpus}
        if self.on_gpus and self.owned:
            used = {process.gpu for process in self.leads}
            gpu = next(number for number in itertools.count() if number not in used)
        elif self.on_gpus:
            options["num_gpus"] = 1
        name = next(self.names)
        visible = None if gpu is None else _visible(gpu)
        self._start(Process(name, name, None, None, gpu), options, visible)

    def share_gpus(self, processes: int) -> None:
        """Let so many processes share each GPU, now and where one is started later."""
        self.per_gpu = processes
        for lead in self.leads:
            mates = self.mates(lead.name)
            for name in mates[processes - 1 :]:
                self.end(name)
            for _ in range(processes - 1 - len(mates)):
                self._start_mate(lead)

    def _start_mate(self, lead: Process) -> None:
        try:
            node, gpus = ray.get(lead.place)
        except ray.exceptions.RayActorError:
            return  # its mates are started with the one that takes its place
        there = NodeAffinitySchedulingStrategy(node, soft=False)
        options = {"num_cpus": 0 if self.owned else self.cpus, "scheduling_strategy": there}
        mate = Process(next(self.names), lead.device, None, None, lead.gpu, lead.name)
        self._start(mate, options, gpus)

    def _start(self, process: Process, options: dict[str, Any], gpus: str | None) -> None:
        process.actor = self.actor_class.options(**options).remote(gpus)
        process.place = process.ready = process.actor.place.remote()
        self.all[process.name] = process
        self._begin(process)

    def begin(self, job: Job, desk: Any = None) -> None:
        """Give all processes, and those started later, a sweep's job.

        Args:
            desk: hears from them how far they come.
        """
        self.job, self.desk = job, desk
        for process in self.all.values():
            self._begin(process)

    def _begin(self, process: Process) -> None:
        if self.job is None:
            return
        words = self.job.processes / f"{process.name}.txt"
        process.actor.follow.remote(self.desk, process.name, str(words))
        process.ready, process.serves = process.actor.begin.remote(self.job), False

    def machine(self, process: Process) -> str:
        """Ray's name of the machine of a process that serves."""
        return str(ray.get(process.place)[0])

    def newly_started(self) -> list[Process]:
        """Those that can train since the last time, or have an error that kept them from it."""
        starting = {p.ready: p for p in self.all.values() if not p.serves}
        if not starting:
            return []
        ready, _ = ray.wait(list(starting), num_returns=len(starting), timeout=0)
        for reference in ready:
            process = starting[reference]
            process.error = _error_of(reference)
            process.serves = process.error is None
            if process.serves and process.lead is None and self.on_gpus and self.per_gpu > 1:
                self.share_gpus(self.per_gpu)
        return [starting[reference] for reference in ready]

    def replace(self, name: str) -> None:
        """Start another in the place of one that died; one that shared the GPU of a lead ends."""
        process = self.all.pop(name, None)
        if process is None:
            return
        ray.kill(process.actor)
        if process.lead in self.all:
            self._start_mate(self.all[process.lead])
            return
        for mate in self.mates(name):
            self.end(mate)
        if process.lead is None:
            self.start_one()

    def end(self, name: str) -> None:
        """End one."""
        ray.kill(self.all.pop(name).actor)

    def end_all(self) -> None:
        """End them all."""
        for name in list(self.all):
            self.end(name)

    def call(self, function: Callable[..., T], *arguments: Any) -> T:
        """What a function returns in the first process; its errors pass through."""
        (found,) = self.call_each([partial(function, *arguments)])
        if isinstance(found, Exception):
            raise found
        return found

    def call_each(self, calls: Sequence[Callable[[], T]]) -> list[T | Exception]:
        """What calls without arguments return, or raise, side by side in the processes.

        One whose process dies is made again in another; when that dies too, its error is told.
        """
        found: dict[int, T | Exception] = {}
        deaths: Counter[int] = Counter()
        waiting = list(range(len(calls)))
        running: dict[Any, tuple[int, str]] = {}
        while waiting or running:
            if not self.all:
                self.start_one()
            busy = {name for _, name in running.values()}
            for name in [name for name in self.all if name not in busy][: len(waiting)]:
                number = waiting.pop(0)
                running[self.all[name].actor.call.remote(calls[number])] = number, name
            (answer,), _ = ray.wait(list(running), num_returns=1)
            number, name = running.pop(answer)
            try:
                found[number] = ray.get(answer)
            except ray.exceptions.RayActorError as error:
                if name in self.all:  # else it was ended with the one whose GPU it shared
                    deaths[number] += 1
                    self.replace(name)
                if deaths[number] < MOST_DEATHS:
                    waiting.append(number)
                else:
                    found[number] = error
            except Exception as error:
                found[number] = _cause(error)
        return [found[number] for number in range(len(calls))]


def _error_of(reference: Any) -> Exception | None:
    """What a call raised that has ended."""
    try:
        ray.get(reference)
    except Exception as error:
        return _cause(error)
    return None


def _cause(error: Exception) -> Exception:
    """What a function raised, without Ray's words around it."""
    cause = getattr(error, "cause", None)
    return cause if isinstance(cause, Exception) else error


def _visible(gpu: int) -> str:
    """A GPU of this machine as CUDA_VISIBLE_DEVICES names it."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    return named.split(",")[gpu] if named else str(gpu)
