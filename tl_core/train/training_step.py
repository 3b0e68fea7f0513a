"""A training step: forward, loss, backward, clipping, update; and the sums of an epoch."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from tl_core.batches.batches import Batch
from tl_core.config import TrainConfig
from tl_core.machine.device import autocast
from tl_core.train.loss import Loss
from tl_core.train.optim import set_learning_rates
from tl_core.train.source_pull import SourcePull

Network = Callable[[Tensor], Tensor]


class TrainingStep:
    """A step of one run: it trains the parameters of `optimizer`, which `network` has.

    Attributes:
        loss_sum: sum over images of the losses since `start_epoch`, a scalar on the device.
        correct: how many of these images were classified correctly, likewise.
    """

    def __init__(
        self,
        config: TrainConfig,
        network: Network,
        loss: Loss,
        optimizer: torch.optim.Optimizer,
        source: SourcePull,
        scaler: torch.amp.GradScaler,
        *,
        precision: str,
        device: torch.device,
    ) -> None:
        self.config, self.network, self.loss = config, network, loss
        self.optimizer, self.source, self.scaler = optimizer, source, scaler
        self.precision, self.device = precision, device
        self.loss_sum = torch.zeros((), device=device)
        self.correct = torch.zeros((), device=device)

    def start_epoch(self) -> None:
        """Begin the sums anew."""
        self.loss_sum.zero_()
        self.correct.zero_()

    def __call__(self, batch: Batch, rate_factor: float | Tensor) -> tuple[Tensor, Tensor]:
        """Train on a batch; its mean loss and the number of hits. Rates are the peaks × factor.

        The host does not wait for a GPU, except in fp16 with an optimizer that is not fused.
        """
        set_learning_rates(self.optimizer, rate_factor)
        images, labels, targets = batch
        with autocast(self.device, self.precision):
            logits = self.network(images).float()
        loss = self.loss(images, logits, targets)
        self._optimize(loss)
        mean, hits = loss.detach(), (logits.detach().argmax(1) == labels).sum()
        self.loss_sum += mean * len(labels)
        self.correct += hits
        return mean, hits

    def _optimize(self, loss: Tensor) -> None:
        self.optimizer.zero_grad(set_to_none=True)
        self.scaler.scale(loss).backward()
        clip_norm = self.config.clip_norm
        if self.source or clip_norm is not None:
            self.scaler.unscale_(self.optimizer)
        self.source.add_gradients()
        if clip_norm is not None:
            trained = [p for group in self.optimizer.param_groups for p in group["params"]]
            nn.utils.clip_grad_norm_(trained, clip_norm)
        self.scaler.step(self.optimizer)
        self.scaler.update()
