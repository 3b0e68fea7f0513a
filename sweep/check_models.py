"""What is built once before the first trial, so that what cannot work is refused at once."""

import dataclasses
from pathlib import Path
from typing import Any

from sweep.plan import Plan
from tl_core.config import config_from_dict
from tl_core.datasets import load_data
from tl_core.models import build_model, model_channels
from tl_core.optim import parameter_groups
from tl_core.teacher import check_teacher
from tl_core.transfer import normalization

NAMED = 3
"""Tensors that the line on source weights names."""


def check_models(plan: Plan) -> dict[str, dict[str, Any]]:
    """Build every model once on the data, so that what cannot work is refused before trials.

    Returns:
        Backbone → what its source weights left: see `Manifest.loaded`.

    Raises:
        BadInput: weights that do not fit, a freeze depth beyond the stages, and the like.
    """
    found: dict[str, dict[str, Any]] = {}
    for values in plan.variants():
        config = config_from_dict(values, plan.base)
        data = load_data(config)
        if config.teacher is not None:
            check_teacher(config.teacher, data.classes)
        channels = model_channels(config, data.channels)
        normalization(config, data.mean, data.std, channels)
        model = build_model(
            config,
            channels=channels,
            num_classes=data.num_classes,
            image_size=data.image_size,
            classes=data.classes,
        )
        parameter_groups(model, config)
        loaded = getattr(model, "loaded", None)
        if loaded is not None:
            found[config.backbone] = {
                "weights": config.weights,
                "loaded": len(model.state_dict()) - len(loaded.missing),
                "tensors": len(model.state_dict()),
                **{
                    name: list(value) if isinstance(value, tuple) else value
                    for name, value in dataclasses.asdict(loaded).items()
                },
            }
    return found


def loaded_line(backbone: str, loaded: dict[str, Any]) -> str:
    """What source weights did for a model, in one line."""
    count = f"{loaded['loaded']} of {loaded['tensors']} tensors"
    parts = [f"{count} of {backbone} from {Path(loaded['weights']).name}"]
    if loaded["wrapper"]:
        parts.append(f"under {loaded['wrapper']!r}")
    if loaded["prefix"]:
        parts.append(f"prefix {loaded['prefix']!r} taken off")
    for key, what in (
        ("missing", "new"),
        ("adapted", "adapted"),
        ("unexpected", "left out"),
        ("aside", "also there, not used"),
    ):
        names = loaded[key]
        if names:
            more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
            parts.append(f"{what}: {', '.join(names[:NAMED])}{more}")
    return "Source: " + "; ".join(parts)
