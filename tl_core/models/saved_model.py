"""Load a trained model from a file that `save_weights` wrote.

Shapes: B images, C channels, S × S pixels, K classes.
"""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from tl_core.config import FROM_SCRATCH, TrainConfig, config_from_dict
from tl_core.datasets.images.white_levels import BEFORE_LEVELS, WhiteLevels
from tl_core.errors import BadInput, first_line
from tl_core.models import build_model
from tl_core.models.source_weights import load_source
from tl_core.weights.size_limit import TooLarge, as_large_as
from tl_core.weights.weights_file import read_metadata


@dataclass(frozen=True, kw_only=True)
class _Trained:
    classes: tuple[str, ...]
    """K names, in the order of the logits."""
    mean: tuple[float, ...]
    """Per channel, of [0, 1] pixels."""
    std: tuple[float, ...]
    image_size: int
    """S."""
    white_levels: WhiteLevels
    """White values by which images of more than 8 bits are scaled to 8."""
    accuracy: float | None
    """On its validation split."""


@dataclass(frozen=True, kw_only=True)
class Description(_Trained):
    """Complete metadata of a weights file of ours."""

    config: dict[str, Any]
    """Field name → value of the TrainConfig that trained it, as of the version that wrote it."""


@dataclass(frozen=True, kw_only=True)
class SavedModel(_Trained):
    """A trained model and its metadata."""

    path: Path
    model: nn.Module
    """(B, C, S, S) float32, normalized → logits (B, K); in eval mode, on the CPU."""
    config: TrainConfig
    """Configuration that trained it."""

    @property
    def channels(self) -> int:
        """C: 1 for grey images, 3 for colours."""
        return len(self.mean)

    @property
    def eval_precision(self) -> str:
        """Precision of its evaluation: fp32, bf16 or fp16."""
        precision = self.config.eval_precision
        return "fp32" if precision == "auto" else precision


def described_weights(path: str | Path) -> Description:
    """The metadata of a weights file.

    Raises:
        BadInput: the file is missing or damaged, or lacks some of them.
    """
    about = asdict(read_metadata(path))
    levels = about.pop("white_levels")
    absent = [name for name, value in about.items() if value is None and name != "accuracy"]
    if absent:
        raise BadInput(
            f"{path} does not say how it was made ({', '.join(absent)} missing); give a file that"
            " a sweep or `pretrain` wrote."
        )
    if len(about["mean"]) != len(about["std"]):
        sizes = f"{len(about['mean'])} means and {len(about['std'])} standard deviations"
        raise BadInput(f"{path} has {sizes} for its channels; get it again, or train it again.")
    whites = BEFORE_LEVELS if levels is None else WhiteLevels(**levels)
    return Description(**about, white_levels=whites)


def load_model(path: str | Path) -> SavedModel:
    """Load a model that a sweep or `pretrain` wrote.

    Raises:
        BadInput: the file is missing or damaged, lacks metadata, or does not fill the model.
    """
    about = described_weights(path)
    try:
        config = config_from_dict(about.config)
        model = _random_model(Path(path), about, config_from_dict(FROM_SCRATCH, config))
    except (BadInput, TooLarge, RuntimeError, TypeError, OverflowError) as error:
        raise BadInput(
            f"{path} says that it was made in a way that cannot be repeated:"
            f" {first_line(error)}; get it again, or train it again."
        ) from error
    loaded = load_source(model, str(path))
    others = (*loaded.missing, *loaded.unexpected, *loaded.adapted)
    if others:
        name = others[0]
        raise BadInput(f"{path} does not fill {config.backbone} ({name}); train it again.")
    return SavedModel(**{**vars(about), "config": config}, path=Path(path), model=model.eval())


def _random_model(path: Path, about: Description, config: TrainConfig) -> nn.Module:
    with torch.random.fork_rng(devices=[]), as_large_as(path):
        return build_model(
            config,
            channels=len(about.mean),
            num_classes=len(about.classes),
            image_size=about.image_size,
        )


def resized(images: Tensor, side: int) -> Tensor:
    """(B, C, S, S) float → (B, C, side, side), bilinear, antialiased, if the sides differ."""
    if images.shape[-1] == side:
        return images
    return nn.functional.interpolate(
        images, size=(side, side), mode="bilinear", antialias=True, align_corners=False
    )
