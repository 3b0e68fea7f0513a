"""Train the heads of many runs as one group: a batched product a step in place of many small ones.

A run's numbers do not depend on the others of its group: on a CPU they are the same to the bit
alone, in any place, and beside a run that diverges. `batches_exactly` tries this for each kind of
head.

Shapes: M members, B images of a batch, N of a split, K classes, P elements of a member's weights;
activations are (B, …).
"""

import math
import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import psutil
import torch
from torch import Tensor

from tl_core.batches.batches import Batch
from tl_core.batches.sampling import epoch_order
from tl_core.config import TrainConfig
from tl_core.frozen.features import FeatureBatches
from tl_core.heads.member_weights import LINE, Layout, Weights, aligned, logits_of
from tl_core.machine.device import autocast, peak_memory_bytes
from tl_core.train.epoch import EpochMetrics, stop_reason
from tl_core.train.optim import SCHEDULES, Plateau, optimizer_spec
from tl_core.train.trainer import Trainer

Seen = tuple[int, int]
"""A seed and an epoch: members of both the same see the same batches."""
SCHEDULE_FIELDS = ("schedule", "epochs", "warmup_epochs", "decay_factor", "step_epochs")
"""Fields that decide a schedule's factors."""


class Member:
    """A run in a group."""

    def __init__(self, config: TrainConfig, group: "HeadGroup") -> None:
        self.config = config
        self.group = group
        self.order = torch.Generator().manual_seed(config.seed)
        self.plateau = Plateau(config)
        self.epoch = 0
        self.best_epoch = 0
        self.best_val_accuracy = -math.inf
        self.best_weights: Weights = {}
        self.stop_reason: str | None = None
        self.kept: list[Tensor] = []
        """While it is out of its group: its weights and its optimizer's state, (1, P) each."""

    def run_epoch(self) -> EpochMetrics:
        """Train an epoch of its group, of which it must be the only member."""
        (metrics,) = self.group.run_epoch()
        return metrics

    def rate_factor(self, progress: float) -> float:
        """Factor of the learning rates after `progress` epochs."""
        return SCHEDULES[self.config.schedule](progress, self.config) * self.plateau.factor

    def take(self, metrics: EpochMetrics, weights: Weights) -> None:
        """Record an epoch, keep its weights if best, and decide whether the run stops."""
        self.epoch = metrics.epoch
        if metrics.val_accuracy > self.best_val_accuracy:
            self.best_val_accuracy, self.best_epoch = metrics.val_accuracy, self.epoch
            self.best_weights = {name: tensor.clone() for name, tensor in weights.items()}
        if not math.isnan(metrics.val_loss):
            self.plateau.update(metrics.val_loss)
        self.stop_reason = stop_reason(
            self.config, self.epoch, self.best_epoch, metrics.val_accuracy
        )


class Columns(NamedTuple):
    """What the members have of their own in an epoch; (M, 1), of each step (steps, M, 1)."""

    rates: Tensor
    """The head's learning rate in each step."""
    counts: Tensor
    """Steps of the run at each step, from 1."""
    decays: Tensor
    momenta: Tensor
    smoothing: Tensor


class HeadGroup:
    """The heads of runs that see the same activations; they join and leave between epochs.

    Args:
        trainer: a run that may be in a group (`groupable`); lends its batches, is not changed.
    """

    def __init__(self, trainer: Trainer) -> None:
        assert isinstance(trainer.batches, FeatureBatches)
        self.trainer = trainer
        self.config, self.device = trainer.config, trainer.device
        self.batches = trainer.batches
        rule = optimizer_spec(self.config.optimizer).stacked
        assert rule is not None
        self.rule = rule
        self.layout = Layout(self.batches.trained)
        self.decaying = self.layout.decays().to(self.device)
        self.trained = logits_of(self.batches.trained)
        self.judged = logits_of(self.batches.judged)
        self.members: list[Member] = []
        self.weights = torch.zeros(0, self.layout.size, device=self.device)
        self.state = dict.fromkeys(rule.state, self.weights)
        self.first: dict[int, Tensor] = {}
        """Seed → the weights that its runs begin with, (1, P)."""
        self.add_seed(trainer)

    def add_seed(self, trainer: Trainer) -> None:
        """Learn the head that runs of a trainer's seed begin with.

        Args:
            trainer: not begun; its frozen stages and its configuration are the group's, but for
                MEMBER_FIELDS.
        """
        assert isinstance(trainer.batches, FeatureBatches)
        own = [parameter[None] for parameter in trainer.batches.trained.parameters()]
        self.first[trainer.config.seed] = self.layout.rows(own)

    def join(self, config: TrainConfig) -> Member:
        """Take in a run that has not begun.

        Args:
            config: of the run, equal to the group's except in MEMBER_FIELDS; of a seed that was
                added.
        """
        none = self.weights.new_zeros(1, self.layout.size)
        member = Member(config, self)
        member.kept = [self.first[config.seed], *[none] * len(self.state)]
        self.rejoin(member)
        return member

    def rejoin(self, member: Member) -> None:
        """Take in a run that left, where it was."""
        rows = zip(self._rows(), member.kept, strict=True)
        self._set_rows([torch.cat([others, own]) for others, own in rows])
        self.members.append(member)
        member.kept = []

    def leave(self, member: Member) -> None:
        """Let a run go; it may come back between later epochs."""
        place = self.members.index(member)
        member.kept = self.rows_of(member)
        stay = [other for other in range(len(self.members)) if other != place]
        self._set_rows([rows[stay] for rows in self._rows()])
        del self.members[place]

    def rows_of(self, member: Member) -> list[Tensor]:
        """A member's weights and its optimizer's state, (1, P) each."""
        if member not in self.members:
            return member.kept
        place = self.members.index(member)
        return [rows[place : place + 1].clone() for rows in self._rows()]

    def _rows(self) -> list[Tensor]:
        return [self.weights, *self.state.values()]

    def _set_rows(self, rows: list[Tensor]) -> None:
        self.weights, *states = rows
        self.state = dict(zip(self.state, states, strict=True))

    def run_epoch(self) -> list[EpochMetrics]:
        """Train and validate an epoch of every member: its metrics, in the members' order."""
        self.trainer.prepare_process()
        count = len(self.members)
        start = time.perf_counter()
        losses, accuracies, images = self._train_epoch()
        train_seconds = (time.perf_counter() - start) / count
        start = time.perf_counter()
        val_losses, val_accuracies = self._evaluate()
        memory = psutil.Process().memory_info().rss
        eval_seconds = (time.perf_counter() - start) / count
        last = 1 - 1 / self.trainer.steps_per_epoch
        weights = self.layout.tensors(self.weights)
        found = []
        for place, member in enumerate(self.members):
            sound = math.isfinite(losses[place]) and math.isfinite(val_losses[place])
            metrics = EpochMetrics(
                epoch=member.epoch + 1,
                train_loss=losses[place] if sound else math.nan,
                train_accuracy=accuracies[place] if sound else math.nan,
                val_loss=val_losses[place] if sound else math.nan,
                val_accuracy=val_accuracies[place] if sound else math.nan,
                lr=member.config.lr * member.rate_factor(member.epoch + last),
                train_seconds=train_seconds,
                eval_seconds=eval_seconds,
                images_per_second=images / train_seconds,
                device_memory_bytes=peak_memory_bytes(self.device),
                host_memory_bytes=memory,
            )
            member.take(metrics, {name: tensor[place] for name, tensor in weights.items()})
            found.append(metrics)
        return found

    def try_step(self) -> tuple[Tensor, Tensor]:
        """Train one step of every member and validate: training and validation losses (M,)."""
        losses, _ = self._train_step(*next(self._batches()), self._columns(), 0)
        val_losses, _ = self._evaluate()
        return losses, torch.tensor(val_losses)

    def _train_epoch(self) -> tuple[list[float], list[float], int]:
        """Loss and accuracy of each member, and the number of images that each has seen."""
        loss_sum = torch.zeros(len(self.members), device=self.device)
        correct = torch.zeros_like(loss_sum)
        columns = self._columns()
        images = 0
        for step, (activations, labels) in enumerate(self._batches()):
            losses, hits = self._train_step(activations, labels, columns, step)
            size = labels.shape[1]
            loss_sum += losses * size
            correct += hits
            images += size
        return (loss_sum / images).tolist(), (correct / images).tolist(), images

    def _columns(self) -> Columns:
        """What the members have of their own in this epoch."""
        steps = self.trainer.steps_per_epoch
        configs = [member.config for member in self.members]
        peaks = self._column(
            [m.config.lr * m.config.head_lr_ratio * m.plateau.factor for m in self.members]
        )
        before = self._column([member.epoch * steps for member in self.members])
        return Columns(
            rates=self._factors().to(self.device) * peaks,
            counts=torch.arange(1, steps + 1, device=self.device)[:, None, None] + before,
            decays=self._column([config.weight_decay for config in configs]),
            momenta=self._column([config.momentum or 0.0 for config in configs]),
            smoothing=self._column([config.label_smoothing for config in configs]),
        )

    def _column(self, values: Sequence[float]) -> Tensor:
        return torch.tensor(values, dtype=torch.float32, device=self.device)[:, None]

    def _factors(self) -> Tensor:
        """What the schedule makes of the rates in each step, (steps, M, 1)."""
        steps = self.trainer.steps_per_epoch
        found: dict[tuple[object, ...], list[float]] = {}
        rows = []
        for member in self.members:
            config = member.config
            key = (member.epoch, *(getattr(config, name) for name in SCHEDULE_FIELDS))
            if key not in found:
                schedule = SCHEDULES[config.schedule]
                found[key] = [schedule(member.epoch + s / steps, config) for s in range(steps)]
            rows.append(found[key])
        return torch.tensor(rows, dtype=torch.float32).T[..., None]

    def _batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Activations (M, B, …) and labels (M, B) of each step; members may share memory."""
        train = self.trainer.data.train
        size = min(self.config.batch_size, len(train))
        seen: list[Seen] = [(member.config.seed, member.epoch) for member in self.members]
        epochs: dict[Seen, Iterator[Batch]] = {}
        for own, member in zip(seen, self.members, strict=True):
            order = epoch_order(self.config, train.labels, member.order)
            if own not in epochs:
                self.batches.start_epoch(own[1])
                epochs[own] = self.batches.epoch(order, size, self.trainer.order)
        for _ in range(self.trainer.steps_per_epoch):
            taken = {own: next(batches) for own, batches in epochs.items()}
            if len(taken) == 1:
                activations, labels, _ = taken[seen[0]]
                count = len(seen)
                yield activations.expand(count, *activations.shape), labels.expand(count, -1)
            else:
                yield (
                    aligned([taken[own][0] for own in seen]),
                    torch.stack([taken[own][1] for own in seen]),
                )

    def _train_step(
        self, activations: Tensor, labels: Tensor, columns: Columns, step: int
    ) -> tuple[Tensor, Tensor]:
        """One step of every member; the mean losses (M,) and hits (M,)."""
        views = self.layout.tensors(self.weights)
        weights = {name: view.detach().requires_grad_() for name, view in views.items()}
        with autocast(self.device, self.trainer.precision):
            logits = self.trained(weights, activations).float()
        losses = self._losses(logits, labels, columns.smoothing)
        gradients = torch.autograd.grad(losses.sum(), list(weights.values()))
        self._optimize(self.layout.rows(gradients), columns, step)
        return losses.detach(), (logits.detach().argmax(2) == labels).sum(1)

    @torch.no_grad()
    def _optimize(self, gradients: Tensor, columns: Columns, step: int) -> None:
        """Clip the gradients (M, P), decay the weights, and step, each member at its own rate."""
        if self.config.clip_norm is not None:
            # In two steps: threads share a sum to a single number, and round it otherwise.
            lines = gradients.unflatten(1, (-1, LINE)).square().sum(2)
            norms = lines.sum(1, keepdim=True).sqrt()
            gradients *= (self.config.clip_norm / (norms + 1e-6)).clamp(max=1.0)
        rates, decays = columns.rates[step], columns.decays * self.decaying
        if self.rule.decoupled_decay:
            self.weights *= 1 - rates * decays
        else:
            gradients.addcmul_(decays, self.weights)
        change = self.rule.step(
            self.state, gradients, columns.momenta, columns.counts[step], self.config.nesterov
        )
        self.weights.addcmul_(rates, change, value=-1)

    def _losses(self, logits: Tensor, labels: Tensor, smoothing: Tensor) -> Tensor:
        """Mean training loss (M,), as in `label_loss`; smoothing (M, 1)."""
        likelihoods = logits.log_softmax(2)
        of_labels = -likelihoods.gather(2, labels[..., None]).squeeze(2)
        each = (1 - smoothing) * of_labels - smoothing * likelihoods.mean(2)
        class_weights = self.trainer.loss.class_weights
        if class_weights is None:
            return each.mean(1)
        weights = class_weights[labels]
        return (each * weights).sum(1) / weights.sum(1)

    @torch.inference_mode()
    def _evaluate(self) -> tuple[list[float], list[float]]:
        """Loss and accuracy of each member on the validation split."""
        split, count = self.trainer.data.val, len(self.members)
        weights = self.layout.tensors(self.weights)
        losses = torch.zeros(count, device=self.device)
        correct = torch.zeros_like(losses)
        for activations, labels in self.batches.evaluation(split):
            shown = activations.expand(count, *activations.shape)
            with autocast(self.device, self.trainer.eval_precision):
                logits = self.judged(weights, shown).float()
            own = labels.expand(count, -1)
            losses -= logits.log_softmax(2).gather(2, own[..., None]).sum((1, 2))
            correct += (logits.argmax(2) == own).sum(1)
        return (losses / len(split)).tolist(), (correct / len(split)).tolist()
