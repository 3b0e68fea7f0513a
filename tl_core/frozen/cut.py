"""Cut a model behind its frozen stages: images → activations, and what trains on these.

The model's own `forward` is traced once in training mode and once in evaluation, down to modules
that lie in one stage. The pieces share the model's modules and hold no weights.

Shapes: B images of a batch, C channels, S × S pixels, K classes; activations are (B, …).
"""

import inspect
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, fx, nn
from torch.nn.modules.batchnorm import _BatchNorm

from tl_core.models.stages import stages

KNOWN_MODULES = ("torch.nn.", "timm.", "tl_core.models.", "tl_core.kernels.")
"""Packages whose modules are random only if their name says so."""
_RANDOM_NAMES = ("drop", "rand", "bernoulli", "normal_", "noise", "rrelu")


class NotCuttable(Exception):
    """This model cannot be cut; it can still be trained whole."""


@dataclass(frozen=True, eq=False)
class Cut:
    """A model in two pieces."""

    prefix: fx.GraphModule
    """Images (B, C, S, S) → activations (B, …): frozen stages in eval mode."""
    rest: Callable[[Tensor], Tensor]
    """Activations → logits (B, K), in the mode (`train()`, `eval()`) of the model."""
    trained: fx.GraphModule
    """What `rest` does in training mode."""
    judged: fx.GraphModule
    """What it does in evaluation."""


def cut_model(model: nn.Module) -> Cut:
    """Cut a model before the first thing that trains, is random, or depends on the batch.

    Where more than one activation crosses the boundary, it moves towards the images. The mode that
    the model is in is kept.

    Raises:
        NotCuttable: the forward pass cannot be traced, or the boundary reaches the images.
    """
    training = model.training
    try:
        judged, trained = _trace(model.eval()), _trace(model.train())
        count = _boundary(model, trained, judged)
    finally:
        model.train(training)
    prefix = fx.GraphModule(model, _piece(judged[:count], judged[0], _crossing(judged, count)[0]))
    in_eval, in_training = (
        fx.GraphModule(model, _piece(nodes[count:-1], _crossing(nodes, count)[0], _logits(nodes)))
        for nodes in (judged, trained)
    )
    # `forward` itself, since a call of the module looks for hooks at every step
    forward = [in_eval.forward, in_training.forward]
    return Cut(prefix, lambda taken: forward[model.training](taken), in_training, in_eval)


def deterministic(piece: fx.GraphModule) -> bool:
    """Whether a piece of a model is known to be the same function of its input in every call."""
    return all(
        all(map(_known, piece.get_submodule(str(node.target)).modules()))
        if node.op == "call_module"
        else not _random_name(_name(node))
        for node in piece.graph.nodes
        if node.op.startswith("call_")
    )


@torch.inference_mode()
def agrees(cut: Cut, model: nn.Module, images: Tensor) -> bool:
    """Whether the two pieces together do what the whole model does, in eval mode.

    Activations have to be one tensor with a row for each image.
    """
    training = model.training
    model.eval()
    try:
        activations = cut.prefix(images)
        if not isinstance(activations, Tensor) or activations.shape[:1] != images.shape[:1]:
            return False
        return torch.allclose(model(images), cut.rest(activations), rtol=1e-3, atol=1e-4)
    finally:
        model.train(training)


class _Tracer(fx.Tracer):
    """Traces into a module only where it holds parameters of several stages."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__(autowrap_functions=_untraced())
        self.stages = {
            id(model.get_parameter(name)): stage
            for stage, group in enumerate(stages(model))
            for name in group
        }

    def is_leaf_module(self, module: nn.Module, name: str) -> bool:
        """Whether the module is called as it is."""
        return len({self.stages.get(id(parameter)) for parameter in module.parameters()}) <= 1


def _untraced() -> tuple[Callable[..., object], ...]:
    """Functions that timm's models call and that are not traced into; none where timm is not."""
    if "timm" not in sys.modules:
        return ()
    from timm.models import get_notrace_functions

    return tuple(get_notrace_functions())


def _trace(model: nn.Module) -> list[fx.Node]:
    """What `forward` does in the model's mode, in order: first the images, last the output."""
    parameters = list(inspect.signature(model.forward).parameters.values())[1:]
    constants = {p.name: p.default for p in parameters if p.default is not p.empty}
    try:
        return list(_Tracer(model).trace(model, constants).nodes)
    except Exception as error:  # whatever a forward pass does that cannot be recorded
        raise NotCuttable(str(error)) from error


def _boundary(model: nn.Module, trained: Sequence[fx.Node], judged: Sequence[fx.Node]) -> int:
    """How many of the nodes come before it: the same in training mode as in evaluation."""
    most = 0
    for one, other in zip(trained, judged, strict=False):
        if one.op == "output" or _shape(one) != _shape(other) or not _still(one, model):
            break
        most += 1
    for count in range(most, 0, -1):
        crossing = [node.name for node in _crossing(trained, count)]
        if len(crossing) == 1 and crossing == [node.name for node in _crossing(judged, count)]:
            if crossing[0] == trained[0].name:
                break
            return count
    raise NotCuttable("nothing is computed before the boundary")


def _crossing(nodes: Sequence[fx.Node], count: int) -> list[fx.Node]:
    """Those of the first `count` nodes whose values are used by later ones."""
    inside = set(nodes[:count])
    return [n for n in nodes[:count] if n.op != "get_attr" and not inside.issuperset(n.users)]


def _still(node: fx.Node, model: nn.Module) -> bool:
    """Whether a node makes the same of an image in every call of a model in training mode."""
    if any(_value(model, n).requires_grad for n in node.all_input_nodes if n.op == "get_attr"):
        return False
    if node.op != "call_module":
        return not (node.op.startswith("call_") and _random_name(_name(node)))
    module = model.get_submodule(str(node.target))
    trains = any(parameter.requires_grad for parameter in module.parameters())
    return not trains and all(map(_still_module, module.modules()))


def _still_module(module: nn.Module) -> bool:
    if isinstance(module, _BatchNorm):
        return not module.training and module.running_mean is not None
    return not module.training or _known(module)  # frozen modules stay in eval mode


def _known(module: nn.Module) -> bool:
    """Whether a module, without its parts, is known to be no source of random numbers."""
    random = _random_name(type(module).__name__) and getattr(module, "p", None) != 0
    return type(module).__module__.startswith(KNOWN_MODULES) and not random


def _random_name(name: str) -> bool:
    return any(part in name.lower() for part in _RANDOM_NAMES)


def _name(node: fx.Node) -> str:
    return node.target if isinstance(node.target, str) else getattr(node.target, "__name__", "")


def _value(model: nn.Module, node: fx.Node) -> Tensor:
    owner, _, name = str(node.target).rpartition(".")
    return getattr(model.get_submodule(owner), name)


def _shape(node: fx.Node) -> tuple[str, str, str]:
    return node.op, str(node.target), repr((node.args, node.kwargs))


def _logits(nodes: Sequence[fx.Node]) -> fx.Node:
    logits = nodes[-1].args[0]
    if not isinstance(logits, fx.Node):
        raise NotCuttable("the model returns more than logits")
    return logits


def _piece(nodes: Sequence[fx.Node], start: fx.Node, end: fx.Node) -> fx.Graph:
    """A graph of `nodes` alone, from the value of `start` to that of `end`."""
    piece = fx.Graph()
    values = {start: piece.placeholder("activations")}

    def value(node: fx.Node) -> fx.Node:
        if node not in values:  # a parameter or buffer that is read on the other side
            values[node] = piece.node_copy(node, value)
        return values[node]

    for node in nodes:
        value(node)
    piece.output(values[end])
    return piece
