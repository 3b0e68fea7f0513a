"""The two data sets that need neither files nor a network: `digits` and `shapes`."""

import importlib.util
from pathlib import Path

import numpy as np

from tl_core.datasets.records import Records, Request

SHAPES = ("circle", "square", "triangle")
SHAPES_COUNT = 3000
SHAPES_SIZE = 32
"""Pixels, where no size is asked for."""
DRAWN_TOGETHER = 50
"""Images, so that drawing large ones takes little memory."""


def read_digits(request: Request) -> Records:
    """scikit-learn's 1,797 handwritten digits, 8 × 8, the grey levels 0–16 scaled to 0–255.

    Source: UCI "Optical Recognition of Handwritten Digits", test part, as in scikit-learn.
    """
    from sklearn.datasets import load_digits

    digits = load_digits()
    images = np.round(digits.images * (255 / 16)).astype(np.uint8)
    classes = tuple(str(name) for name in digits.target_names)
    return Records(images=images, labels=digits.target.astype(np.int64), classes=classes)


def digits_files(request: Request) -> list[Path]:
    """The file inside scikit-learn, found without importing it."""
    spec = importlib.util.find_spec("sklearn")
    assert spec is not None
    assert spec.origin is not None
    return [Path(spec.origin).parent / "datasets" / "data" / "digits.csv.gz"]


def read_shapes(request: Request) -> Records:
    """3,000 generated RGB images, a third each of circles, squares and triangles.

    They are of 32 px where no size is asked for, and drawn anew at any other size.
    """
    labels = np.arange(SHAPES_COUNT) % len(SHAPES)

    def draw(size: int) -> np.ndarray:
        return draw_shapes(labels, size, np.random.default_rng(0))

    return Records(images=draw(SHAPES_SIZE), labels=labels, classes=SHAPES, draw=draw)


def shapes_files(request: Request) -> list[Path]:
    """This file: the images change when the generator does."""
    return [Path(__file__)]


def draw_shapes(labels: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
    """One shape per image with its own size, place, angle, colours, background and noise.

    Radii are 18–42% of the side, and a shape never leaves its image. The shape differs from
    its background by 0.25–0.75 of the range in each channel, Gaussian noise of each pixel has a
    standard deviation of 0–0.1, and the background brightens by up to 0.3 from one side to the
    other. Of generators in the same state, images of different sizes differ in their noise alone.

    Args:
        labels: (N,) positions in `SHAPES`.
        size: side, in pixels.
        rng: the source of all randomness.

    Returns:
        (N, size, size, 3) uint8.

    Source: own choice.
    """
    count = len(labels)
    radius = rng.uniform(0.18, 0.42, count)
    centre = rng.uniform(radius, 1 - radius, (2, count))
    angle = rng.uniform(0, 2 * np.pi, count)
    paper = rng.random((count, 1, 1, 3), dtype=np.float32)
    ink = (paper + rng.uniform(0.25, 0.75, paper.shape).astype(np.float32)) % 1
    slope = rng.uniform(-0.3, 0.3, (2, count))
    noise = rng.uniform(0, 0.1, count)

    grid = (np.arange(size, dtype=np.float32) + 0.5) / size
    images = np.empty((count, size, size, 3), dtype=np.uint8)
    for start in range(0, count, DRAWN_TOGETHER):
        part = slice(start, start + DRAWN_TOGETHER)
        x = grid[None, None, :] - _column(centre[0, part])
        y = grid[None, :, None] - _column(centre[1, part])
        outside = signed_distance(x, y, labels[part], radius[part], angle[part])
        cover = np.clip(0.5 - outside * size, 0, 1)[..., None]  # antialiased over one pixel
        light = _column(slope[0, part]) * x + _column(slope[1, part]) * y
        pixels = (paper[part] + light[..., None]) * (1 - cover) + ink[part] * cover
        grain = rng.standard_normal(pixels.shape, dtype=np.float32)
        pixels += _column(noise[part])[..., None] * grain
        images[part] = np.round(np.clip(pixels, 0, 1) * 255)
    return images


def signed_distance(
    x: np.ndarray, y: np.ndarray, labels: np.ndarray, radius: np.ndarray, angle: np.ndarray
) -> np.ndarray:
    """(N, size, size) distance to the shape's edge as a share of the side, negative inside.

    A polygon with n sides is max over its sides of (projection on the side's normal) − inradius;
    corners lie at `radius`. x is (N, 1, size) and y (N, size, 1), from the shape's centre.
    """
    distance = np.sqrt(x**2 + y**2) - _column(radius)
    for name, sides in (("square", 4), ("triangle", 3)):
        chosen = labels == SHAPES.index(name)
        turns = angle[chosen, None] + np.arange(sides) * (2 * np.pi / sides)
        normals = [
            _column(np.cos(turn)) * x[chosen] + _column(np.sin(turn)) * y[chosen]
            for turn in turns.T
        ]
        inradius = radius[chosen] * np.cos(np.pi / sides)
        distance[chosen] = np.max(normals, axis=0) - _column(inradius)
    return distance


def _column(values: np.ndarray) -> np.ndarray:
    return values.astype(np.float32)[:, None, None]
