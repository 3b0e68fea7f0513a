"""`timm:NAME`: every model of timm, or that a user's module registers with timm."""

import ast
from typing import TYPE_CHECKING, Any

from torch import nn

from tl_core.config import TrainConfig
from tl_core.errors import BadInput, first_line, near_names

if TYPE_CHECKING:  # timm takes a second to load, and not every sweep uses its models
    from timm.models import PretrainedCfg

PREFIX = "timm:"
TAKEN_ARGUMENTS = {
    "num_classes": "the data set decides it",
    "in_chans": "the data set decides it",
    "drop_rate": "use dropout",
    "img_size": "use image_size",
    "features_only": "a classifier is needed",
} | dict.fromkeys(
    ("pretrained", "checkpoint_path", "cache_dir", "pretrained_cfg", "pretrained_cfg_overlay"),
    "use weights",
)


def timm_name(backbone: str) -> str:
    """NAME of `timm:NAME`.

    Raises:
        BadInput: timm has no such model or tag; the error suggests near names.
    """
    import timm

    name = backbone.removeprefix(PREFIX)
    architecture, _, tag = name.partition(".")
    if not timm.is_model(architecture):
        known = (f"{PREFIX}{name}" for name in timm.list_models())
        hint = near_names(f"{PREFIX}{architecture}", known, "see `models`.")
        raise BadInput(f"backbone={backbone!r}: timm knows no model {architecture!r}; {hint}")
    if tag:
        try:
            timm.get_pretrained_cfg(name)
        except RuntimeError:
            tags = ", ".join(timm.list_pretrained(f"{architecture}.*")) or "none"
            raise BadInput(
                f"backbone={backbone!r}: {architecture} has no weights tagged {tag!r};"
                f" it has {tags}."
            ) from None
    return name


def pretrained_cfg(backbone: str) -> "PretrainedCfg | None":
    """timm's description of a model's weights; None for a model registered without one.

    Raises:
        BadInput: timm has no such model.
    """
    import timm

    return timm.get_pretrained_cfg(timm_name(backbone), allow_unregistered=True)


def parse_model_args(text: str) -> dict[str, int | float | str]:
    """Parse `KEY=VALUE,KEY=VALUE` into keyword arguments: integers, floats, booleans, text.

    Raises:
        BadInput: a part is not KEY=VALUE, or other fields set the argument KEY.
    """
    arguments: dict[str, int | float | str] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        key, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals or not key.isidentifier() or not value:
            raise BadInput(f"model_args={text!r}: {part!r} is not KEY=VALUE, as in pad_type=same.")
        if key in TAKEN_ARGUMENTS:
            why = TAKEN_ARGUMENTS[key]
            raise BadInput(f"model_args={text!r}: {key} cannot be set here; {why}.")
        arguments[key] = _literal(value)
    return arguments


def create_timm_model(
    config: TrainConfig,
    *,
    channels: int,
    num_classes: int,
    image_size: int,
    pretrained_file: str | None = None,
) -> nn.Module:
    """timm's model for images (B, channels, image_size, image_size), with `num_classes` logits.

    `pretrained_file` holds the published weights; None: random weights. Only models of a fixed
    size are told `image_size`, in pixels.

    Raises:
        BadInput: the name is unknown, or timm refuses the arguments, the size or the weights.
    """
    cfg = pretrained_cfg(config.backbone)
    arguments: dict[str, Any] = {**parse_model_args(config.model_args)}
    arguments |= {"num_classes": num_classes, "in_chans": channels, "drop_rate": config.dropout}
    if cfg is not None and cfg.fixed_input_size:
        arguments["img_size"] = image_size
    if pretrained_file is not None and cfg is not None:
        overlay = {"file": pretrained_file, "custom_load": cfg.custom_load}
        arguments |= {"pretrained": True, "pretrained_cfg_overlay": overlay}
    try:
        return _create(config, arguments)
    except BadInput:
        raise
    except Exception as error:  # each model's constructor raises its own errors
        weights = f" and {pretrained_file}" if pretrained_file else ""
        raise BadInput(
            f"backbone={config.backbone!r} cannot be built with model_args={config.model_args!r}"
            f"{weights} for {channels} × {image_size} × {image_size} images: {first_line(error)}."
        ) from error


def _create(config: TrainConfig, arguments: dict[str, Any]) -> nn.Module:
    import timm

    name = timm_name(config.backbone)
    try:
        return timm.create_model(name, **arguments)
    except TypeError as error:
        if "drop_rate" not in str(error):
            raise
        if config.dropout > 0:
            why = f"dropout={config.dropout}: {config.backbone} takes no dropout; use 0."
            raise BadInput(why) from error
        del arguments["drop_rate"]
        return timm.create_model(name, **arguments)


def _literal(text: str) -> int | float | str:
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError, RecursionError, MemoryError):  # such as 10,000 brackets
        return text
    return value if isinstance(value, int | float | str) else text
