"""The driver's side of training: the desk, and the trainer processes that it gives work."""

import threading
import time
from collections.abc import Callable
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from sweep.engine.deaths import death_of, last_words
from sweep.engine.desk import Desk, Event, Status
from sweep.engine.processes import Process, Processes
from sweep.engine.queue import Queue
from sweep.faults import last_line
from sweep.options.sweep_options import SweepOptions
from sweep.plan.resources import Resources
from sweep.search.proposer import unsaid
from sweep.trial.job import Job
from sweep.trial.trainer_process import TrainerProcess

LOOK_SECONDS = 1.0
FAILED_STARTS = 3
"""So many processes in a row that do not start: no more are tried."""
PATIENCE_SECONDS = 3.0
"""At the end of the trials a process has this long to come to the end of its epoch."""


class Engine:
    """What trains the trials of a sweep in one Ray.

    Args:
        owned: as in `Processes`.
        trainer: likewise.

    Attributes:
        most: most processes on devices of their own; None: as many as machines have room for.
        over: set once no more is to be trained; may be set in a signal's handler.
        say: takes lines for the user on processes that died or hang.
    """

    def __init__(self, *, owned: bool, trainer: type = TrainerProcess) -> None:
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        options = {"num_cpus": 0, "scheduling_strategy": here, "max_concurrency": 10_000}
        self.desk: Any = ray.remote(Desk).options(**options).remote()
        self.processes = Processes(owned=owned, trainer=trainer)
        self.most: int | None = None
        self.turn = 0
        self.over = threading.Event()
        self.say: Callable[[str], None] = unsaid
        self.status: Any = None
        self.looked_at = 0.0
        self.failed_starts = 0

    def share_out(self, resources: Resources, options: SweepOptions) -> None:
        """Let as many processes share the devices as trials do."""
        asked = options.gpus if resources.gpus else options.cpus
        self.processes.start_for(resources)
        if resources.gpus:
            self.processes.share_gpus(resources.trials_per_gpu)
        self.most = None if asked is None else len(self.processes.leads)

    def begin(self, job: Job, queue: Queue) -> None:
        """Begin the trials of a sweep, for which the processes have been started."""
        self.over.clear()
        self.failed_starts = 0
        self.processes.begin(job, self.desk)
        words = str(job.processes)
        ray.get(self.desk.begin.remote(queue, self.turn, words))  # before it is told of any trial
        threading.Thread(target=self._close_when_over, daemon=True, name="engine-end").start()

    def tell(self, events: list[Event]) -> None:
        """Tell the desk what the driver has decided."""
        self.desk.tell.remote(self.turn, events)
        self.turn += 1

    def count(self) -> int:
        """Processes that train, or are about to."""
        return max(1, len(self.processes.all))

    def look(self) -> None:
        """Give processes that are ready to the desk; now and then replace those that died.

        Raises:
            RuntimeError: the desk has died.
        """
        for process in self.processes.newly_started():
            if process.error is None:
                self.failed_starts = 0
                machine = self.processes.machine(process)
                self.desk.add.remote(process.name, process.device, process.actor, machine)
            else:
                self._try_another(process, process.error)
        if self.status is not None:
            if ray.wait([self.status], timeout=0)[0]:
                self._react(self._told())
                self.status = None
        elif time.monotonic() - self.looked_at > LOOK_SECONDS:
            self.looked_at = time.monotonic()
            self.status = self.desk.status.remote()

    def _told(self) -> Status:
        try:
            status: Status = ray.get(self.status)
        except ray.exceptions.RayActorError as error:
            raise RuntimeError("The process that hands out the trials has died.") from error
        return status

    def _try_another(self, process: Process, error: Exception) -> None:
        """Start another in the place of one that did not; after a few, go on without."""
        self.failed_starts += 1
        if self.failed_starts < FAILED_STARTS:
            self.processes.replace(process.name)
            return
        self.processes.end(process.name)
        if not self.processes.all:
            self.desk.give_up.remote(self._why(process, error))

    def _why(self, process: Process, error: Exception) -> str:
        """Why a process did not start, in one line."""
        job = self.processes.job
        if job is None or not isinstance(error, ray.exceptions.RayActorError):
            return last_line(error)
        return death_of(error, last_words(str(job.processes), process.name)).told

    def _react(self, status: Status) -> None:
        """Replace what died; where trials wait, ask the cluster for one more process."""
        for line in status.notes:
            self.say(line)
        if self.over.is_set():
            return
        for name in status.lost:
            ray.get(self.desk.remove.remote(self.processes.mates(name)))  # so no trial is blamed
            self.processes.replace(name)
        full = self.processes.owned or self.failed_starts >= FAILED_STARTS
        if full or not status.waiting:
            return
        leads = self.processes.leads
        if all(lead.serves for lead in leads) and (self.most is None or len(leads) < self.most):
            self.processes.start_one()

    def shut_down(self) -> None:
        """End the processes and the desk."""
        self.over.set()
        self.processes.end_all()
        ray.kill(self.desk)

    def _close_when_over(self) -> None:
        self.over.wait()
        self.desk.close.remote()

    def end(self, *, in_haste: bool = False) -> None:
        """End the trials; processes that are still training are ended with them.

        Args:
            in_haste: whether they are ended at once.
        """
        self.over.set()
        deadline = time.monotonic() + (0.0 if in_haste else PATIENCE_SECONDS)
        while True:
            idle = self._idle()
            busy = [p.name for p in self.processes.all.values() if p.name not in idle]
            if not busy or time.monotonic() > deadline:
                break
            time.sleep(0.1)
        for name in busy:
            self.processes.end(name)

    def _idle(self) -> list[str]:
        """Tell the desk that the trials are over; the processes that have nothing to do."""
        try:
            idle: list[str] = ray.get(self.desk.close.remote())
        except ray.exceptions.RayActorError:  # what the processes do is not known any more
            return []
        return idle
