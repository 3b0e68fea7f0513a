"""Train many heads at once: one batched product a step replaces many small ones.

The weights (…) of M heads become one tensor (M, …). Each run gives the numbers of training alone,
up to rounding, which unstable learning rates magnify.

Shapes: M heads, B images of a batch, N of a split, K classes; activations are (B, …).
"""

import math
import time
from collections.abc import Sequence

import numpy as np
import psutil
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call, vmap

from tl_core.batches.sampling import epoch_order
from tl_core.config import TrainConfig
from tl_core.frozen.features import FeatureBatches
from tl_core.machine.device import autocast
from tl_core.train.epoch import EpochMetrics, stop_reason
from tl_core.train.heads import HeadRun
from tl_core.train.loss import image_weights
from tl_core.train.optim import SCHEDULES, Plateau, optimizer_of_groups, optimizer_spec
from tl_core.train.trainer import Trainer


class HeadStack:
    """The heads of M runs, trained together.

    Args:
        trainer: one of the runs, `stackable` and not begun; not changed.
        configs: of the runs, equal except in MEMBER_FIELDS.
    """

    def __init__(self, trainer: Trainer, configs: Sequence[TrainConfig]) -> None:
        assert isinstance(trainer.batches, FeatureBatches)
        self.trainer = trainer
        self.configs = configs
        self.config = trainer.config
        self.batches = trainer.batches
        self.order = torch.Generator().manual_seed(self.config.seed)
        heads = len(configs)
        self.parameters = {
            name: parameter.detach().expand(heads, *parameter.shape).clone().requires_grad_()
            for name, parameter in self.batches.trained.named_parameters()
        }
        stacks = list(self.parameters.values())
        group = {"params": stacks, "lr": 1.0, "weight_decay": 0.0}  # _optimize applies the rates
        self.optimizer = optimizer_of_groups([group], self.config)
        self.decoupled_decay = optimizer_spec(self.config.optimizer).decoupled_decay
        self.plateaus = [Plateau(config) for config in configs]
        self.peaks = self._column([c.lr * c.head_lr_ratio for c in configs])
        self.decays = self._column([c.weight_decay for c in configs])
        self.epochs: list[list[EpochMetrics]] = [[] for _ in configs]
        self.best: list[tuple[float, int]] = [(-math.inf, 0)] * heads
        self.best_weights: list[dict[str, Tensor]] = [{} for _ in configs]
        self.running = [True] * heads

    def _column(self, values: Sequence[float]) -> Tensor:
        return torch.tensor(values, dtype=torch.float32, device=self.trainer.device)

    def train(self, until: int | None = None) -> list[HeadRun]:
        """Train every run to its end, or to epoch `until`."""
        epoch = 0
        while any(self.running) and epoch != until:
            self.run_epoch(epoch)
            epoch += 1
        return [
            HeadRun(config, epochs, weights)
            for config, epochs, weights in zip(
                self.configs, self.epochs, self.best_weights, strict=True
            )
        ]

    def run_epoch(self, epoch: int) -> None:
        """Train and validate epoch `epoch`, from 0, of every head that still runs."""
        heads = len(self.configs)
        start = time.perf_counter()
        losses, accuracies, images = self._train_epoch(epoch)
        train_seconds = (time.perf_counter() - start) / heads
        start = time.perf_counter()
        val_losses, val_accuracies = self._evaluate()
        memory = psutil.Process().memory_info().rss
        eval_seconds = (time.perf_counter() - start) / heads
        for head, config in enumerate(self.configs):
            if not self.running[head]:
                continue
            finite = math.isfinite(losses[head]) and math.isfinite(val_losses[head])
            factor = self._schedule(epoch + 1 - 1 / self.trainer.steps_per_epoch)
            metrics = EpochMetrics(
                epoch=epoch + 1,
                train_loss=losses[head] if finite else math.nan,
                train_accuracy=accuracies[head] if finite else math.nan,
                val_loss=val_losses[head] if finite else math.nan,
                val_accuracy=val_accuracies[head] if finite else math.nan,
                lr=config.lr * factor * self.plateaus[head].factor,
                train_seconds=train_seconds,
                eval_seconds=eval_seconds,
                images_per_second=images / train_seconds,
                device_memory_bytes=self.trainer.device_memory_bytes(),
                host_memory_bytes=memory,
            )
            self._take(head, metrics)

    def _take(self, head: int, metrics: EpochMetrics) -> None:
        """Record a run's epoch, keep its weights if best, and stop it where it ends."""
        self.epochs[head].append(metrics)
        if metrics.val_accuracy > self.best[head][0]:
            self.best[head] = (metrics.val_accuracy, metrics.epoch)
            self.best_weights[head] = {
                name: stacked[head].detach().clone() for name, stacked in self.parameters.items()
            }
        if not math.isnan(metrics.val_loss):
            self.plateaus[head].update(metrics.val_loss)
        reason = stop_reason(
            self.configs[head], metrics.epoch, self.best[head][1], metrics.val_accuracy
        )
        self.running[head] = reason is None

    def _schedule(self, progress: float) -> float:
        return SCHEDULES[self.config.schedule](progress, self.config)

    def _train_epoch(self, epoch: int) -> tuple[list[float], list[float], int]:
        """Loss and accuracy of each head, and the number of images."""
        self.batches.start_epoch(epoch)
        count = len(self.trainer.data.train)
        size, steps = min(self.config.batch_size, count), self.trainer.steps_per_epoch
        order = epoch_order(self.config, self.trainer.data.train.labels, self.order)
        loss_sum = torch.zeros(len(self.configs), device=self.trainer.device)
        correct = torch.zeros_like(loss_sum)
        plateau = self._column([plateau.factor for plateau in self.plateaus])
        for step in range(steps):
            positions = order[step * size : (step + 1) * size]
            factor = self._schedule(epoch + step / steps)
            losses, hits = self._train_step(positions, self.peaks * plateau * factor)
            loss_sum += losses * size
            correct += hits
        images = steps * size
        return (loss_sum / images).tolist(), (correct / images).tolist(), images

    def _train_step(self, positions: np.ndarray, rates: Tensor) -> tuple[Tensor, Tensor]:
        """One step of every head, at rates (M,); the mean losses (M,) and hits (M,)."""
        activations, labels, targets = self.batches.train(positions, self.order)
        logits = self.logits_of(self.batches.trained, activations, self.trainer.precision)
        losses = self._losses(logits, targets)
        self.optimizer.zero_grad(set_to_none=True)
        losses.sum().backward()
        self._optimize(rates)
        return losses.detach(), (logits.detach().argmax(2) == labels).sum(1)

    def logits_of(self, piece: nn.Module, activations: Tensor, precision: str) -> Tensor:
        """Logits (M, B, K) float32 of activations (B, …)."""

        def head(parameters: dict[str, Tensor]) -> Tensor:
            return functional_call(piece, parameters, (activations,))

        with autocast(self.trainer.device, precision):
            return vmap(head)(self.parameters).float()

    def _losses(self, logits: Tensor, targets: Tensor, *, plain: bool = False) -> Tensor:
        """Mean cross-entropy (M,): the training loss or, if `plain`, the validation loss."""
        heads, images, _ = logits.shape
        class_weights = None if plain else self.trainer.loss.class_weights
        each = F.cross_entropy(
            logits.flatten(0, 1),
            targets.repeat(heads),
            label_smoothing=0.0 if plain else self.config.label_smoothing,
            reduction="none",
        )
        of_heads = each.view(heads, images)
        if class_weights is None:
            return of_heads.mean(1)
        weights = image_weights(targets, class_weights)
        return of_heads @ weights / weights.sum()

    @torch.no_grad()
    def _optimize(self, rates: Tensor) -> None:
        """Step each head at its own rate: p ← p + rate · (step at rate 1).

        One-dimensional weights do not decay, as in `parameter_groups`.
        """
        stacks = list(self.parameters.values())
        gradients = [stack.grad for stack in stacks if stack.grad is not None]
        if self.config.clip_norm is not None:
            squares = torch.stack([g.flatten(1).square().sum(1) for g in gradients]).sum(0)
            shrink = (self.config.clip_norm / (squares.sqrt() + 1e-6)).clamp(max=1.0)
            for gradient in gradients:
                gradient.mul_(_beside(shrink, gradient))
        for stack, gradient in zip(stacks, gradients, strict=True):
            if stack.ndim <= 2:
                continue
            if self.decoupled_decay:
                stack.mul_(1 - _beside(rates * self.decays, stack))
            else:
                gradient.addcmul_(stack, _beside(self.decays, stack))
        before = [stack.clone() for stack in stacks]
        self.optimizer.step()
        for stack, old in zip(stacks, before, strict=True):
            stack.copy_(torch.lerp(old, stack, _beside(rates, stack)))

    @torch.inference_mode()
    def _evaluate(self) -> tuple[list[float], list[float]]:
        """Loss and accuracy of each head on the validation split."""
        split = self.trainer.data.val
        losses = torch.zeros(len(self.configs), device=self.trainer.device)
        correct = torch.zeros_like(losses)
        for activations, labels in self.batches.evaluation(split):
            logits = self.logits_of(self.batches.judged, activations, self.trainer.eval_precision)
            losses += self._losses(logits, labels, plain=True) * len(labels)
            correct += (logits.argmax(2) == labels).sum(1)
        return (losses / len(split)).tolist(), (correct / len(split)).tolist()


def _beside(values: Tensor, stack: Tensor) -> Tensor:
    """(M,) → (M, 1, …), to broadcast over a stack (M, …)."""
    return values.view(-1, *[1] * (stack.ndim - 1))
