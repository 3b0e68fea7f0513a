"""Freezing: the first stages of a model keep all parameters and buffers, to the bit."""

from collections.abc import Iterator

from torch import nn

from tl_core.config import TrainConfig
from tl_core.errors import BadInput
from tl_core.models.stages import stages


def freeze(model: nn.Module, depth: int) -> None:
    """Freeze the first `depth` stages, counted from the input, and unfreeze the others.

    Frozen parameters need no gradient. Modules of frozen stages stay in eval mode even after
    `train()`, so normalization statistics keep their values and dropout is off. A module without
    parameters is frozen with its neighbour: the one before it if it has buffers, such as
    statistics, else the one after it, so that dropout before the head belongs to the head.

    Raises:
        BadInput: the model has fewer stages.
    """
    groups = stages(model) if depth else []
    if depth > len(groups):
        raise BadInput(
            f"freeze_depth={depth}: {type(model).__name__} has {len(groups)} stages;"
            f" the largest freeze_depth is {len(groups)}."
        )
    _unfreeze(model)
    names = [name for group in groups[:depth] for name in group]
    frozen = [n for n in names if model.get_parameter(n).requires_grad]
    for name in frozen:
        model.get_parameter(name).requires_grad_(False)
    model.frozen_parameters = frozen  # type: ignore[assignment]
    members = {id(model.get_parameter(name)) for name in names}
    for module in list(_frozen_modules(model, members, before=False, after=False)):
        module.__dict__["train"] = _StayInEval(module)
    model.train(model.training)


def depth_of_epoch(config: TrainConfig, epoch: int) -> int:
    """Number of frozen stages in epoch `epoch`, from 0, under progressive unfreezing.

    Source: gradual unfreezing, Howard & Ruder 2018 "Universal Language Model Fine-tuning".
    """
    unfrozen = epoch // config.unfreeze_epochs if config.unfreeze_epochs else 0
    return max(0, config.freeze_depth - unfrozen)


def moving_tensors(model: nn.Module) -> tuple[str, ...]:
    """Names, as in `state_dict`, of the tensors that training may change: all but the frozen."""
    still = {n for n, parameter in model.named_parameters() if not parameter.requires_grad}
    for path, module in model.named_modules():
        if isinstance(module.__dict__.get("train"), _StayInEval):
            still |= {f"{path}.{n}" if path else n for n, _ in module.named_buffers(recurse=False)}
    return tuple(name for name in model.state_dict() if name not in still)


def moving_in_run(model: nn.Module, config: TrainConfig) -> tuple[str, ...]:
    """Names of the tensors that a run may change in any epoch; the model is as in the first."""
    if config.unfreeze_epochs is None:
        return moving_tensors(model)
    freeze(model, depth_of_epoch(config, config.epochs - 1))
    moving = moving_tensors(model)
    freeze(model, depth_of_epoch(config, 0))
    return moving


class _StayInEval:
    """Replaces `module.train`; an object, so that copies of the model get copies of it."""

    def __init__(self, module: nn.Module) -> None:
        self.module = module

    def __call__(self, mode: bool = True) -> nn.Module:
        return type(self.module).train(self.module, False)


def _frozen_modules(
    module: nn.Module, frozen: set[int], *, before: bool, after: bool
) -> Iterator[nn.Module]:
    """Modules whose parameters are all frozen, and modules without parameters among them.

    `frozen` has the ids of the frozen parameters; `before` and `after` tell whether the parameters
    next to `module` are frozen.
    """
    states = [id(parameter) in frozen for parameter in module.parameters()]
    keeps_buffers = next(module.buffers(), None) is not None
    if all(states) if states else (before if keeps_buffers else after):
        yield from module.modules()
        return
    children = list(module.children())
    edges = [[id(p) in frozen for p in child.parameters()] for child in children]
    for number, child in enumerate(children):
        earlier = next((e[-1] for e in reversed(edges[:number]) if e), before)
        later = next((e[0] for e in edges[number + 1 :] if e), after)
        yield from _frozen_modules(child, frozen, before=earlier, after=later)


def _unfreeze(model: nn.Module) -> None:
    for name in getattr(model, "frozen_parameters", ()):
        model.get_parameter(name).requires_grad_(True)
    for module in model.modules():
        if isinstance(module.__dict__.get("train"), _StayInEval):
            del module.__dict__["train"]
