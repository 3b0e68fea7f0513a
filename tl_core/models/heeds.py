"""Find the fields of TrainConfig that a model heeds by recording what its code reads."""

import dataclasses
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

from tl_core.config import TrainConfig
from tl_core.errors import BadInput

OWN_MODEL_FIELDS = (
    "width", "depth", "activation", "batch_norm", "dropout", "pooling", "init", "attention",
    "channels", "block_layers", "block_pool", "block_norm",
)  # fmt: skip
"""Fields of TrainConfig that a row of MODELS may heed; every model heeds the others."""
TIMM_HEEDS = frozenset({"dropout"})
"""Those that timm's models heed."""
MOST_TRIED = 64
"""Most configurations that are tried; beyond them, all fields count as read."""


def fields_read(
    run: Callable[[TrainConfig, bool], object],
    config: TrainConfig,
    names: Collection[str],
    levels: Mapping[str, Sequence[Any]],
) -> frozenset[str]:
    """Those of the fields that are read; all fields after MOST_TRIED configurations.

    The value of a field may decide which other fields are read, so each value in `levels` is
    tried, except invalid ones. `run`, given a configuration and whether it trains, builds a model
    and runs it on images. The search starts at `config` and ends once all `names` were read.
    """
    missing, seen, waiting = set(names), {config}, [config]
    while waiting and missing:
        if len(seen) > MOST_TRIED:
            return frozenset(names)
        config = waiting.pop()
        recorded, read = _recorded(config)
        for training in (False, True):
            if not missing <= read:
                run(recorded, training)
        missing -= read
        others = set(_others(config, read, levels)) - seen
        seen |= others
        waiting += others
    return frozenset(names) - missing


def _recorded(config: TrainConfig) -> tuple[TrainConfig, set[str]]:
    """An equal configuration, and the set to which it adds each attribute that is read."""
    names: set[str] = set()

    class Recorded(TrainConfig):
        def __getattribute__(self, name: str) -> Any:
            names.add(name)
            return super().__getattribute__(name)

    recorded = Recorded(**config.to_dict())
    names.clear()
    return recorded, names


def _others(
    config: TrainConfig, read: set[str], levels: Mapping[str, Sequence[Any]]
) -> Iterator[TrainConfig]:
    """Configurations that differ in one of the fields that were read."""
    for name in sorted(read & levels.keys()):
        for value in levels[name]:
            try:
                yield dataclasses.replace(config, **{name: value})
            except BadInput:  # the name of a limit, or None where a condition is off
                continue
