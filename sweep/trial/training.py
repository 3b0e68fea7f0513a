"""The trials of one trainer process: single ones one after another, groups of heads together."""

import contextlib
import socket
import time
from collections.abc import Sequence
from typing import NamedTuple

import torch

from sweep.faults import last_line
from sweep.trial.group_training import GroupTraining
from sweep.trial.job import Job
from sweep.trial.reports import Order, Outcome, Report, failure, report_of
from sweep.trial.saved_run import save_best
from sweep.trial.states import States
from tl_core.config import TrainConfig
from tl_core.heads.head_group import Member
from tl_core.heads.heads import lone_head
from tl_core.machine.hardware import device_name, free_memory
from tl_core.machine.memory_watch import MemoryWatch
from tl_core.train.checkpoint import set_rng_state
from tl_core.train.trainer import Trainer

SECONDS_AT_ONCE = 0.2
"""A trial by itself reports its epochs so often, or each of them where they take longer."""


class Begun(NamedTuple):
    """A trial that trains by itself, and the columns known of it."""

    run: Trainer | Member
    facts: Report


class Training:
    """What a trainer process has of a sweep's trials.

    An error in a trial becomes its last report; the process goes on. The Trainer seeds every
    generator anew, so a trial does not depend on what the process trained before.
    """

    def __init__(self, job: Job) -> None:
        self.job = job
        self.memory = MemoryWatch()
        self.lone: dict[int, Begun] = {}
        self.states = States(job)
        self.groups = GroupTraining(job, run_facts, self.states)
        for module in job.modules:
            module.load()

    def train(self, orders: Sequence[Order], *, grouped: bool) -> Outcome:
        """Train trials as far as ordered: the first by itself, or all as a group."""
        return self._train_group(orders) if grouped else self._train_alone(orders[0])

    def _train_group(self, orders: Sequence[Order]) -> Outcome:
        begins = not self.groups.has_all(orders)
        with contextlib.suppress(Exception):  # alone, the trial that is at fault reports it
            return self.memory.during(lambda: self.groups.train(orders), begins=begins)
        self.groups.clear()
        free_memory()
        return Outcome(alone=[order.number for order in orders])

    def _train_alone(self, order: Order) -> Outcome:
        """Train a trial for an epoch, or for more of those ordered while they take no time."""
        reports: list[Report] = []
        ends = time.perf_counter() + SECONDS_AT_ONCE
        while (report := self._watched(order, order.trained + len(reports) + 1)) is not None:
            reports.append(report)
            last = report["done"] or report["epoch"] == order.until
            if last or time.perf_counter() > ends:
                return Outcome({order.number: reports})
        return Outcome({order.number: reports}, short=[order.number])

    def _watched(self, order: Order, epoch: int) -> Report | None:
        """The report of an epoch; None where a shared device has too little memory."""
        number, short = order.number, False
        try:
            begins = number not in self.lone
            report = self.memory.during(lambda: self._report(order, epoch), begins=begins)
        except Exception as error:
            short = order.shared and isinstance(error, torch.OutOfMemoryError)
            facts = self.lone[number].facts if number in self.lone else {}
            report = failure(failure_status(error), last_line(error), facts)
        if report["status"] == "completed":
            save_best(self.job, number, self.lone[number].run)
        if report["done"]:  # behind the error, which holds memory
            self.lone.pop(number, None)
            self.states.forget(number)
            free_memory()
        else:
            runs = {number: self.lone[number].run}
            self.states.save_if_due(runs, at_rung=epoch == order.until)
        return None if short else report

    def _report(self, order: Order, epoch: int) -> Report:
        """The report of an epoch of a trial; what is not trained yet, is trained now."""
        number = order.number
        if number not in self.lone:
            self.lone[number] = self._begun(number, self.job.config(order.values))
        run, facts = self.lone[number]
        while (report := self.states.known(number, epoch)) is None:
            self.states.add(number, report_of(run.run_epoch(), run, facts))
            if run.epoch < epoch:
                self.states.save_if_due({number: run}, at_rung=False)
        return report

    def _begun(self, number: int, config: TrainConfig) -> Begun:
        """A trial's run, where its state was, if it has one."""
        run, facts = self._set_up(config)
        if not self.states.take_up(number, run):
            del run
            run, facts = self._set_up(config)
        return Begun(run, {**facts, "trained_together": self.states.together(number)})

    def _set_up(self, config: TrainConfig) -> Begun:
        began = time.perf_counter()
        found = self.groups.release(config)
        trainer = found.trainer if found else Trainer(config)
        if found:
            set_rng_state(found.generators)
        run = lone_head(trainer) or trainer
        seconds = time.perf_counter() - began + (found.seconds if found else 0.0)
        return Begun(run, {**run_facts(trainer), "startup_seconds": seconds})

    def drop(self, numbers: Sequence[int]) -> None:
        """Forget trials and give their memory back."""
        self.groups.drop(numbers)
        lone = [number for number in numbers if number in self.lone]
        for number in lone:
            del self.lone[number]
            self.states.forget(number)
        if lone:
            free_memory()

    def make_room(self) -> None:
        """Give back the memory that no trial needs."""
        self.groups.release()


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
