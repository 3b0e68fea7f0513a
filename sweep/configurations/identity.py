"""The columns that name a trial's configuration: its settings, `config_id`, and fingerprints."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from sweep.configurations.transfer_strategies import strategy_of
from tl_core.config import TrainConfig, config_id
from tl_core.datasets import load_data
from tl_core.models.source_weights import file_fingerprint, weights_fingerprint

PLACE = ("dataset", "data_dir", "cache_dir")
"""Fields that decide which data set a configuration reads."""
T = TypeVar("T")


@dataclass(frozen=True)
class _Found:
    """What identifies a configuration beside its settings; None where it cannot be found."""

    config_id: str
    strategy: str | None
    data: str | None
    weights: str | None


class Identifier:
    """Names configurations by what they train, data and weights by content.

    Nothing here raises: a trial whose data, weights or model cannot be read still gets an id,
    the same for all its seeds, and null in the columns that are unknown. What is expensive is
    read once for each data set, file and model.

    Args:
        config: (values) → the whole configuration of a trial.
        base: fields of the base configuration, which the values of a trial replace.
        limits: ("stages", values) → number of stages of the model.
    """

    def __init__(
        self,
        config: Callable[[dict[str, Any]], TrainConfig],
        base: Mapping[str, Any],
        limits: Callable[[str, dict[str, Any]], int],
    ) -> None:
        self._config = config
        self._base = base
        self._limits = limits
        self._found: dict[str, _Found] = {}
        self._data: dict[tuple[Any, ...], str] = {}
        self._weights: dict[tuple[Any, ...], str | None] = {}
        self._teachers: dict[str, str] = {}

    def identify(self, values: dict[str, Any]) -> dict[str, Any]:
        """Columns of the `trials` table that a trial's values decide.

        Args:
            values: the fields in which the trial differs from the base, `seed` among them.

        Returns:
            The fields of the configuration, `strategy`, `config_id`, `data_fingerprint` and
            `weights_fingerprint`.
        """
        found = self._find(values)
        config = _attempt(lambda: self._config(values))
        fields = {**self._base, **values} if config is None else config.to_dict()
        return {
            **fields,
            "strategy": fields.get("strategy") or found.strategy,
            "config_id": found.config_id,
            "data_fingerprint": found.data,
            "weights_fingerprint": found.weights,
        }

    def config_id(self, values: dict[str, Any]) -> str:
        """12 hexadecimal digits, the same for the seeds of one configuration."""
        return self._find(values).config_id

    def _find(self, values: dict[str, Any]) -> _Found:
        key = id_of_fields(values)
        if key not in self._found:
            config = _attempt(lambda: self._config(values))
            self._found[key] = self._without_config(values) if config is None else self._of(config)
        return self._found[key]

    def _without_config(self, values: dict[str, Any]) -> _Found:
        """For values of which no configuration can be made."""
        digest = id_of_fields({**self._base, **values})
        return _Found(digest, strategy=None, data=None, weights=None)

    def _of(self, config: TrainConfig) -> _Found:
        data = self._data_fingerprint(config)
        weights = self._weights_fingerprint(config)
        identity = config_id(
            config,
            data=data or config.dataset,
            weights=weights,
            teacher=self._teacher_fingerprint(config),
        )
        return _Found(identity, self._strategy(config), data, weights)

    def _data_fingerprint(self, config: TrainConfig) -> str | None:
        place = tuple(getattr(config, name) for name in PLACE)
        if place not in self._data:
            found = _attempt(lambda: load_data(config).fingerprint)
            if found is None:  # another trial may read the same data with settings that work
                return None
            self._data[place] = found
        return self._data[place]

    def _weights_fingerprint(self, config: TrainConfig) -> str | None:
        """Of the file as it is now; as it was last where it is gone."""
        place = (config.weights, config.backbone)
        found = _attempt(lambda: weights_fingerprint(config))
        if found is not None:
            self._weights[place] = found
        return self._weights.get(place)

    def _teacher_fingerprint(self, config: TrainConfig) -> str | None:
        teacher = config.teacher
        if teacher is None:
            return None
        found = _attempt(lambda: file_fingerprint(teacher))
        if found is not None:
            self._teachers[teacher] = found
        return self._teachers.get(teacher)

    def _strategy(self, config: TrainConfig) -> str | None:
        return _attempt(lambda: strategy_of(config, self._limits))


def id_of_fields(fields: Mapping[str, Any]) -> str:
    """An id from the plain fields of a configuration that cannot be read otherwise."""
    named = {name: value for name, value in fields.items() if name != "seed"}
    return hashlib.blake2b(_text(named).encode(), digest_size=6).hexdigest()


def _attempt(find: Callable[[], T]) -> T | None:
    """What `find` returns; None where it raises."""
    try:
        return find()
    except Exception:
        return None


def _text(fields: Mapping[str, Any]) -> str:
    return json.dumps(fields, sort_keys=True, default=repr)
