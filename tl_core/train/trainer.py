"""One run, from top to bottom: set up → epochs → training steps → evaluation → what is kept.

Shape legend: B images of a batch, C channels, H × W pixels, K classes.
"""

import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tl_core.batches.batches import Batch, Batches
from tl_core.batches.sampling import epoch_order, steps_per_epoch
from tl_core.config import TrainConfig
from tl_core.datasets import ImageData, Split, load_data
from tl_core.errors import BadInput
from tl_core.frozen.features import FeatureBatches, feature_batches
from tl_core.machine.device import (
    autocast,
    peak_memory_bytes,
    reset_peak_memory,
    resolve_device,
    set_arithmetic,
)
from tl_core.machine.hardware import give_back_memory, keep_freed_memory
from tl_core.models import build_model, model_channels
from tl_core.models.freezing import depth_of_epoch, freeze, moving_in_run
from tl_core.train.checkpoint import (
    load_checkpoint,
    refuse_other_run,
    rng_state,
    save_checkpoint,
    seed_everything,
    set_rng_state,
)
from tl_core.train.epoch import EpochMetrics, stop_reason
from tl_core.train.loss import Loss
from tl_core.train.loss_watch import LossWatch
from tl_core.train.optim import (
    SCHEDULES,
    Plateau,
    build_optimizer,
    take_over_state,
)
from tl_core.train.precision import resolve_precision
from tl_core.train.source_pull import SourcePull
from tl_core.train.step_graph import StepGraph, recorded
from tl_core.train.training_step import TrainingStep

DEFAULT_THREADS = torch.get_num_threads()
_PLAIN_STATE = (
    "precision", "eval_precision", "epoch", "best_epoch", "best_val_accuracy", "stop_reason",
)  # fmt: skip


def fit(
    config: TrainConfig, data: ImageData | None = None, *, checkpoint: Path | None = None
) -> Iterator[EpochMetrics]:
    """Train `config` and yield an `EpochMetrics` after every epoch.

    Args:
        config: the run.
        data: its data set; None: load it.
        checkpoint: file that holds the run after every epoch; if it exists the run goes on from
            it, and epochs done before are not yielded again.

    Raises:
        BadInput: the configuration, the data or the checkpoint cannot be used.
    """
    trainer = Trainer(config, data)
    if checkpoint is not None and checkpoint.exists():
        trainer.load_state_dict(load_checkpoint(checkpoint))
    while trainer.stop_reason is None:
        metrics = trainer.run_epoch()
        if checkpoint is not None:
            save_checkpoint(checkpoint, trainer.state_dict())
        yield metrics


class Trainer:
    """One run of one configuration, an epoch at a time; data and errors as in `fit`.

    `graphs` says whether a GPU's steps may be recorded in a CUDA graph, which changes rounding.
    """

    def __init__(
        self, config: TrainConfig, data: ImageData | None = None, *, graphs: bool = True
    ) -> None:
        self.config = config
        self.graphs = graphs
        self.device = resolve_device(config.device)
        self.prepare_process()
        keep_freed_memory()
        give_back_memory()  # that the previous run freed
        self.data = data if data is not None else load_data(config)
        resolved = resolve_precision(config, self.data)
        self.precision, self.eval_precision = resolved.precision, resolved.eval_precision
        seed_everything(config.seed)
        self.order = torch.Generator().manual_seed(config.seed)
        self.augmentation = torch.Generator().manual_seed(config.seed + 1)
        self.model = self._build_model()
        self.moving = moving_in_run(self.model, config)
        self.optimizer = build_optimizer(self.model, config)
        self.source = SourcePull(self.model, config.l2_sp, self.moving)
        self.plateau = Plateau(config)
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=self.precision == "fp16")
        self.images = Batches(config, self.data, self.device)
        self.loss = Loss(config, self.images, self.eval_precision)
        self.step: TrainingStep | StepGraph
        self.rate_factor = 1.0
        self.epoch = 0
        self.best_epoch = 0
        self.best_val_accuracy = -math.inf
        self.best_weights: dict[str, Tensor] = {}
        self.stop_reason: str | None = None
        self._choose_input(depth_of_epoch(config, 0))
        reset_peak_memory(self.device)

    def prepare_process(self) -> None:
        """Let the process compute with this run's threads and arithmetic, which decide rounding.

        Another run of the process may have others.
        """
        torch.set_num_threads(self.config.threads or DEFAULT_THREADS)
        set_arithmetic(self.device, self.config.deterministic)

    def _build_model(self) -> nn.Module:
        model = build_model(
            self.config,
            channels=model_channels(self.config, self.data.channels),
            num_classes=self.data.num_classes,
            image_size=self.data.image_size,
            classes=self.data.classes,
        )
        layout = torch.channels_last if self.config.channels_last else torch.contiguous_format
        return model.to(self.device, memory_format=layout)  # type: ignore[call-overload]

    def _choose_input(self, depth: int) -> None:
        """Train on the output of the first `depth` stages, which are frozen, where that pays."""
        features = feature_batches(self.model, self.images, self.eval_precision, depth)
        self.batches: Batches | FeatureBatches = features or self.images
        self.network: Callable[[Tensor], Tensor] = features.rest if features else self.model
        self.depth = depth
        self._make_step()

    def _make_step(self) -> None:
        """Make the step anew, for other weights to train or another state of the optimizer."""
        step = TrainingStep(
            self.config, self.network, self.loss, self.optimizer, self.source, self.scaler,
            precision=self.precision, device=self.device,
        )  # fmt: skip
        self.step = recorded(step, self.model) if self.graphs else step

    def run_epoch(self) -> EpochMetrics:
        """Train one epoch, evaluate on the validation split, and decide whether to go on."""
        self.prepare_process()
        start = time.perf_counter()
        train_loss, train_accuracy, images = self._train_epoch()
        train_seconds = time.perf_counter() - start
        start = time.perf_counter()
        val_loss = val_accuracy = math.nan
        if math.isfinite(train_loss):
            val_loss, val_accuracy = self.evaluate(self.data.val)
        if not math.isfinite(val_loss):  # the last step may have broken the weights
            train_loss = val_loss = val_accuracy = math.nan
        self.epoch += 1
        self._record(val_loss, val_accuracy)
        return EpochMetrics(
            epoch=self.epoch,
            train_loss=train_loss,
            train_accuracy=train_accuracy,
            val_loss=val_loss,
            val_accuracy=val_accuracy,
            lr=self.config.lr * self.rate_factor,
            train_seconds=train_seconds,
            eval_seconds=time.perf_counter() - start,
            images_per_second=images / train_seconds,
            device_memory_bytes=peak_memory_bytes(self.device),
            host_memory_bytes=psutil.Process().memory_info().rss,
        )

    def _train_epoch(self) -> tuple[float, float, int]:
        self.unfreeze(self.epoch)
        self.model.train()
        self.batches.start_epoch(self.epoch)
        self.step.start_epoch()
        watch = LossWatch()
        images = 0
        for step, batch in enumerate(self.epoch_batches()):
            progress = self.epoch + step / self.steps_per_epoch
            self.train_step(batch, progress)
            images += len(batch.labels)
            if watch.diverged(step, self.step.loss_sum):
                break
        loss = self.step.loss_sum.item() / images
        correct = self.step.correct.item()
        return loss, correct / images if math.isfinite(loss) else math.nan, images

    def epoch_batches(self) -> Iterator[Batch]:
        """The training batches of an epoch, in an order that is drawn now."""
        train = self.data.train
        order = epoch_order(self.config, train.labels, self.order)
        size = min(self.config.batch_size, len(train))
        return self.batches.epoch(order, size, self.augmentation)

    @property
    def steps_per_epoch(self) -> int:
        """Optimizer steps of an epoch."""
        return steps_per_epoch(self.config, len(self.data.train))

    def unfreeze(self, epoch: int) -> None:
        """Let further stages train if `epoch` is theirs; the others keep their optimizer state."""
        depth = depth_of_epoch(self.config, epoch)
        if depth == self.depth:
            return
        freeze(self.model, depth)
        before, self.optimizer = self.optimizer, build_optimizer(self.model, self.config)
        take_over_state(self.optimizer, before)
        self._choose_input(depth)

    def train_step(self, batch: Batch, progress: float) -> tuple[Tensor, Tensor]:
        """One optimizer step after `progress` epochs; the mean loss and the number of hits.

        Both are on the device and valid until the next step.
        """
        scheduled = SCHEDULES[self.config.schedule](progress, self.config)
        self.rate_factor = scheduled * self.plateau.factor
        return self.step(batch, self.rate_factor)

    def evaluate(self, split: Split) -> tuple[float, float]:
        """Mean cross-entropy, without smoothing or weights, and accuracy of a whole split."""
        logits, labels = self.predict(split)
        loss = F.cross_entropy(logits, labels).item()
        return loss, (logits.argmax(1) == labels).float().mean().item()

    def predict(self, split: Split) -> tuple[Tensor, Tensor]:
        """Logits (N, K) float32 and labels (N,) int64 of a whole split, on the device."""
        self.model.eval()
        logits, labels = [], []
        with torch.inference_mode():
            for images, batch_labels in self.batches.evaluation(split):
                with autocast(self.device, self.eval_precision):
                    logits.append(self.network(images).float())
                labels.append(batch_labels)
        return torch.cat(logits), torch.cat(labels)

    def _record(self, val_loss: float, val_accuracy: float) -> None:
        """Keep the best weights, tell the plateau schedule, and decide whether the run stops."""
        if val_accuracy > self.best_val_accuracy:
            self.best_val_accuracy, self.best_epoch = val_accuracy, self.epoch
            state = self.model.state_dict()
            self.best_weights = {name: state[name].detach().clone() for name in self.moving}
        if not math.isnan(val_loss):
            self.plateau.update(val_loss)
        self.stop_reason = stop_reason(self.config, self.epoch, self.best_epoch, val_accuracy)

    def restore_best(self) -> None:
        """Put the weights of the best epoch into the model; BadInput if no loss was finite."""
        if not self.best_weights:
            raise BadInput("no epoch ended with a finite loss, so there are no best weights.")
        self.model.load_state_dict({**self.model.state_dict(), **self.best_weights})

    def state_dict(self) -> dict[str, Any]:
        """Everything that decides the rest of the run, as tensors and plain values."""
        return {
            "config": self.config.to_dict(),
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "plateau": self.plateau.state_dict(),
            "scaler": self.scaler.state_dict(),
            "rng": rng_state(),
            "order": self.order.get_state(),
            "augmentation": self.augmentation.get_state(),
            "best_weights": self.best_weights,
            **{name: getattr(self, name) for name in _PLAIN_STATE},
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where `state_dict` was taken; on a CPU the numbers are the same to the bit.

        Raises:
            BadInput: the state is of another configuration.
        """
        refuse_other_run(state["config"], self.config)
        self.model.load_state_dict(state["model"])
        self.unfreeze(max(0, state["epoch"] - 1))  # as it was when the state was taken
        self.optimizer.load_state_dict(state["optimizer"])
        self._make_step()
        self.plateau.load_state_dict(state["plateau"])
        self.scaler.load_state_dict(state["scaler"])
        self.order.set_state(state["order"])
        self.augmentation.set_state(state["augmentation"])
        self.best_weights = {k: v.to(self.device) for k, v in state["best_weights"].items()}
        for name in _PLAIN_STATE:
            setattr(self, name, state[name])
        set_rng_state(state["rng"])
