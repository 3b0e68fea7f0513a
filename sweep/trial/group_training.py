"""The head groups of one trainer process: trials join, sit out at their rungs, and leave."""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sweep.trial.job import Job
from sweep.trial.reports import Order, Outcome, Report, report_of
from sweep.trial.saved_run import save_best
from sweep.trial.states import States
from sweep.trial.trial_errors import failure_status
from tl_core.config import TrainConfig
from tl_core.datasets import load_data
from tl_core.frozen.features import FeatureBatches
from tl_core.heads.head_group import HeadGroup, Member
from tl_core.heads.heads import groupable, is_short, shared_config
from tl_core.machine.device import reset_peak_memory
from tl_core.machine.hardware import free_memory
from tl_core.train.checkpoint import rng_state
from tl_core.train.trainer import Trainer

MOST_IDLE = 4
"""Groups without trials that are kept: the next trials of their kind need no model of their own.
Own choice."""
Alike = tuple[str, TrainConfig]
"""The key of activations, and the configuration that is shared: equal for runs of one group."""


@dataclass
class Joined:
    """A trial in a group, and the columns known of it."""

    member: Member
    facts: Report


@dataclass(frozen=True)
class SetUp:
    """A run that was set up for a group and can be in none; its own trial may have it.

    Attributes:
        seconds: time that this took.
        generators: `rng_state` with which it begins.
    """

    trainer: Trainer
    seconds: float
    generators: dict[str, Any]


class GroupTraining:
    """Trains trials whose heads see the same activations, in groups.

    Args:
        job: of the sweep.
        facts: returns the columns known once a run is set up.
        states: of the process's trials.
    """

    def __init__(self, job: Job, facts: Callable[[Trainer], Report], states: States) -> None:
        self.job, self.facts, self.states = job, facts, states
        self.joined: dict[int, Joined] = {}
        self.groups: dict[Alike, HeadGroup] = {}
        """In the order of their last use."""
        self.spare: SetUp | None = None
        """The last that was found."""
        self.largest: int | None = None
        """Most members of a group, once memory was short for more."""

    def has_all(self, orders: Sequence[Order]) -> bool:
        """Whether all these trials have begun."""
        return all(order.number in self.joined for order in orders)

    def train(self, orders: Sequence[Order]) -> Outcome:
        """Train trials up to their rungs, in groups of as many as fit into memory.

        Raises:
            OutOfMemoryError, MemoryError: not even one fits.
        """
        outcome, left = Outcome(), list(orders)
        while left:
            part = left[: self.largest]
            found = self._train_if_it_fits(part)
            if found is None:
                self.drop([order.number for order in part])
                free_memory()
                self.largest = len(part) // 2
                continue
            outcome.reports |= found.reports
            outcome.alone += found.alone
            outcome.groupable &= found.groupable
            left = left[len(part) :]
        return outcome

    def _train_if_it_fits(self, orders: Sequence[Order]) -> Outcome | None:
        """None if memory is short; it is free only once this has returned, without the error."""
        try:
            return self._train_together(orders)
        except Exception as error:
            if len(orders) == 1 or failure_status(error) != "out_of_memory":
                raise
        return None

    def _train_together(self, orders: Sequence[Order]) -> Outcome:
        outcome = self._take_in([order for order in orders if order.number not in self.joined])
        under_way = {order.number: order for order in orders if order.number in self.joined}
        at_rung = dict(under_way)
        outcome.reports = {number: self._known(order) for number, order in under_way.items()}
        for number, reports in outcome.reports.items():
            if reports and reports[-1]["epoch"] == under_way[number].until:
                del under_way[number]
        while under_way:
            group = self.joined[min(under_way)].member.group
            self._epoch(group, under_way, outcome.reports)
            self.states.save_if_due(self._runs(under_way), at_rung=False)
        self.states.save_if_due(self._runs(at_rung), at_rung=True)
        return outcome

    def _known(self, order: Order) -> list[Report]:
        """What is to be reported of a trial and trained already: its state brought it."""
        trained = self.joined[order.number].member.epoch
        last = trained if order.until is None else min(trained, order.until)
        epochs = range(order.trained + 1, last + 1)
        known = (self.states.known(order.number, epoch) for epoch in epochs)
        return [report for report in known if report is not None]

    def _runs(self, numbers: Iterable[int]) -> dict[int, Member]:
        """The runs of trials that have not ended."""
        return {n: self.joined[n].member for n in numbers if n in self.joined}

    def _epoch(
        self, group: HeadGroup, under_way: dict[int, Order], reports: dict[int, list[Report]]
    ) -> None:
        """Train an epoch of a group's trials, and let those go that are as far as ordered."""
        numbers = [n for n in sorted(under_way) if self.joined[n].member.group is group]
        self._seat(group, [self.joined[number].member for number in numbers])
        for number, metrics in zip(numbers, group.run_epoch(), strict=True):
            joined, order = self.joined[number], under_way[number]
            together = max(joined.facts["trained_together"], len(numbers))
            joined.facts["trained_together"] = together
            report = report_of(metrics, joined.member, joined.facts)
            self.states.add(number, report)
            if metrics.epoch <= order.trained:
                continue
            reports[number].append(report)
            if report["status"] == "completed":
                save_best(self.job, number, joined.member)
            if report["done"]:
                self.drop([number])
            if report["done"] or metrics.epoch == order.until:
                del under_way[number]

    def _seat(self, group: HeadGroup, members: list[Member]) -> None:
        """Let a group consist of these members, in this order."""
        if group.members == members:
            return
        for member in list(group.members):
            group.leave(member)
        for member in members:
            group.rejoin(member)

    def _take_in(self, orders: Sequence[Order]) -> Outcome:
        """Let trials join their groups; those that can be in none are to train alone.

        Those that join share the seconds that this takes.
        """
        outcome, joined, seconds = Outcome(), [], 0.0
        for order in orders:
            began = time.perf_counter()
            member = None
            try:
                config = self.job.config(order.values)
                if is_short(config, load_data(config)):
                    member = self._member(order.number, config)
                    outcome.groupable &= member is not None
            except Exception as error:  # alone, the trial reports it
                if failure_status(error) == "out_of_memory":
                    raise
            if member is None:
                outcome.alone.append(order.number)
                continue
            together = self.states.together(order.number)
            facts = {**self.facts(member.group.trainer), "trained_together": together}
            joined.append(Joined(member, facts))
            self.joined[order.number] = joined[-1]
            seconds += time.perf_counter() - began
        for trial in joined:
            trial.facts["startup_seconds"] = seconds / len(joined)
        return outcome

    def _member(self, number: int, config: TrainConfig) -> Member | None:
        """A run that is about to join its group; None where such runs can be in none."""
        group = self._group(config)
        if group is None:
            return None
        member = self._new_member(group, config)
        if not self.states.take_up(number, member):
            member = self._new_member(group, config)
        return member

    def _new_member(self, group: HeadGroup, config: TrainConfig) -> Member:
        member = group.join(config)
        group.leave(member)
        return member

    def _group(self, config: TrainConfig) -> HeadGroup | None:
        """The group of such runs, which knows the head that the run begins with."""
        shared = shared_config(config)
        for alike, group in self.groups.items():
            if alike[1] == shared and config.seed in group.first:
                reset_peak_memory(group.trainer.device)
                return self._used(alike)
        if self.spare is not None and shared_config(self.spare.trainer.config) == shared:
            return None
        return self._set_up(config, shared)

    def _set_up(self, config: TrainConfig, shared: TrainConfig) -> HeadGroup | None:
        """As `_group`, by a run that is set up and not begun."""
        self.spare = None
        began = time.perf_counter()
        trainer = Trainer(config)
        generators = rng_state()
        if not groupable(trainer):
            self.spare = SetUp(trainer, time.perf_counter() - began, generators)
            return None
        assert isinstance(trainer.batches, FeatureBatches)
        alike = (trainer.batches.key, shared)
        if alike in self.groups:
            self.groups[alike].add_seed(trainer)
        else:
            self._forget_idle(MOST_IDLE - 1)
            self.groups[alike] = HeadGroup(trainer)
        return self._used(alike)

    def _used(self, alike: Alike) -> HeadGroup:
        self.groups[alike] = self.groups.pop(alike)
        return self.groups[alike]

    def _forget_idle(self, most: int) -> None:
        """Forget the groups without trials that were used longest ago, all but `most`."""
        in_use = {joined.member.group for joined in self.joined.values()}
        idle = [alike for alike, group in self.groups.items() if group not in in_use]
        for alike in idle[: max(0, len(idle) - most)]:
            del self.groups[alike]
        if len(idle) > most:
            free_memory()

    def release(self, config: TrainConfig | None = None) -> SetUp | None:
        """Forget all that no trial is in, for a run that needs the memory.

        Args:
            config: of that run.

        Returns:
            What was set up for it, where it was the last that was found to be in no group.
        """
        spare, self.spare = self.spare, None
        self._forget_idle(0)
        if spare is None or spare.trainer.config == config:
            return spare
        del spare
        free_memory()
        return None

    def clear(self) -> None:
        """Forget all trials and groups; after an error a group may be half changed."""
        for number in self.joined:
            self.states.forget(number)
        self.joined.clear()
        self.groups.clear()
        self.spare = None

    def halve(self, members: int) -> bool:
        """Let groups have half as many members at most; whether there was more than one."""
        most = min(self.largest or members, members)
        self.largest = max(1, most // 2)
        return most > 1

    def drop(self, numbers: Sequence[int]) -> None:
        """Forget trials."""
        for number in numbers:
            joined = self.joined.pop(number, None)
            if joined is None:
                continue
            self.states.forget(number)
            if joined.member in joined.member.group.members:
                joined.member.group.leave(joined.member)
