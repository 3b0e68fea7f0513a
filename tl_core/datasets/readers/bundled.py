"""The two data sets that need neither files nor a network: `digits` and `shapes`."""

import functools
import importlib.util
from pathlib import Path

import numpy as np

from tl_core.datasets.records import Records, Request

SHAPES = ("circle", "square", "triangle")
SHAPES_COUNT = 3000
SHAPES_SIZE = 32
"""Pixels, where no size is asked for."""


def read_digits(request: Request) -> Records:
    """scikit-learn's 1,797 handwritten digits, 8 × 8, the grey levels 0–16 scaled to 0–255.

    Source: UCI "Optical Recognition of Handwritten Digits", test part, as in scikit-learn.
    """
    from sklearn.datasets import load_digits

    digits = load_digits()
    images = np.round(digits.images * (255 / 16)).astype(np.uint8)
    classes = tuple(map(str, digits.target_names))
    return Records(images=images, labels=digits.target.astype(np.int64), classes=classes)


def digits_files(request: Request) -> list[Path]:
    """The file inside scikit-learn, found without importing it."""
    spec = importlib.util.find_spec("sklearn")
    assert spec is not None
    assert spec.origin is not None
    return [Path(spec.origin).parent / "datasets" / "data" / "digits.csv.gz"]


def read_shapes(request: Request) -> Records:
    """Generated RGB images, a third each of circles, squares and triangles, drawn at any size."""
    labels = np.arange(SHAPES_COUNT) % len(SHAPES)
    draw = functools.partial(Shapes, labels, seed=0)
    own = draw(SHAPES_SIZE)
    images = np.stack([own[i] for i in range(SHAPES_COUNT)])
    return Records(images=images, labels=labels, classes=SHAPES, draw=draw)


def shapes_files(request: Request) -> list[Path]:
    """This file: the images change when the generator does."""
    return [Path(__file__)]


class Shapes:
    """Images of one shape each, drawn when asked for: (size, size, 3) uint8.

    `labels` (N,) are positions in `SHAPES`. Each image has its own radius, place, angle, colours,
    background and noise. Radii are 18–42% of the side, and a shape never leaves its image. The
    shape differs from its background by 0.25–0.75 of the range in each channel, Gaussian noise of
    each pixel has a standard deviation of 0–0.1, and the background brightens by up to 0.3 from
    one side to the other. Images of different sizes differ in their noise alone.

    Source: own choice.
    """

    def __init__(self, labels: np.ndarray, size: int, *, seed: int) -> None:
        rng, count = np.random.default_rng(seed), len(labels)
        self.labels, self.size = labels, size
        self.radius = rng.uniform(0.18, 0.42, count)
        self.centre = rng.uniform(self.radius, 1 - self.radius, (2, count)).astype(np.float32)
        self.angle = rng.uniform(0, 2 * np.pi, count)
        self.paper = rng.random((count, 1, 1, 3), dtype=np.float32)
        contrast = rng.uniform(0.25, 0.75, self.paper.shape).astype(np.float32)
        self.ink = (self.paper + contrast) % 1
        self.slope = rng.uniform(-0.3, 0.3, (2, count)).astype(np.float32)
        self.noise = rng.uniform(0, 0.1, count).astype(np.float32)
        self.noise_states = []
        for _ in labels:
            self.noise_states.append(rng.bit_generator.state)
            rng.standard_normal((size, size, 3), dtype=np.float32)  # the noise of this image

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int, /) -> np.ndarray:
        grid = (np.arange(self.size, dtype=np.float32) + 0.5) / self.size
        x, y = grid - self.centre[0, index], (grid - self.centre[1, index])[:, None]
        shape = SHAPES[self.labels[index]]
        outside = signed_distance(x, y, shape, self.radius[index], self.angle[index])
        cover = np.clip(0.5 - outside * self.size, 0, 1)[..., None]  # antialiased over one pixel
        light = self.slope[0, index] * x + self.slope[1, index] * y
        pixels = (self.paper[index] + light[..., None]) * (1 - cover) + self.ink[index] * cover
        rng = np.random.default_rng(0)
        rng.bit_generator.state = self.noise_states[index]
        pixels += self.noise[index] * rng.standard_normal(pixels.shape, dtype=np.float32)
        return np.round(np.clip(pixels, 0, 1) * 255).astype(np.uint8)


def signed_distance(
    x: np.ndarray, y: np.ndarray, shape: str, radius: float, angle: float
) -> np.ndarray:
    """(size, size) distance to the shape's edge as a share of the side, negative inside.

    A polygon with n sides is max over its sides of (projection on the side's normal) − inradius;
    corners lie at `radius`. x is (size,) and y (size, 1) float32, from the shape's centre.
    """
    if shape == "circle":
        return np.sqrt(x**2 + y**2) - np.float32(radius)
    sides = {"square": 4, "triangle": 3}[shape]
    turns = angle + np.arange(sides) * (2 * np.pi / sides)
    normals = [np.float32(np.cos(turn)) * x + np.float32(np.sin(turn)) * y for turn in turns]
    return np.max(normals, axis=0) - np.float32(radius * np.cos(np.pi / sides))
