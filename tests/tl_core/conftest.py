"""Data and models that several of the trainer's tests share."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tl_core import TrainConfig, Trainer
from tl_core.datasets import ImageData, Split, load_data
from tl_core.heads.head_group import HeadGroup, Member
from tl_core.models import MODELS, build_model
from tl_core.train.epoch import EpochMetrics


@pytest.fixture(scope="session")
def shared_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache folder in which the digits are decoded once for all tests."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def digits(shared_cache: Path) -> ImageData:
    """scikit-learn's digits: 1,294 training images, 144 for validation, 8 px, grey."""
    return load_data(TrainConfig(dataset="digits", cache_dir=str(shared_cache)))


@pytest.fixture(scope="session")
def few_digits(shared_cache: Path) -> ImageData:
    """200 of the training images, the same 144 for validation."""
    return load_data(TrainConfig(dataset="digits", limit_train=200, cache_dir=str(shared_cache)))


class ArrayStore:
    """Images in memory, (N, C, S, S) uint8."""

    mapped = None

    def __init__(self, images: np.ndarray) -> None:
        self._images = images
        self.shape = images.shape

    def take(self, indices: np.ndarray) -> np.ndarray:
        return self._images[indices]


def _by_hand(
    images: np.ndarray, labels: list[int], *, classes: int = 2, flip: bool = False
) -> ImageData:
    store, indices = ArrayStore(images), np.arange(len(labels))
    split = Split(store, np.array(labels, dtype=np.int64), indices)
    names, channels = tuple("abcdefghij"[:classes]), images.shape[1]
    return ImageData(
        name="by hand", classes=names, flip=flip, fingerprint="0" * 16,
        train=split, val=split, test=split, mean=(0.5,) * channels, std=(0.25,) * channels,
    )  # fmt: skip


@pytest.fixture
def by_hand() -> Callable[..., ImageData]:
    """by_hand(images (N, C, S, S) uint8, labels, classes=, flip=): all three splits the same."""
    return _by_hand


def _levels(count: int) -> np.ndarray:
    greys = 10 * np.arange(count, dtype=np.uint8)
    return np.broadcast_to(greys[:, None, None, None], (count, 1, 8, 8)).copy()


@pytest.fixture
def levels() -> Callable[[int], np.ndarray]:
    """levels(N) → (N, 1, 8, 8) uint8: every pixel of image i is 10 · i."""
    return _levels


@pytest.fixture
def unequal() -> ImageData:
    """Six images of class 0 and two of class 1."""
    return _by_hand(_levels(8), [0, 0, 0, 0, 0, 0, 1, 1])


def _plain_run(data: ImageData, **fields: Any) -> Trainer:
    plain = {
        "width": 4, "threads": 1, "precision": "fp32", "eval_precision": "fp32", "device": "cpu",
        "augmentation": "none", "label_smoothing": 0.0, "schedule": "constant", "lr": 1e-6,
    }  # fmt: skip
    return Trainer(TrainConfig(**{**plain, **fields}), data)


@pytest.fixture
def plain_run() -> Callable[..., Trainer]:
    """plain_run(data, **fields) → narrow model; no augmentation, smoothing or schedule."""
    return _plain_run


TINY_SIZE = {"timm:test_maxvit": 64, "timm:test_coatnet": 64}


def _make(backbone, *, colours=3, classes=5, size=None, **fields):
    config = TrainConfig(backbone=backbone, **{"width": 4, "dropout": 0.2, **fields})
    size = size or (8 if backbone in MODELS else TINY_SIZE.get(backbone, 32))
    torch.manual_seed(0)
    model = build_model(config, channels=colours, num_classes=classes, image_size=size)
    return model, torch.randn(4, colours, size, size)


@pytest.fixture
def make():
    """make(backbone, colours=, classes=, size=, **fields) → (model, four random images)."""
    return _make


@pytest.fixture
def native_calls(monkeypatch):
    """native_calls(module) → names of the native functions that it calls from now on."""

    def count(module):
        called = []
        original = module.native_function

        def counting(library, name, dtype):
            called.append(name)
            return original(library, name, dtype)

        monkeypatch.setattr(module, "native_function", counting)
        return called

    return count


Row = tuple[float, ...]


def _row(metrics: EpochMetrics) -> Row:
    names = ("train_loss", "train_accuracy", "val_loss", "val_accuracy", "lr")
    return tuple(getattr(metrics, name) for name in names)


@pytest.fixture
def numbers() -> Callable[[Trainer | Member], list[Row]]:
    """numbers(run) → losses, accuracies and rate of every epoch that is left."""

    def trained(run: Trainer | Member) -> list[Row]:
        found = []
        while run.stop_reason is None:
            found.append(_row(run.run_epoch()))
        return found

    return trained


@pytest.fixture
def train_group() -> Callable[[Trainer, list[TrainConfig]], list[tuple[Member, list[Row]]]]:
    """train_group(trainer, configs) → each run and its `numbers`, trained as one group."""

    def trained(trainer: Trainer, configs: list[TrainConfig]) -> list[tuple[Member, list[Row]]]:
        group = HeadGroup(trainer)
        for seed in {config.seed for config in configs} - {trainer.config.seed}:
            config = next(config for config in configs if config.seed == seed)
            group.add_seed(Trainer(config, trainer.data))
        members = [group.join(config) for config in configs]
        found: dict[Member, list[Row]] = {member: [] for member in members}
        while group.members:
            seated = list(group.members)
            for member, metrics in zip(seated, group.run_epoch(), strict=True):
                found[member].append(_row(metrics))
                if member.stop_reason:
                    group.leave(member)
        return list(found.items())

    return trained
