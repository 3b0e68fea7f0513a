"""The head groups of one trainer process: trials join, sit out at their rungs, and leave."""

import dataclasses
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch

from sweep.trial.job import Job
from sweep.trial.reports import Order, Outcome, Report, report_of
from tl_core.config import TrainConfig
from tl_core.frozen.features import FeatureBatches
from tl_core.train.head_group import HeadGroup, Member
from tl_core.train.heads import groupable, is_short, shared_config
from tl_core.train.trainer import Trainer

MOST_LENDERS = 4
"""Runs that are kept for their batches and the head that a seed begins with, one a seed."""


@dataclass
class Joined:
    """A trial in a group, and the columns known of it."""

    member: Member
    facts: Report


@dataclass
class Lender:
    """A run, set up and not begun, that lends a group its batches and members their first head."""

    trainer: Trainer
    can: bool
    """Whether such runs can train as a group."""
    key: str
    """Of its activations."""


class GroupTraining:
    """Trains trials whose heads see the same activations, in groups.

    Args:
        job: of the sweep.
        facts: returns the columns known once a run is set up.
    """

    def __init__(self, job: Job, facts: Callable[[Trainer], Report]) -> None:
        self.job, self.facts = job, facts
        self.joined: dict[int, Joined] = {}
        self.lenders: dict[TrainConfig, Lender] = {}
        self.groups: dict[tuple[str, TrainConfig], HeadGroup] = {}
        self.largest: int | None = None
        """Most members of a group, once memory was short for more."""

    def has_all(self, orders: Sequence[Order]) -> bool:
        """Whether all these trials have begun."""
        return all(order.number in self.joined for order in orders)

    def train(self, orders: Sequence[Order]) -> Outcome:
        """Train trials up to their rungs, in groups of as many as fit into memory.

        Raises:
            OutOfMemoryError: not even one fits.
        """
        outcome = Outcome()
        left = list(orders)
        while left:
            size = self.largest or len(left)
            try:
                part = self._train_some(left[:size])
            except torch.OutOfMemoryError:
                if size == 1:
                    raise
                self.drop([order.number for order in left[:size]])
                self.largest = max(1, min(size, len(left)) // 2)
                continue
            outcome.reports |= part.reports
            outcome.alone += part.alone
            outcome.groupable &= part.groupable
            left = left[size:]
        return outcome

    def _train_some(self, orders: Sequence[Order]) -> Outcome:
        alone = [order.number for order in orders if not self._join(order, len(orders))]
        if len(alone) == len(orders):
            return Outcome(alone=alone, groupable=False)
        reports: dict[int, list[Report]] = {o.number: [] for o in orders if o.number not in alone}
        under_way = {order.number: order for order in orders if order.number in reports}
        while under_way:
            group = self.joined[min(under_way)].member.group
            self._epoch(group, under_way, reports)
        return Outcome(reports, alone)

    def _epoch(
        self, group: HeadGroup, under_way: dict[int, Order], reports: dict[int, list[Report]]
    ) -> None:
        """Train an epoch of a group's trials, and let those go that are as far as ordered."""
        numbers = [n for n in sorted(under_way) if self.joined[n].member.group is group]
        self._seat(group, [self.joined[number].member for number in numbers])
        for number, metrics in zip(numbers, group.run_epoch(), strict=True):
            member, order = self.joined[number].member, under_way[number]
            if metrics.epoch > order.trained:
                reports[number].append(report_of(metrics, member, self.joined[number].facts))
            if member.stop_reason or metrics.epoch == order.until:
                del under_way[number]

    def _seat(self, group: HeadGroup, members: list[Member]) -> None:
        """Let a group consist of these members, in this order."""
        if group.members == members:
            return
        for member in list(group.members):
            group.leave(member)
        for member in members:
            group.rejoin(member)

    def _join(self, order: Order, together: int) -> bool:
        """Take a trial in; False where it must train alone."""
        if order.number in self.joined:
            return True
        began = time.perf_counter()
        config = self.job.config(order.values)
        lender = self._lender(config)
        if not lender.can or not is_short(lender.trainer, config):
            return False
        group = self._group(lender)
        member = group.join(config, lender.trainer)
        group.leave(member)
        facts = {**self.facts(lender.trainer), "trained_together": together}
        facts["startup_seconds"] = time.perf_counter() - began
        self.joined[order.number] = Joined(member, facts)
        return True

    def _group(self, lender: Lender) -> HeadGroup:
        """The group of the runs that see the same activations."""
        key = (lender.key, shared_config(lender.trainer.config))
        if key not in self.groups:
            in_use = {id(joined.member.group) for joined in self.joined.values()}
            self.groups = {k: group for k, group in self.groups.items() if id(group) in in_use}
            self.groups[key] = HeadGroup(lender.trainer)
        return self.groups[key]

    def unused(self, config: TrainConfig) -> Trainer | None:
        """A run of this configuration that was set up for a group and can be in none."""
        found = self.lenders.get(_lent(config))
        if found is None or found.can or found.trainer.config != config:
            return None
        return self.lenders.pop(_lent(config)).trainer

    def _lender(self, config: TrainConfig) -> Lender:
        key = _lent(config)
        if key not in self.lenders:
            while len(self.lenders) >= MOST_LENDERS:
                del self.lenders[next(iter(self.lenders))]
            trainer = Trainer(config)
            batches, can = trainer.batches, groupable(trainer)
            activations = batches.key if can and isinstance(batches, FeatureBatches) else ""
            self.lenders[key] = Lender(trainer, can, activations)
        return self.lenders[key]

    def completed(self, outcome: Outcome) -> Iterator[tuple[int, Member]]:
        """The trials that completed; they are dropped, with those that ended otherwise."""
        done = [number for number, found in outcome.reports.items() if found and found[-1]["done"]]
        for number in done:
            if outcome.reports[number][-1]["status"] == "completed":
                yield number, self.joined[number].member
        self.drop(done)

    def drop(self, numbers: Sequence[int]) -> None:
        """Forget trials."""
        for number in numbers:
            joined = self.joined.pop(number, None)
            if joined is not None and joined.member in joined.member.group.members:
                joined.member.group.leave(joined.member)


def _lent(config: TrainConfig) -> TrainConfig:
    """What runs have in common that begin with the same head and see the same activations."""
    return dataclasses.replace(shared_config(config), seed=config.seed)
