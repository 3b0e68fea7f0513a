"""Parameter groups, optimizers and learning-rate schedules."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from tl_core.config import TrainConfig
from tl_core.errors import BadInput
from tl_core.models import head_parameters, stages
from tl_core.train.stacked_steps import ADAM, ADAMW, RMSPROP, SGD, StackedSteps
from tl_core.train.without_compiler import without_compiler

ParameterGroups = list[dict[str, Any]]


def parameter_groups(model: nn.Module, config: TrainConfig) -> ParameterGroups:
    """Trainable parameters in groups of one rate: body and head, each with and without decay.

    Biases and normalization parameters (one dimension) get no weight decay, and nor does the body
    where it is pulled towards its source (`l2_sp`). Each group carries `peak_lr`, the rate that a
    schedule factor of 1 means; the head's is `head_lr_ratio` times the body's. With
    `layer_lr_decay` every stage has a group of its own: the last stage has the body's rate, each
    earlier one that of the next times the decay. Frozen parameters are in no group.

    Raises:
        BadInput: nothing is left to train.
    """
    heads = head_parameters(model)
    parts = stages(model) if config.layer_lr_decay < 1 else []  # loads timm
    # parameter of the body → number of stages between it and the head
    above = {name: n for n, group in enumerate(reversed(parts)) for name in group}
    groups: dict[tuple[bool, float, bool], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            head = name in heads
            rate = config.head_lr_ratio if head else config.layer_lr_decay ** above.get(name, 0)
            decays = parameter.ndim > 1 and (head or config.l2_sp == 0)
            groups.setdefault((head, rate, decays), []).append(parameter)
    if not groups:
        raise BadInput("every parameter is frozen; lower freeze_depth to train something.")
    result: ParameterGroups = []
    for (_, rate, decays), parameters in sorted(groups.items(), key=lambda item: item[0]):
        peak = config.lr * rate
        decay = config.weight_decay if decays else 0.0
        result.append({"params": parameters, "lr": peak, "peak_lr": peak, "weight_decay": decay})
    return result


def _sgd(groups: ParameterGroups, config: TrainConfig) -> torch.optim.Optimizer:
    momentum = config.momentum or 0.0
    nesterov = config.nesterov and momentum > 0
    on_gpu = groups[0]["params"][0].is_cuda
    fused = on_gpu or config.precision != "fp16"
    sgd = torch.optim.SGD(groups, config.lr, momentum=momentum, nesterov=nesterov, fused=fused)
    if on_gpu and config.precision == "fp16" and momentum > 0:
        # Where the loss scaler skips the first step, fused SGD keeps an uninitialized buffer.
        for group in sgd.param_groups:
            for parameter in group["params"]:
                sgd.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
    return sgd


def _adam(groups: ParameterGroups, config: TrainConfig) -> torch.optim.Optimizer:
    return torch.optim.Adam(groups, lr=config.lr, fused=True)


def _adamw(groups: ParameterGroups, config: TrainConfig) -> torch.optim.Optimizer:
    return torch.optim.AdamW(groups, lr=config.lr, fused=True)


def _rmsprop(groups: ParameterGroups, config: TrainConfig) -> torch.optim.Optimizer:
    return torch.optim.RMSprop(groups, lr=config.lr, momentum=config.momentum or 0.0)


OptimizerBuilder = Callable[[ParameterGroups, TrainConfig], torch.optim.Optimizer]


@dataclass(frozen=True)
class OptimizerSpec:
    """A row of OPTIMIZERS: how an optimizer is made, and what holds for its steps."""

    build: OptimizerBuilder
    """(parameter groups, config) → the optimizer; torch's classes are called as they are."""
    stacked: StackedSteps | None = None
    """The same steps for the heads of many runs at once (`tl_core.heads.head_group`); None: they
    are trained one by one, as where a step needs norms of whole tensors, in LAMB and LARS."""
    recordable: bool = False
    """Whether a CUDA graph may replay the step: rates may be tensors, and the host decides nothing
    by what is on the GPU. Groups with an entry `capturable` have it on meanwhile."""


OPTIMIZERS: dict[str, OptimizerSpec | OptimizerBuilder] = {
    "sgd": OptimizerSpec(_sgd, SGD, recordable=True),
    "adam": OptimizerSpec(_adam, ADAM, recordable=True),
    "adamw": OptimizerSpec(_adamw, ADAMW, recordable=True),
    "rmsprop": OptimizerSpec(_rmsprop, RMSPROP, recordable=True),
}
"""A plain function is a row too; its heads are trained one by one."""


def optimizer_spec(name: str) -> OptimizerSpec:
    """The row of OPTIMIZERS."""
    row = OPTIMIZERS[name]
    return row if isinstance(row, OptimizerSpec) else OptimizerSpec(row)


def warmup(epoch: float, config: TrainConfig) -> float:
    """Linear rise from 0 to 1 over `warmup_epochs`; 1 afterwards."""
    return min(1.0, epoch / config.warmup_epochs) if config.warmup_epochs > 0 else 1.0


def step(epoch: float, config: TrainConfig) -> float:
    """Times `decay_factor` after every `step_epochs` whole epochs."""
    return warmup(epoch, config) * config.decay_factor ** (math.floor(epoch) // config.step_epochs)


def cosine(epoch: float, config: TrainConfig) -> float:
    """Half a cosine from 1 at the warmup's end to 0 at the last epoch's.

    Source: Loshchilov & Hutter 2017, SGDR, eq. 5 with one period.
    """
    if epoch < config.warmup_epochs:
        return warmup(epoch, config)
    length = max(config.epochs - config.warmup_epochs, 1e-9)
    progress = (epoch - config.warmup_epochs) / length
    return 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))


def onecycle(epoch: float, config: TrainConfig) -> float:
    """Linear rise from 0.1 to 1 over the first quarter of training, then linear fall to 0.

    Source: Smith & Topin 2018, Super-Convergence; the shares are our own choice.
    """
    start, peak, progress = 0.1, 0.25, epoch / config.epochs
    if progress < peak:
        return start + (1 - start) * progress / peak
    return max(0.0, 1 - progress) / (1 - peak)


SCHEDULES: dict[str, Callable[[float, TrainConfig], float]] = {
    "constant": warmup,
    "step": step,
    "cosine": cosine,
    "onecycle": onecycle,
    "plateau": warmup,
}
"""(epochs trained, config) → factor of the peak rate; `Plateau` has one more, with a state."""


class Plateau:
    """Drops the rate by `decay_factor` when val_loss has not fallen for `plateau_patience` epochs.

    Every other schedule leaves `factor` at 1.
    """

    def __init__(self, config: TrainConfig) -> None:
        self.config = config
        self.factor = 1.0
        self.best_loss = math.inf
        self.epochs_without_gain = 0

    def update(self, val_loss: float) -> None:
        """Hear one epoch's validation loss."""
        if self.config.schedule != "plateau":
            return
        if val_loss < self.best_loss:
            self.best_loss, self.epochs_without_gain = val_loss, 0
            return
        self.epochs_without_gain += 1
        if self.epochs_without_gain > self.config.plateau_patience:
            self.factor *= self.config.decay_factor
            self.epochs_without_gain = 0

    def state_dict(self) -> dict[str, float]:
        """Plain values for a checkpoint."""
        return {name: value for name, value in vars(self).items() if name != "config"}

    def load_state_dict(self, state: dict[str, float]) -> None:
        """Take over a saved state."""
        vars(self).update(state)


def build_optimizer(model: nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    """The optimizer that `config.optimizer` names, over the trainable parameters."""
    check_optimization(config)
    return optimizer_of_groups(parameter_groups(model, config), config)


def optimizer_of_groups(groups: ParameterGroups, config: TrainConfig) -> torch.optim.Optimizer:
    """The optimizer that `config.optimizer` names; it loads no compiler."""
    build = optimizer_spec(config.optimizer).build
    return without_compiler(lambda: build(groups, config))


def take_over_state(optimizer: torch.optim.Optimizer, other: torch.optim.Optimizer) -> None:
    """Copy the optimizer state of the parameters that both have from `other`.

    Parameters new to SGD get a momentum of 0, as fused SGD wants all of a group to have one.
    """
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            if parameter in other.state:
                optimizer.state[parameter] = other.state[parameter]
            elif isinstance(optimizer, torch.optim.SGD) and group["momentum"] > 0:
                optimizer.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)


def set_learning_rates(optimizer: torch.optim.Optimizer, factor: float | Tensor) -> None:
    """Every group's rate becomes `factor` times its peak, a tensor where the factor is one."""
    for group in optimizer.param_groups:
        group["lr"] = group["peak_lr"] * factor


def check_optimization(config: TrainConfig) -> None:
    """Raise BadInput where the optimizer or the schedule is in no table."""
    for name, table in (("optimizer", list(OPTIMIZERS)), ("schedule", list(SCHEDULES))):
        value = getattr(config, name)
        if value not in table:
            raise BadInput(f"{name}={value!r}: one of {', '.join(table)}.")
