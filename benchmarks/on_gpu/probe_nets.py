"""K small CNNs and their training step, made in four ways: loop, vmap, grouped, CUDA graphs.

Seven 3 × 3 convolutions of width w, 2w and 4w with batch normalization and ReLU, mean over the
positions, a linear head; SGD with momentum. Every way trains the same members on the same images.

Shapes: K members, B images of a batch, C channels, S × S pixels.
"""

import contextlib
import copy
import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.func import vmap

Parameters = dict[str, Tensor]
Step = Callable[[], Tensor]
"""Trains every member for a step; returns their mean losses (K,)."""
POOLED = (2, 4)
"""Convolutions after which the side is halved."""
CLASSES = 10


@dataclass
class Members:
    """What is trained: K members, their images and labels, and the arithmetic.

    Attributes:
        parameters: name → (K, …), the members' values at the start.
        images: (K, B, 3, S, S) float32.
        labels: (K, B) int64.
        bf16: whether the forward pass runs in autocast.
        channels_last: layout of images and weights, where a way has one to choose.
    """

    parameters: Parameters
    images: Tensor
    labels: Tensor
    bf16: bool
    channels_last: bool

    @property
    def count(self) -> int:
        """K."""
        return len(self.images)

    def layout(self, values: Tensor) -> Tensor:
        """The same values (·, C, H, W) in the layout."""
        last = self.channels_last and values.ndim == 4
        return values.contiguous(memory_format=torch.channels_last) if last else values

    def autocast(self) -> contextlib.AbstractContextManager[object]:
        """Arithmetic of the forward pass; casts are not kept, as a captured graph must not."""
        if not self.bf16:
            return contextlib.nullcontext()
        return torch.autocast(self.images.device.type, torch.bfloat16, cache_enabled=False)


def make_members(
    count: int, width: int, batch: int, device: str, *, bf16: bool, channels_last: bool
) -> Members:
    """K members with random weights and images, the same for the same arguments."""
    generator = torch.Generator().manual_seed(0)
    channels = [3, width, width, width, 2 * width, 2 * width, 4 * width, 4 * width]
    parameters: Parameters = {}
    for n, (inside, outside) in enumerate(itertools.pairwise(channels)):
        weight = torch.randn(count, outside, inside, 3, 3, generator=generator)
        parameters[f"conv{n}"] = weight * (2 / (9 * inside)) ** 0.5
        parameters[f"gain{n}"] = torch.ones(count, outside)
        parameters[f"shift{n}"] = torch.zeros(count, outside)
    head = torch.randn(count, CLASSES, channels[-1], generator=generator)
    parameters |= {"head": head * channels[-1] ** -0.5, "bias": torch.zeros(count, CLASSES)}
    images = torch.randn(count, batch, 3, 32, 32, generator=generator)
    labels = torch.randint(CLASSES, (count, batch), generator=generator)
    on_device = {name: values.to(device) for name, values in parameters.items()}
    return Members(on_device, images.to(device), labels.to(device), bf16, channels_last)


def forward(p: Parameters, images: Tensor) -> Tensor:
    """Logits (B, K) of one member's parameters and images (B, 3, S, S)."""
    x = images
    for n in range(7):
        x = F.conv2d(x, p[f"conv{n}"], padding=1)
        x = F.relu(F.batch_norm(x, None, None, p[f"gain{n}"], p[f"shift{n}"], training=True))
        x = F.max_pool2d(x, 2) if n in POOLED else x
    return F.linear(x.mean((2, 3)), p["head"], p["bias"])


def grouped_forward(p: Parameters, images: Tensor, members: int) -> Tensor:
    """Logits (K, B, 10) of stacked parameters (K, …) and images (B, K · 3, S, S)."""
    x = images
    for n in range(7):
        x = F.conv2d(x, p[f"conv{n}"].flatten(0, 1), padding=1, groups=members)
        gain, shift = p[f"gain{n}"].flatten(), p[f"shift{n}"].flatten()
        x = F.relu(F.batch_norm(x, None, None, gain, shift, training=True))
        x = F.max_pool2d(x, 2) if n in POOLED else x
    means = x.mean((2, 3)).unflatten(1, (members, -1)).transpose(0, 1)
    return torch.baddbmm(p["bias"][:, None], means, p["head"].transpose(1, 2))


def loop_steps(members: Members) -> list[Step]:
    """A step of each member by itself."""
    return [_single(members, member) for member in range(members.count)]


def _single(members: Members, member: int) -> Step:
    p = {name: members.layout(v[member].clone()) for name, v in members.parameters.items()}
    optimizer = _optimizer(p)
    images, labels = members.layout(members.images[member]), members.labels[member]

    def step() -> Tensor:
        with members.autocast():
            logits = forward(p, images)
        loss = F.cross_entropy(logits.float(), labels)
        _update(optimizer, loss)
        return loss.detach()[None]

    return step


def vmap_step(members: Members) -> Step:
    """All members at once by `torch.func.vmap`."""
    p = copy.deepcopy(members.parameters)
    return _together(members, p, lambda: vmap(forward)(p, members.images))


def grouped_step(members: Members) -> Step:
    """All members at once as groups of one network's convolutions."""
    p = copy.deepcopy(members.parameters)
    images = members.layout(members.images.transpose(0, 1).flatten(1, 2).contiguous())
    return _together(members, p, lambda: grouped_forward(p, images, members.count))


def _together(members: Members, p: Parameters, logits_of: Callable[[], Tensor]) -> Step:
    optimizer = _optimizer(p)

    def step() -> Tensor:
        with members.autocast():
            logits = logits_of()
        each = F.cross_entropy(
            logits.float().flatten(0, 1), members.labels.flatten(), reduction="none"
        )
        losses = each.view(members.count, -1).mean(1)
        _update(optimizer, losses.sum())
        return losses.detach()

    return step


def _optimizer(p: Parameters) -> torch.optim.Optimizer:
    for values in p.values():
        values.requires_grad_()
    return torch.optim.SGD(list(p.values()), lr=0.01, momentum=0.9, foreach=True)


def _update(optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()


def in_turn(steps: list[Step]) -> Step:
    """One member after another."""
    return lambda: torch.cat([step() for step in steps])


def captured(step: Step) -> Step:
    """The step as a CUDA graph, captured after three steps of warming up."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            step()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        losses = step()
    return Replay(step, graph, losses)


@dataclass
class Replay:
    """A captured step; it keeps the tensors that the graph reads and writes, which `step` owns."""

    step: Step
    graph: Any
    losses: Tensor

    def __call__(self) -> Tensor:
        """Train every member for a step."""
        self.graph.replay()
        return self.losses
