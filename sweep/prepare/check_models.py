"""Build every kind of model once before the first trial; refuse what no trial can do."""

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from sweep.configurations.distinct import Values
from sweep.faults import last_line
from sweep.plan.plan import Plan
from sweep.prepare.trial_shapes import SHAPING, differences, siblings
from sweep.terminal.loading import LoadProgress
from sweep.terminal.values import describe, short
from tl_core.config import SCRATCH, TrainConfig, config_from_dict
from tl_core.datasets import load_data
from tl_core.errors import BadInput
from tl_core.models import build_model, model_channels
from tl_core.models.source_weights import normalization
from tl_core.models.tried import building, show_images
from tl_core.train.optim import parameter_groups
from tl_core.train.teacher import check_teacher

Loaded = dict[str, dict[str, Any]]
"""Backbone → what its source weights left: see `Manifest.loaded`."""
NAMED = 3
"""Tensors that the line on source weights names."""
LISTED = {
    "missing": "new", "adapted": "adapted", "unexpected": "left out",
    "aside": "also there, not used",
}  # fmt: skip
"""What a list of tensors in `Manifest.loaded` means to that line."""


@dataclass
class Checked:
    """What building a sweep's models has shown."""

    loaded: Loaded = field(default_factory=dict)
    sound: list[Values] = field(default_factory=list)
    """Values of the trials that can be built and take their images."""
    notes: list[str] = field(default_factory=list)
    """One line on each kind of trials that will fail."""


def check_models(
    plan: Plan, shapes: Iterable[Values], progress: LoadProgress | None = None
) -> Checked:
    """Load the data of every kind of trial, build its model and show it images.

    `shapes` are values of trials, as `trial_shapes` gives them.

    Raises:
        BadInput: no trial can work, scratch runs apart: weights that do not fit, a freeze depth
            beyond the stages, images of a size that the model does not take, and the like.
    """
    checked = Checked()
    refusals: list[BadInput] = []
    refusal = partial(_refusal, plan.base, checked.loaded, progress)
    for values in shapes:
        refused = refusal(values)
        if refused is None:
            checked.sound.append(values)
            continue
        refusals.append(refused)
        sound = next((o for o in siblings(plan, values) if refusal(o) is None), None)
        checked.sound += [] if sound is None else [sound]
        line = f"Trials with {_kind(plan, values, sound)} will fail: {refused}"
        checked.notes += [] if line in checked.notes else [line]
    apart = plan.from_scratch is not None
    if refusals and all(apart and v.get("strategy") == SCRATCH for v in checked.sound):
        raise refusals[0]
    return checked


def _refusal(
    base: TrainConfig, loaded: Loaded, progress: LoadProgress | None, values: Values
) -> BadInput | None:
    """Why a trial cannot be trained; None where it can."""
    try:
        _check(config_from_dict(values, base), loaded, progress)
    except BadInput as error:
        return error
    except Exception as error:
        model = describe(values) or "the base"
        return BadInput(f"the model of {model} cannot be built ({last_line(error)})")
    return None


def _kind(plan: Plan, values: Values, sound: Values | None) -> str:
    """The settings in which a trial differs from a sound one; without one its model and data."""
    fields = {**plan.base.to_dict(), **values}
    if sound is not None:
        names = differences(plan, values, sound)
        return ", ".join(f"{name}={short(fields[name])}" for name in names)
    own = {n: fields[n] for n in SHAPING if n in values and fields[n] is not None}
    return describe(own or {"backbone": fields["backbone"]})


def _check(config: TrainConfig, found: Loaded, progress: LoadProgress | None) -> None:
    data = load_data(config, progress=progress)
    if config.teacher is not None:
        check_teacher(config.teacher, data.classes)
    channels = model_channels(config, data.channels)
    normalization(config, data.mean, data.std, channels)
    shape = {"num_classes": data.num_classes, "image_size": data.image_size}
    with building(config):
        model = build_model(config, channels=channels, **shape, classes=data.classes)
    parameter_groups(model, config)
    show_images(model, config, (channels, data.num_classes, data.image_size))
    loaded = getattr(model, "loaded", None)
    if loaded is not None:
        left = dataclasses.asdict(loaded).items()
        tensors = len(model.state_dict())
        found[config.backbone] = {
            "weights": config.weights,
            "loaded": tensors - len(loaded.missing),
            "tensors": tensors,
            **{name: list(v) if isinstance(v, tuple) else v for name, v in left},
        }


def loaded_line(backbone: str, loaded: dict[str, Any]) -> str:
    """What source weights did for a model, in one line."""
    count = f"{loaded['loaded']} of {loaded['tensors']} tensors"
    parts = [f"{count} of {backbone} from {Path(loaded['weights']).name}"]
    if loaded["wrapper"]:
        parts.append(f"under {loaded['wrapper']!r}")
    if loaded["prefix"]:
        parts.append(f"prefix {loaded['prefix']!r} taken off")
    for key, what in LISTED.items():
        if names := loaded[key]:
            more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
            parts.append(f"{what}: {', '.join(names[:NAMED])}{more}")
    return "Source: " + "; ".join(parts)
