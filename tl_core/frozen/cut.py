"""Cut a model at its freeze boundary: what is frozen, images → activations, and what trains on.

The model's own `forward` is traced once, down to modules that lie in one stage whole; what such a
module does inside is never traced. The pieces share the model's modules and hold no weights.

Shapes: B images of a batch, C channels, S × S pixels, K classes; activations are (B, …).
"""

import functools
import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, fx, nn
from torch.nn.modules.batchnorm import _BatchNorm

from tl_core.models.stages import stages

IMAGES = -1
"""Label of what comes before the first stage."""
NEVER = math.inf
"""Label of what is random on its own and so never frozen."""
_RANDOM_NAMES = ("drop", "rand", "bernoulli", "normal_", "noise", "rrelu")


@dataclass(frozen=True, eq=False)
class Cut:
    """A model in two pieces at one freeze depth.

    Attributes:
        prefix: images (B, C, S, S) → activations (B, …): the frozen stages in eval mode.
        rest: activations → logits (B, K), in the mode (`train()`, `eval()`) of the model.
        trained: what `rest` does in training mode, as a module.
        judged: what it does in evaluation.
    """

    prefix: fx.GraphModule
    rest: Callable[[Tensor], Tensor]
    trained: fx.GraphModule
    judged: fx.GraphModule


class Cuttable:
    """A model whose forward pass was traced and can be cut at any freeze depth.

    Args:
        model: as it trains; its own modules are used, not copies.

    Raises:
        NotCuttable: the forward pass cannot be traced.
    """

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self.labels = _labels(model)
        training = model.training
        try:
            self.graphs = {mode: _trace(model.train(mode), self.labels) for mode in (True, False)}
        finally:
            model.train(training)

    def cut(self, depth: int) -> Cut:
        """The two pieces at a depth of at least 1.

        Raises:
            NotCuttable: more than one activation crosses the boundary.
        """
        pieces = {mode: self._split(mode, depth) for mode in (True, False)}
        if _shape_of(pieces[True].prefix) != _shape_of(pieces[False].prefix):
            raise NotCuttable("the frozen part differs between training and evaluation")
        _check_norms(self.model, pieces[False].prefix)
        rest = {mode: fx.GraphModule(self.model, piece.rest) for mode, piece in pieces.items()}
        # `forward` itself, since a call of the module looks for hooks at every step
        forward = {mode: module.forward for mode, module in rest.items()}
        return Cut(
            prefix=fx.GraphModule(self.model, pieces[False].prefix),
            rest=lambda activations: forward[self.model.training](activations),
            trained=rest[True],
            judged=rest[False],
        )

    def between(self, shallow: int, deep: int) -> Callable[[Tensor], Tensor]:
        """Activations at depth `shallow` → activations at depth `deep`, both in eval mode.

        Raises:
            NotCuttable: more than one activation crosses a boundary.
        """
        graph = self.graphs[False]
        inner, outer = (_inside(graph, depth) for depth in (shallow, deep))
        start, end = (_crossing(graph, inside) for inside in (inner, outer))
        return fx.GraphModule(self.model, _piece(graph, outer - inner, start, end))

    def _split(self, training: bool, depth: int) -> "_Pieces":
        graph = self.graphs[training]
        inside = _inside(graph, depth)
        boundary = _crossing(graph, inside)
        images = next(iter(graph.labels))
        output = next(node for node in graph.labels if node.op == "output")
        logits = output.args[0]
        if not isinstance(logits, fx.Node):
            raise NotCuttable("the model returns more than logits")
        after = set(graph.labels) - inside - {output}
        return _Pieces(
            prefix=_piece(graph, inside - {images}, images, boundary),
            rest=_piece(graph, after, boundary, logits),
        )


class NotCuttable(Exception):
    """This model cannot be cut there; it can still be trained whole."""


@dataclass(frozen=True, eq=False)
class _Graph:
    """A traced forward pass: each node with the stage that it cannot run before."""

    labels: dict[fx.Node, float]


@dataclass(frozen=True, eq=False)
class _Pieces:
    prefix: fx.Graph
    rest: fx.Graph


class _StageTracer(fx.Tracer):
    """Traces into a module only where it holds parameters of several stages."""

    def __init__(self, labels: dict[int, int]) -> None:
        from timm.models import get_notrace_functions

        super().__init__(autowrap_functions=tuple(get_notrace_functions()))
        self.labels = labels

    def is_leaf_module(self, module: nn.Module, name: str) -> bool:
        """Whether the module is called as it is."""
        return len({self.labels[id(parameter)] for parameter in module.parameters()}) <= 1


def _labels(model: nn.Module) -> dict[int, int]:
    """id of a parameter → its stage, from 0; the head's is the number of stages."""
    groups = stages(model)
    labels = {id(parameter): len(groups) for parameter in model.parameters()}
    for stage, group in enumerate(groups):
        labels |= {id(model.get_parameter(name)): stage for name in group}
    return labels


def _trace(model: nn.Module, labels: dict[int, int]) -> _Graph:
    try:
        graph = _StageTracer(labels).trace(model, _defaults(model))
    except Exception as error:  # whatever a forward pass does that cannot be recorded
        raise NotCuttable(str(error)) from error
    found: dict[fx.Node, float] = {}
    for node in graph.nodes:
        found[node] = _label(node, model, labels, found)
    return _Graph(found)


def _defaults(model: nn.Module) -> dict[str, object]:
    """What `forward` takes beside the images, at its defaults: constants of the trace."""
    parameters = list(inspect.signature(model.forward).parameters.values())[1:]
    return {p.name: p.default for p in parameters if p.default is not p.empty}


def _label(
    node: fx.Node, model: nn.Module, labels: dict[int, int], found: dict[fx.Node, float]
) -> float:
    before = max((found[source] for source in node.all_input_nodes), default=IMAGES)
    if node.op == "get_attr":
        held = functools.reduce(getattr, str(node.target).split("."), model)
        return labels.get(id(held), IMAGES)
    if node.op == "call_module":
        module = model.get_submodule(str(node.target))
        own = {labels[id(parameter)] for parameter in module.parameters()}
        if own:
            return max(before, *own)
        return before if _deterministic(module) else before + 1  # frozen with what comes after it
    if node.op in ("call_function", "call_method") and _random_name(_name(node)):
        return NEVER
    return before


def _name(node: fx.Node) -> str:
    return node.target if isinstance(node.target, str) else getattr(node.target, "__name__", "")


def _random_name(name: str) -> bool:
    return any(part in name.lower() for part in _RANDOM_NAMES)


def _deterministic(module: nn.Module) -> bool:
    """Whether a module without parameters is known to be the same function in every call."""
    return all(
        type(part).__module__.startswith(
            ("torch.nn.", "timm.", "tl_core.models.", "tl_core.kernels.")
        )
        and (not _random_name(type(part).__name__) or getattr(part, "p", None) == 0)
        for part in module.modules()
    )


def deterministic(piece: fx.GraphModule) -> bool:
    """Whether a piece of a model is known to be the same function of its input in every call."""
    return all(
        _deterministic(piece.get_submodule(str(node.target)))
        if node.op == "call_module"
        else not _random_name(_name(node))
        for node in piece.graph.nodes
        if node.op in ("call_module", "call_function", "call_method")
    )


def _inside(graph: _Graph, depth: int) -> set[fx.Node]:
    return {node for node, label in graph.labels.items() if label < depth}


def _crossing(graph: _Graph, inside: set[fx.Node]) -> fx.Node:
    """The one node inside whose value is used outside."""
    crossing = [
        node
        for node in graph.labels
        if node in inside and node.op != "get_attr" and not inside.issuperset(node.users)
    ]
    if len(crossing) != 1:
        raise NotCuttable(f"{len(crossing)} activations cross the boundary")
    if crossing[0].op == "placeholder":
        raise NotCuttable("nothing is computed before the boundary")
    return crossing[0]


def _piece(graph: _Graph, nodes: set[fx.Node], start: fx.Node, end: fx.Node) -> fx.Graph:
    """A graph of `nodes` alone, from the value of `start` to that of `end`."""
    piece = fx.Graph()
    values = {start: piece.placeholder("activations")}
    for node in graph.labels:
        outside_constant = node.op == "get_attr" and any(user in nodes for user in node.users)
        if node in nodes or outside_constant:
            values[node] = piece.node_copy(node, values.__getitem__)
    piece.output(values[end])
    return piece


def _shape_of(graph: fx.Graph) -> list[tuple[str, str, str]]:
    return [(n.op, str(n.target), repr((n.args, n.kwargs))) for n in graph.nodes]


def _check_norms(model: nn.Module, prefix: fx.Graph) -> None:
    """Refuse what depends on the batch though it comes before the boundary."""
    called = [model.get_submodule(str(n.target)) for n in prefix.nodes if n.op == "call_module"]
    training = model.training
    model.train()  # what is frozen stays in eval mode
    try:
        for part in (part for module in called for part in module.modules()):
            if isinstance(part, _BatchNorm) and (part.training or part.running_mean is None):
                raise NotCuttable("a normalization before the boundary depends on the batch")
    finally:
        model.train(training)


@torch.inference_mode()
def agrees(cut: Cut, model: nn.Module, images: Tensor) -> bool:
    """Whether the two pieces together do what the whole model does, in eval mode."""
    training = model.training
    model.eval()
    try:
        whole, pieced = model(images), cut.rest(cut.prefix(images))
    finally:
        model.train(training)
    return torch.allclose(whole, pieced, rtol=1e-3, atol=1e-4)
