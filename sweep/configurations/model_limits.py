"""Bounds of a search space that depend on the model, such as the number of its stages."""

from typing import Any

from search_spaces.domains import Limits
from tl_core.config import TrainConfig, config_from_dict
from tl_core.errors import BadInput
from tl_core.models import stage_count

OTHER_SIZES = (64, 96, 128, 224, 256, 299, 384, 32, 28, 8)
"""Image sizes, in pixels, one of which nearly every model takes."""


def sizes_to_try(config: TrainConfig) -> tuple[int, ...]:
    """Image sizes, in pixels: the configuration's own, then others that its model may take."""
    return (config.image_size or OTHER_SIZES[0], *OTHER_SIZES)


def model_limits(base: TrainConfig) -> Limits:
    """("stages", values) → number of stages; raises BadInput where the model cannot be built.

    It depends neither on the data set nor on the image size: where a model does not take the
    configuration's own size, its stages are counted at another.
    """

    def limit(name: str, values: dict[str, Any]) -> int:
        config = config_from_dict(values, base)
        refusals = []
        for size in sizes_to_try(config):
            try:
                return stage_count(config, channels=3, num_classes=10, image_size=size)
            except BadInput as error:
                refusals.append(error)
        raise refusals[0]

    return limit


def planning_limits(base: TrainConfig) -> Limits:
    """`model_limits`, but 1 where the model cannot be built: its trials are planned, and fail."""
    limits = model_limits(base)

    def limit(name: str, values: dict[str, Any]) -> int:
        try:
            return limits(name, values)
        except BadInput:
            return 1

    return limit
