"""The fields that the options fix."""

from collections.abc import Mapping
from typing import Any

from sweep.options.sweep_options import SweepOptions
from tl_core.config import ARCHITECTURE, PRETRAINED, TrainConfig, config_from_dict
from tl_core.weights.weights_file import read_metadata


def fixed_fields(options: SweepOptions, base: TrainConfig) -> dict[str, Any]:
    """Field → value, the model of a source that they name too; raises BadInput for bad values."""
    changed = options.overrides
    return {**changed, **architecture_of_source(config_from_dict(changed, base), changed)}


def architecture_of_source(base: TrainConfig, named: Mapping[str, Any]) -> dict[str, Any]:
    """The model that the user's source was made with, but for what the user set otherwise.

    Nothing where the source is no file of ours, which does not say.
    """
    source = named.get("weights")
    if source in (None, PRETRAINED):
        return {}
    made = read_metadata(source).config or {}
    known = [name for name in ARCHITECTURE if name in made and name not in named]
    return {n: getattr(config_from_dict({n: made[n]}, base), n) for n in known}
