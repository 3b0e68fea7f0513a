"""The models: one row of MODELS each, and `timm:NAME` for every model that timm knows.

To add a model from a module given to `--import`, add one row:

    MODELS["mine"] = ModelSpec(build=build_mine, description="…")

where `build_mine(config, *, channels, num_classes, image_size)` returns an `nn.Module` that maps
(B, channels, image_size, image_size) to (B, num_classes) logits. `group_matcher(coarse)` gives its
stages and `get_classifier()` its head, both as in timm; without them the stages are the top-level
children, the last of which is the head. An attribute `first_conv` names the convolution to which
source weights of another number of channels are adapted. A model registered through
`timm.models.register_model` needs no row: it is `timm:NAME`. Of the fields for our own models,
such as `width` and `pooling`, the model heeds those that its code reads, or those in `heeds=`.
"""

import contextlib
import functools
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from tl_core.config import PRETRAINED, STRUCTURE_FIELDS, TrainConfig
from tl_core.errors import BadInput, near_names
from tl_core.models import plain
from tl_core.models.baseline import BaselineCNN
from tl_core.models.dense_head import replace_head
from tl_core.models.freezing import depth_of_epoch, freeze, moving_in_run
from tl_core.models.heeds import TIMM_HEEDS, fields_read
from tl_core.models.hub import hub_cfg
from tl_core.models.plain import PlainCNN, plan_blocks
from tl_core.models.residual import ResidualCNN
from tl_core.models.source_weights import load_hub_weights, load_source
from tl_core.models.stages import head_parameters, stages
from tl_core.models.timm_models import PREFIX, create_timm_model, parse_model_args, timm_name
from tl_core.models.tried import building, built_on, show_images
from tl_core.weights.weights_file import weights_path

__all__ = [
    "MODELS", "ModelSpec", "build_model", "check_model",
    "head_parameters", "heeded_fields", "model_channels", "stage_count", "stages",
    "tensor_bytes",
]  # fmt: skip


MOST_SKETCHED = 50_000_000
"""Parameters of a model that is tried with numbers, which takes a moment. Own choice."""


class ModelBuilder(Protocol):
    """Builds a model with random weights."""

    def __call__(
        self, config: TrainConfig, *, channels: int, num_classes: int, image_size: int
    ) -> nn.Module:
        """(B, channels, image_size, image_size) → (B, num_classes) logits."""


@dataclass(frozen=True)
class ModelSpec:
    """A row of MODELS."""

    build: ModelBuilder
    description: str
    """One line for the list of models."""
    check: Callable[[TrainConfig], object] | None = None
    """Raises BadInput, quickly, where the config's model fields contradict each other."""
    heeds: Collection[str] | None = None
    """Those of OWN_MODEL_FIELDS that change the model; None: found by running its code."""


OTHER_CLASSES, OTHER_SIDES = (2, 1000), (28, 224)
"""Numbers of classes and sides of images, in pixels, that `heeded_fields` tries besides."""
_ALL_HEED = ("activation", "batch_norm", "dropout", "pooling", "init")


def _plain_spec(preset: plain.BlockPlan, description: str) -> ModelSpec:
    build = functools.partial(PlainCNN, preset=preset)
    check = functools.partial(plan_blocks, preset=preset)
    blocks = ("channels", "block_layers", "block_pool", "block_norm")
    return ModelSpec(build, description, check, heeds=(*_ALL_HEED, *blocks))


MODELS: dict[str, ModelSpec] = {
    "residual": ModelSpec(
        ResidualCNN,
        "residual CNN, three stages of width, 2 · width, 4 · width channels",
        heeds=(*_ALL_HEED, "width", "depth", "attention"),
    ),
    "plain": _plain_spec(plain.SHALLOW, "plain CNN, four blocks of 32, 128, 256, 512 channels"),
    "plain-deep": _plain_spec(plain.DEEP, "plain CNN, six blocks of 32 to 512 channels"),
    "baseline": ModelSpec(
        BaselineCNN, "two convolutions of 32 and 64 channels, dense 128", heeds=_ALL_HEED
    ),
}


def build_model(
    config: TrainConfig,
    *,
    channels: int,
    num_classes: int,
    image_size: int,
    classes: Sequence[str] | None = None,
) -> nn.Module:
    """Build the config's model: initialized, source weights loaded, stages frozen.

    Random numbers come from torch's global generator. With source weights, the attribute `loaded`
    is a `tl_core.models.source_weights.Loaded`. A source's head for another number of classes, or
    where `classes` names the logits for other ones, is not loaded. `channels` are those of
    `model_channels`, `image_size` is in pixels.

    Raises:
        BadInput: an unknown backbone or argument, weights that are missing or do not fit, or a
            freeze depth beyond the model's stages.
    """
    check_model(config)
    shape = {"channels": channels, "num_classes": num_classes, "image_size": image_size}
    if config.weights == PRETRAINED:
        model = load_hub_weights(config, **shape)
    else:
        model = _random_model(config, **shape)
        if config.weights is not None:
            loaded = load_source(model, config.weights, config.input_adapt, classes)
            model.loaded = loaded  # type: ignore[assignment]
    freeze(model, config.freeze_depth)
    return model


def check_model(config: TrainConfig) -> None:
    """Raise BadInput for an unknown model, contradicting arguments or missing source weights.

    Nothing is built.
    """
    if config.backbone.startswith(PREFIX):
        timm_name(config.backbone)
        parse_model_args(config.model_args)
    else:
        spec = _row(config.backbone)
        if config.model_args:
            raise BadInput(
                f"model_args={config.model_args!r}: only timm models take them; for"
                f" {config.backbone} set width, depth, channels and the like."
            )
        if spec.check is not None:
            spec.check(config)
    if config.weights == PRETRAINED:
        hub_cfg(config.backbone)
    elif config.weights is not None:
        weights_path(config.weights)


def model_channels(config: TrainConfig, image_channels: int) -> int:
    """Input channels of the model: 3 where grey images are repeated, else the images' own."""
    return 3 if config.input_adapt == "repeat" and image_channels == 1 else image_channels


def stage_count(config: TrainConfig, *, channels: int, num_classes: int, image_size: int) -> int:
    """Number of the model's stages, found without its weights where possible.

    Raises:
        BadInput: the model is unknown, or cannot take images of that size.
    """
    structure = TrainConfig(**{name: getattr(config, name) for name in STRUCTURE_FIELDS})
    return _stage_count(structure, channels, num_classes, image_size)


@functools.lru_cache(maxsize=4096)
def _stage_count(config: TrainConfig, channels: int, num_classes: int, image_size: int) -> int:
    check_model(config)
    return len(stages(_sketch(config, channels, num_classes, image_size)))


def tensor_bytes(
    config: TrainConfig, *, channels: int, num_classes: int, image_size: int
) -> tuple[int, int]:
    """Bytes of all tensors of a model, and of those that a run may change; no weights are needed.

    Those whose size depends on the images that a model is shown count nothing.

    Raises:
        BadInput: the model is unknown, or has fewer stages than are to be frozen.
    """
    shape = {"channels": channels, "num_classes": num_classes, "image_size": image_size}
    with built_on("meta"):
        model = _random_model(config, **shape)
    freeze(model, depth_of_epoch(config, 0))
    moving = set(moving_in_run(model, config))
    sizes = {n: 0 if is_lazy(t) else t.nbytes for n, t in model.state_dict(keep_vars=True).items()}
    return sum(sizes.values()), sum(size for name, size in sizes.items() if name in moving)


def heeded_fields(
    config: TrainConfig,
    names: Collection[str],
    levels: Mapping[str, Sequence[object]],
    *,
    image_size: int,
) -> frozenset[str]:
    """Those of the fields that change the model.

    Where the model's row does not say, the model is built and shown images to find out: grey and
    coloured ones, of few and of many classes, small and large unless the config has their size.
    `names` are of heeds.OWN_MODEL_FIELDS, `levels` gives the possible values of each field.

    Raises:
        BadInput: the backbone is unknown, or cannot take images of that size.
    """
    if config.backbone.startswith(PREFIX):
        return TIMM_HEEDS.intersection(names)
    heeds = _row(config.backbone).heeds
    if heeds is not None:
        return frozenset(heeds).intersection(names)

    sides = [] if config.image_size else OTHER_SIDES
    others = [(1, 10, image_size), *((3, n, image_size) for n in OTHER_CLASSES)]
    others += [(3, 10, side) for side in sides]

    def run(recorded: TrainConfig, training: bool) -> None:
        stages(_sketch(recorded, 3, 10, image_size, training=training))
        for shape in others if training else ():
            with contextlib.suppress(BadInput):  # images that it does not take
                _sketch(recorded, *shape, training=True)

    return fields_read(run, config, names, levels)


def _sketch(
    config: TrainConfig, channels: int, num_classes: int, side: int, *, training: bool = False
) -> nn.Module:
    """A model after one forward pass, on the meta device (no weights) where it is large."""
    shape = {"channels": channels, "num_classes": num_classes, "image_size": side}
    for device in _sketch_devices(config, shape):
        try:
            with torch.random.fork_rng(devices=[]):
                with building(config), built_on(device):
                    model = _random_model(config, **shape)
                images_of = (channels, num_classes, side)
                show_images(model, config, images_of, device=device, training=training)
                return model
        except BadInput as error:
            if device == "cpu":  # the other may fail for want of numbers
                refusal = error
    raise refusal


def _sketch_devices(config: TrainConfig, shape: dict[str, int]) -> tuple[str, str]:
    """Where to try a model, in this order.

    A model may read values, which meta tensors do not have; and the first forward pass on these
    may load torch's compiler, which takes seconds.
    """
    with contextlib.suppress(Exception), built_on("meta"):
        parameters = list(_random_model(config, **shape).parameters())
        if sum(p.numel() for p in parameters if not is_lazy(p)) > MOST_SKETCHED:
            return ("meta", "cpu")
    return ("cpu", "meta")


def _random_model(
    config: TrainConfig, *, channels: int, num_classes: int, image_size: int
) -> nn.Module:
    timm_backbone = config.backbone.startswith(PREFIX)
    build = create_timm_model if timm_backbone else _row(config.backbone).build
    model = build(config, channels=channels, num_classes=num_classes, image_size=image_size)
    if not isinstance(model, nn.Module):
        raise TypeError(f"it gives a {type(model).__name__}, no nn.Module")
    if config.head_units is not None:
        replace_head(model, config, num_classes)
    return model


def _row(backbone: str) -> ModelSpec:
    if backbone not in MODELS:
        otherwise = f"one of {', '.join(MODELS)}, or timm:NAME for a timm model."
        hint = near_names(backbone, MODELS, otherwise)
        raise BadInput(f"backbone={backbone!r}: no such model; {hint}")
    return MODELS[backbone]
