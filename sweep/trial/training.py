"""The trials of one trainer process: single ones an epoch at a time, groups of heads together."""

import contextlib
import gc
import socket
import time
from collections.abc import Sequence

import torch

from sweep.faults import last_line
from sweep.trial.group_training import GroupTraining
from sweep.trial.job import Job
from sweep.trial.reports import Order, Outcome, Report, failure, report_of
from tl_core.config import TrainConfig
from tl_core.machine.hardware import device_name, give_back_memory
from tl_core.machine.memory_watch import MemoryWatch
from tl_core.train.checkpoint import save_checkpoint
from tl_core.train.head_group import Member
from tl_core.train.heads import lone_head
from tl_core.train.trainer import Trainer

Lone = Trainer | Member
"""What trains a trial by itself."""


class Training:
    """What a trainer process has of a sweep's trials.

    An error in a trial becomes its last report; the process goes on. The Trainer seeds every
    generator anew, so a trial does not depend on what the process trained before.
    """

    def __init__(self, job: Job) -> None:
        self.job = job
        self.memory = MemoryWatch()
        self.lone: dict[int, tuple[Lone, Report]] = {}
        self.groups = GroupTraining(job, run_facts)
        for module in job.modules:
            module.load()

    def train(self, orders: Sequence[Order], *, grouped: bool) -> Outcome:
        """Train trials as far as ordered: one by itself, or some as a group."""
        if not grouped:
            return self._train_alone(orders[0])
        try:
            begins = not self.groups.has_all(orders)
            outcome = self.memory.during(lambda: self.groups.train(orders), begins=begins)
        except Exception:  # alone, the trial that is at fault will report it
            self.groups.drop([order.number for order in orders])
            outcome = Outcome(alone=[order.number for order in orders])
        for number, run in self.groups.completed(outcome):
            self._keep_best(number, run)
        return outcome

    def _train_alone(self, order: Order) -> Outcome:
        number = order.number
        try:
            begins = number not in self.lone
            report = self.memory.during(lambda: self._epoch(order), begins=begins)
        except Exception as error:
            self.drop([number])
            if order.shared and isinstance(error, torch.OutOfMemoryError):
                return Outcome(short=[number])
            return Outcome({number: [failure(failure_status(error), last_line(error))]})
        if report["status"] == "completed":
            self._keep_best(number, self.lone[number][0])
        if report["done"]:
            self.drop([number])
        return Outcome({number: [report]})

    def _epoch(self, order: Order) -> Report:
        """The next epoch of a trial; what was reported before is trained again where it is new."""
        if order.number not in self.lone:
            self.lone[order.number] = self._begun(self.job.config(order.values))
        run, facts = self.lone[order.number]
        while run.epoch < order.trained:
            run.run_epoch()
        return report_of(run.run_epoch(), run, facts)

    def _begun(self, config: TrainConfig) -> tuple[Lone, Report]:
        began = time.perf_counter()
        trainer = self.groups.unused(config) or Trainer(config)
        run = lone_head(trainer) or trainer
        startup_seconds = time.perf_counter() - began
        return run, {**run_facts(trainer), "startup_seconds": startup_seconds}

    def _keep_best(self, number: int, run: Lone) -> None:
        state = {
            "model": run.best_weights,
            "config": run.config.to_dict(),
            "epoch": run.best_epoch,
            "val_accuracy": run.best_val_accuracy,
        }
        with contextlib.suppress(OSError):  # without a checkpoint, judging trains it again
            save_checkpoint(self.job.checkpoint(number), state)

    def drop(self, numbers: Sequence[int]) -> None:
        """Forget trials and give their memory back."""
        had = [self.lone.pop(number, None) for number in numbers]
        self.groups.drop(numbers)
        if any(run is not None for run in had):
            del had
            free_memory()


def free_memory() -> None:
    """Return the memory of a dropped run to the system."""
    gc.collect()
    give_back_memory()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def run_facts(trainer: Trainer) -> Report:
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
