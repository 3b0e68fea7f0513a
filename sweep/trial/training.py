"""The trials of one trainer process: single ones one after another, groups of heads together."""

import contextlib
import socket
import time
from collections.abc import Sequence
from typing import NamedTuple

import torch

from sweep.trial.group_training import GroupTraining
from sweep.trial.job import Job
from sweep.trial.reports import Order, Outcome, Report, report_of
from sweep.trial.saved_run import save_best
from sweep.trial.states import States
from sweep.trial.time_limit import TimeLimit
from sweep.trial.trial_errors import broken_device, failure_of, failure_status, host_memory_short
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
        self.limit = TimeLimit()
        self.lone: dict[int, Begun] = {}
        self.states = States(job)
        self.groups = GroupTraining(job, run_facts, self.states)
        for module in job.modules:
            module.load()

    def train(self, orders: Sequence[Order], *, grouped: bool) -> Outcome:
        """Train trials as far as ordered: the first by itself, or all as a group."""
        return self._train_group(orders) if grouped else self._train_alone(orders[0])

    def _train_group(self, orders: Sequence[Order]) -> Outcome:
        """Train a group; where the machine's memory is short for it, in halves."""
        begins, left = not self.groups.has_all(orders), orders[0].left
        try:
            return self.memory.during(
                lambda: self.limit.during(lambda: self.groups.train(orders), left), begins=begins
            )
        except BaseException as error:  # alone, the trial that is at fault reports it
            short = failure_status(error) == "out_of_memory"
        self.groups.clear()
        broken = broken_device()
        _free_memory()
        if short and not broken and self.groups.halve(len(orders)):
            return self._train_group(orders)
        return Outcome(alone=[order.number for order in orders], broken=broken)

    def _train_alone(self, order: Order) -> Outcome:
        """Train a trial for an epoch, or for more of those ordered while they take no time."""
        outcome = Outcome({order.number: []})
        ends = time.perf_counter() + SECONDS_AT_ONCE
        while (report := self._watched(order, outcome)) is not None:
            outcome.reports[order.number].append(report)
            last = report["done"] or report["epoch"] == order.until
            if last or time.perf_counter() > ends:
                break
        return outcome

    def _watched(self, order: Order, outcome: Outcome) -> Report | None:
        """The report of the next epoch; None where memory is short that other processes use."""
        number, short = order.number, False
        epoch = order.trained + len(outcome.reports[number]) + 1
        try:
            begins = number not in self.lone
            report = self.memory.during(
                lambda: self.limit.during(lambda: self._report(order, epoch), order.left),
                begins=begins,
            )
        except BaseException as error:  # also `sys.exit` in a user's code
            short = self._note_short(error, order, outcome)
            facts = self.lone[number].facts if number in self.lone else {}
            epochs = self.lone[number].run.epoch if number in self.lone else order.trained
            report = failure_of(error, order, epochs, facts)
        if report["status"] == "completed":
            save_best(self.job, number, self.lone[number].run)
        if report["done"]:  # behind the error, which holds memory
            self.lone.pop(number, None)
            self.states.forget(number)
            if report["error"] is not None:
                outcome.broken = broken_device()
            _free_memory()
        else:
            runs = {number: self.lone[number].run}
            self.states.save_if_due(runs, at_rung=epoch == order.until)
        return None if short else report

    def _note_short(self, error: BaseException, order: Order, outcome: Outcome) -> bool:
        """Whether an error says that memory is short that other processes use; notes of which."""
        on_device = order.shared and isinstance(error, torch.OutOfMemoryError)
        on_machine = order.crowded and host_memory_short(error)
        outcome.short += [order.number] * on_device
        outcome.crowded += [order.number] * (on_machine and not on_device)
        return on_device or on_machine

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


def _free_memory() -> None:
    """As `free_memory`; a GPU that is broken says so at its next use."""
    with contextlib.suppress(RuntimeError):
        free_memory()
