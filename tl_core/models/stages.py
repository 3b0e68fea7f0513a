"""Stages: a model's parameters in ordered groups from the input, without the head.

Models with timm's `group_matcher(coarse)` and `get_classifier()` are grouped by them, others by
their top-level children, the last of which is the head.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from torch import nn

REGISTERS = "reg_token"
"""A parameter of the stem that timm before 1.0.28 groups after the last stage."""


def stages(model: nn.Module) -> list[list[str]]:
    """Names of the parameters of each stage, from the input; the stem is in the first.

    Every parameter is in exactly one stage, except the head's, which are in none.
    """
    head = head_parameters(model)
    groups = ([name for name in group if name not in head] for group in _groups(model))
    return [group for group in groups if group]


def head_parameters(model: nn.Module) -> frozenset[str]:
    """Names of the classifier's parameters."""
    members = {id(p) for module in classifiers(model) for p in module.parameters()}
    return frozenset(n for n, parameter in model.named_parameters() if id(parameter) in members)


def _groups(model: nn.Module) -> Iterator[list[str]]:
    matcher = getattr(model, "group_matcher", None)
    try:
        coarse = matcher(coarse=True) if callable(matcher) else None
    except (AssertionError, NotImplementedError):  # timm's rdnet has fine groups only
        coarse = None
    if coarse is None:
        yield from _children_groups(model)
    else:
        ordered = _matched_groups(model, coarse)
        for group in ordered[1:]:
            if REGISTERS in group:
                group.remove(REGISTERS)
                ordered[0].append(REGISTERS)
        yield from ordered


def _matched_groups(model: nn.Module, matcher: Any) -> list[list[str]]:
    """Names of parameters by timm's rules, without loading timm for a matcher of the simple kind.

    That is one expression a group: in the order of these, then of the numbers that they find.
    """
    if not isinstance(matcher, Mapping) or not all(isinstance(e, str) for e in matcher.values()):
        from timm.models import group_parameters

        groups = group_parameters(model, matcher)
        return [groups[number] for number in sorted(groups)]
    expressions = [re.compile(expression) for expression in matcher.values()]
    found: dict[tuple[float, ...], list[str]] = defaultdict(list)
    for name, _ in model.named_parameters():
        found[_place(name, expressions)].append(name)
    return [found[place] for place in sorted(found)]


def _place(name: str, expressions: list[re.Pattern[str]]) -> tuple[float, ...]:
    """Where a parameter's group comes; last without a match."""
    for number, expression in enumerate(expressions):
        if match := expression.match(name):
            return (number, *map(float, match.groups()))
    return (float("inf"),)


def _children_groups(model: nn.Module) -> Iterator[list[str]]:
    own = [name for name, _ in model.named_parameters(recurse=False)]
    for child, module in model.named_children():
        group = own + [f"{child}.{name}" for name, _ in module.named_parameters()]
        if group:
            yield group
            own = []  # the model's own parameters, such as a position embedding, join the stem
    if own:
        yield own


def classifiers(model: nn.Module) -> list[nn.Module]:
    """The modules that make up the head, usually one."""
    get_classifier = getattr(model, "get_classifier", None)
    if callable(get_classifier):
        found = get_classifier()
        found = list(found) if isinstance(found, tuple | list) else [found]
    else:
        children = [m for m in model.children() if next(m.parameters(), None) is not None]
        found = children[-1:]
    return [module for module in found if isinstance(module, nn.Module)]
