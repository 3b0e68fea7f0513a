"""Tune's trainable: trains trials and returns one result an epoch.

An actor trains many trials one after another (`reset_config`): it drops all state of the last
trial, and the Trainer seeds every generator anew.
"""

import contextlib
import dataclasses
import gc
import math
import os
import socket
import threading
import time
from typing import Any

import torch
from ray import tune

from sweep.faults import last_line
from sweep.search.tune_searcher import UNFINISHED
from sweep.trial.gpu_places import GpuPlaces
from sweep.trial.head_stacks import HeadStacks
from sweep.trial.job import Job
from tl_core.machine.hardware import device_name, give_back_memory
from tl_core.machine.memory_watch import MemoryWatch
from tl_core.train.checkpoint import save_checkpoint
from tl_core.train.epoch import EpochMetrics
from tl_core.train.head_group import Member
from tl_core.train.heads import HeadRun, lone_head
from tl_core.train.trainer import Trainer

STATUS_OF_STOP = {
    "epochs": "completed", "patience": "completed", "target": "completed", "diverged": "diverged",
}  # fmt: skip
NO_METRICS = EpochMetrics(
    epoch=0, train_loss=math.nan, train_accuracy=math.nan, val_loss=math.nan,
    val_accuracy=math.nan, lr=math.nan, train_seconds=0.0, eval_seconds=0.0,
    images_per_second=math.nan, device_memory_bytes=0, host_memory_bytes=0,
)  # fmt: skip
"""The metrics of an epoch that failed."""
Run = Trainer | HeadRun | Member
"""What trains a trial, an epoch at a time."""
IDLE_SECONDS = 30.0
"""A trial on a shared GPU that waits longer for its next epoch gives up its place."""


class TrialActor(tune.Trainable):
    """One worker process: trains the trials it is given, one epoch a `step`.

    An exception in a trial becomes its last result, with `status` and the error's last line; the
    process goes on to the next trial. After a trial runs out of memory on a shared GPU, fewer
    trials share it. That trial starts again once there is room, and does not repeat its reports.
    """

    def setup(self, config: dict[str, Any], job: Job) -> None:  # type: ignore[override]
        """Load the user's modules and take the first trial."""
        self.job = job
        self.place = contextlib.ExitStack()
        self.stacks = HeadStacks(job, run_facts)
        self.working = threading.Lock()
        self.idle: threading.Timer | None = None
        self.memory = MemoryWatch()
        for module in job.modules:
            module.load()
        gc.collect()
        gc.freeze()  # so collections between trials search only new objects
        self._begin(config)

    def _begin(self, config: dict[str, Any]) -> None:
        self.began = time.perf_counter()
        self.number: int = config["number"]
        self.values: dict[str, Any] = config["values"]
        if "planned" in config and self.stacks.job is self.job:
            self.stacks = HeadStacks(self.job.with_planned(*config["planned"]), run_facts)
        self.reported = 0
        self.facts: dict[str, Any] = {}
        self._leave()

    def _leave(self) -> None:
        """Drop the run and release its place on the GPU."""
        self.trainer: Run | None = None
        self.place.close()

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Drop the last trial and take the next."""
        self._stay()
        self._begin(new_config)
        free_memory()
        return True

    def _stay(self) -> None:
        if self.idle is not None:
            self.idle.cancel()
            self.idle = None

    def _leave_when_idle(self) -> None:
        """Release the place if no epoch is requested in IDLE_SECONDS.

        Tune does not tell a worker that its trial was stopped, and other trials may wait for the
        place.
        """
        self.idle = threading.Timer(IDLE_SECONDS, self._leave_idle)
        self.idle.daemon = True
        self.idle.start()

    def _leave_idle(self) -> None:
        with self.working:
            self._leave()
            free_memory()

    def step(self) -> dict[str, Any]:
        """Train one epoch of the current trial."""
        self._stay()
        with self.working:
            result = self._step()
            if result["done"]:
                self._leave()
        if self.trainer is not None and self.job.trials_per_gpu > 1:
            self._leave_when_idle()
        return pack(result)

    def _step(self) -> dict[str, Any]:
        try:
            metrics = self.memory.during(self._train, begins=self.trainer is None)
        except Exception as error:
            self._leave()
            return self._result(NO_METRICS, failure_status(error), last_line(error))
        assert self.trainer is not None
        reason = self.trainer.stop_reason
        status = STATUS_OF_STOP[reason] if reason else UNFINISHED
        if status == "completed":
            with contextlib.suppress(OSError):  # without a checkpoint, judging trains it again
                self._keep_best(self.trainer)
        return self._result(metrics, status, None)

    def _train(self) -> EpochMetrics:
        while True:
            try:
                return self._next_epoch()
            except torch.OutOfMemoryError:
                if self.places <= 1:  # it does not share the GPU
                    raise
            self._leave()
            free_memory()
            self._gpu().reduce(self.places)

    def _next_epoch(self) -> EpochMetrics:
        if self.trainer is None:
            shared = self.job.trials_per_gpu > 1
            self.places = self.place.enter_context(self._gpu().taken()) if shared else 1
            self.trainer, self.facts = self._begun()
            while self.trainer.epoch < self.reported:
                self.trainer.run_epoch()
        metrics = self.trainer.run_epoch()
        self.reported = metrics.epoch
        return metrics

    def _begun(self) -> tuple[Run, dict[str, Any]]:
        """The trial, ready for its first epoch, and its facts."""
        stacked = self.stacks.run_of(self.number, self.values)
        if stacked is not None:
            return stacked
        trainer = Trainer(self.job.config(self.values))
        run = lone_head(trainer) or trainer
        startup_seconds = time.perf_counter() - self.began
        return run, {**run_facts(trainer), "startup_seconds": startup_seconds}

    def _gpu(self) -> GpuPlaces:
        gpu = os.environ.get("CUDA_VISIBLE_DEVICES") or "0"
        return GpuPlaces(self.job.run_id, gpu, self.job.trials_per_gpu)

    def _keep_best(self, trainer: Run) -> None:
        state = {
            "model": trainer.best_weights,
            "config": trainer.config.to_dict(),
            "epoch": trainer.best_epoch,
            "val_accuracy": trainer.best_val_accuracy,
        }
        save_checkpoint(self.job.checkpoint(self.number), state)

    def _result(self, metrics: EpochMetrics, status: str, error: str | None) -> dict[str, Any]:
        best = self.trainer.best_val_accuracy if self.trainer else -math.inf
        return {
            **dataclasses.asdict(metrics),
            **self.facts,
            "status": status,
            "error": error,
            "best_val_accuracy": best if math.isfinite(best) else math.nan,
            "best_epoch": self.trainer.best_epoch if self.trainer else 0,
            "done": status != UNFINISHED,
        }

    def cleanup(self) -> None:
        """Free the last trial before the process ends."""
        self._stay()
        self._leave()


HEARD = ("epoch", "val_accuracy", "best_val_accuracy", "status", "done")
"""Fields of a result that searchers and schedulers read."""


def pack(result: dict[str, Any]) -> dict[str, Any]:
    """Wrap a result in a list: Tune keeps statistics of every number at the top level."""
    return {**{name: result[name] for name in HEARD}, "report": list(result.items())}


def unpack(result: dict[str, Any]) -> dict[str, Any]:
    """The result that was packed."""
    return dict(result["report"])


def free_memory() -> None:
    """Return the memory of a dropped run to the system."""
    gc.collect()
    give_back_memory()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def run_facts(trainer: Trainer) -> dict[str, Any]:
    """Columns that are known once a run is set up: sizes, device and host."""
    sizes = {name: parameter.numel() for name, parameter in trainer.model.named_parameters()}
    return {
        "params_total": sum(sizes.values()),
        "params_trained": sum(sizes[name] for name in trainer.moving if name in sizes),
        "trained_together": 1,
        "device_name": device_name(trainer.device),
        "host_name": socket.gethostname(),
    }


def failure_status(error: BaseException) -> str:
    """`out_of_memory` for errors of torch and Python when memory is short, else `failed`."""
    short = isinstance(error, torch.OutOfMemoryError | MemoryError)
    return "out_of_memory" if short or "can't allocate memory" in str(error) else "failed"
