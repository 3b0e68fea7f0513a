"""What a user's functions and classes read when they are called decides a key too."""

import functools
import logging
import types

import pytest
import torch
from torch import nn

from tl_core.frozen.content import content_key, prefix_key
from tl_core.frozen.cut import cut_model
from tl_core.models.freezing import freeze

FACTOR = 1.0
STATE = {"factor": 1.0}
SETTINGS = types.SimpleNamespace(factor=1.0)
LOG = logging.getLogger(__name__)
ACTS = {1.0: lambda x: x * 1.0, 2.0: lambda x: x * 2.0}  # on one line


class Leaf(nn.Module):
    """A frozen stage that ends with a function."""

    def __init__(self, act):
        super().__init__()
        self.conv, self.act = nn.Conv2d(1, 4, 3), act

    def forward(self, images):
        return self.act(self.conv(images))


class Net(nn.Module):
    def __init__(self, body):
        super().__init__()
        self.body, self.head = body, nn.Linear(4, 2)

    def forward(self, images):
        return self.head(self.body(images).mean((2, 3)))


class Scale(nn.Module):
    def __init__(self, factor):
        super().__init__()
        self.factor = factor

    def forward(self, x):
        return x * self.factor


class Slotted:
    __slots__ = ("factor",)

    def __init__(self, factor):
        self.factor = factor

    def __call__(self, x):
        return x * self.factor

    def __repr__(self):
        return "Slotted()"


def by_global(x):
    return x * FACTOR


def by_mapping(x):
    LOG.debug("scaled")
    return x * STATE["factor"]


def by_namespace(x):
    return x * SETTINGS.factor


def a_global(factor):
    globals()["FACTOR"] = factor
    return Leaf(by_global)


def a_global_of_a_global_function(factor):
    globals()["FACTOR"] = factor
    return Leaf(lambda x: by_global(x))


def a_global_mapping(factor):
    STATE["factor"] = factor
    return Leaf(by_mapping)


def a_global_namespace(factor):
    SETTINGS.factor = factor
    return Leaf(by_namespace)


def lambdas_on_one_line(factor):
    return Leaf(ACTS[factor])


def a_module_that_is_no_part(factor):
    return Leaf(Scale(factor).forward)


def a_built_in_method(factor):
    return Leaf(torch.tensor(factor).mul)


def a_cached_function(factor):
    return Leaf(functools.lru_cache(lambda x: x * factor))


def slots(factor):
    return Leaf(Slotted(factor))


def a_hook(factor):
    leaf = Leaf(torch.relu)
    leaf.register_forward_hook(lambda module, inputs, output: output * factor)
    return leaf


def a_hook_before(factor):
    leaf = Leaf(torch.relu)
    leaf.register_forward_pre_hook(lambda module, inputs: inputs[0] * factor)
    return leaf


def a_class_attribute(factor):
    class Made(Leaf):
        scale = factor

        def forward(self, images):
            return self.conv(images) * self.scale

    return Made(None)


def a_methods_closure(factor):
    class Made(Leaf):
        def forward(self, images):
            return self.scaled(self.conv(images))

        def scaled(self, x):
            return x * factor

    return Made(None)


def a_property(factor):
    class Made(Leaf):
        scale = property(lambda self: factor)

        def forward(self, images):
            return self.conv(images) * self.scale

    return Made(None)


def a_replaced_forward(factor):
    leaf = Leaf(torch.relu)
    leaf.forward = functools.partial(lambda x, by: leaf.conv(x) * by, by=factor)
    return leaf


MAKERS = [
    a_global, a_global_of_a_global_function, a_global_mapping, a_global_namespace,
    lambdas_on_one_line, a_module_that_is_no_part, a_built_in_method, a_cached_function, slots,
    a_hook, a_hook_before, a_class_attribute, a_methods_closure, a_property, a_replaced_forward,
]  # fmt: skip


def key(make, factor):
    torch.manual_seed(0)
    model = Net(make(factor))
    freeze(model, 1)
    return prefix_key(cut_model(model).prefix)


@pytest.mark.parametrize("make", MAKERS)
def test_what_changes_the_activations_changes_the_key(make):
    assert key(make, 1.0) == key(make, 1.0)
    assert key(make, 1.0) != key(make, 2.0)


def test_what_a_function_does_not_read_does_not_count(monkeypatch):
    one = content_key(by_mapping)
    monkeypatch.setattr(f"{__name__}.FACTOR", 3.0)
    assert content_key(by_mapping) == one


def test_a_set_has_one_key_in_any_order():
    things = [nn.ReLU, by_global, "x", 1, Scale, 2.5]
    backwards = set()
    for thing in things[::-1]:
        backwards.add(thing)
    assert content_key(set(things)) == content_key(backwards)
    assert content_key(set(things)) != content_key(set(things[1:]))
