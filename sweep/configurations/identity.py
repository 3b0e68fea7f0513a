"""The columns that name a trial's configuration: its settings, `config_id`, and fingerprints."""

import hashlib
import json
from collections.abc import Callable, Mapping
from typing import TypeVar

from search_spaces.domains import Limits
from sweep.configurations.distinct import Values
from sweep.configurations.transfer_strategies import strategy_of
from tl_core.config import TrainConfig, config_id
from tl_core.datasets import load_data
from tl_core.models.source_weights import file_fingerprint, weights_fingerprint

PLACE = ("dataset", "data_dir", "cache_dir")
"""Fields that decide which data set a configuration reads."""
T = TypeVar("T")


class Identifier:
    """Names configurations by what they train, data and weights by content.

    Nothing here raises: a trial whose data, weights or model cannot be read still gets an id, the
    same for all its seeds, and null in the columns that are unknown. Each data set is read once.

    Args:
        config: (values) → the whole configuration of a trial.
        base: fields of the base configuration, which the values of a trial replace.
        limits: ("stages", values) → number of stages of the model.
    """

    def __init__(
        self, config: Callable[[Values], TrainConfig], base: Mapping[str, object], limits: Limits
    ) -> None:
        self._config, self._base, self._limits = config, base, limits
        self._found: dict[str, dict[str, str | None]] = {}
        self._files: dict[tuple[object, ...], str] = {}

    def identify(self, values: Values) -> Values:
        """Columns of the `trials` table that a trial's values, `seed` among them, decide.

        They are the fields of the configuration, `strategy`, `config_id`, `data_fingerprint` and
        `weights_fingerprint`.
        """
        return {**self._fields(values), **self._find(values)}

    def config_id(self, values: Values) -> str:
        """12 hexadecimal digits, the same for the seeds of one configuration."""
        return str(self._find(values)["config_id"])

    def _fields(self, values: Values) -> Values:
        config = _attempt(lambda: self._config(values))
        return {**self._base, **values} if config is None else config.to_dict()

    def _find(self, values: Values) -> dict[str, str | None]:
        """What identifies a configuration beside its settings; None where it cannot be found."""
        key = id_of_fields(values)
        if key not in self._found:
            config = _attempt(lambda: self._config(values))
            self._found[key] = self._unknown(values) if config is None else self._known(config)
        return self._found[key]

    def _unknown(self, values: Values) -> dict[str, str | None]:
        """Of values of which no configuration can be made."""
        fields = self._fields(values)
        known = {"strategy": fields.get("strategy"), "config_id": id_of_fields(fields)}
        return {**known, "data_fingerprint": None, "weights_fingerprint": None}

    def _known(self, config: TrainConfig) -> dict[str, str | None]:
        place = tuple(getattr(config, name) for name in PLACE)
        # What cannot be read is tried again: another trial may have settings that work.
        data = self._files.get(place) or self._file(place, lambda: load_data(config).fingerprint)
        source, path = (config.weights, config.backbone), config.teacher
        weights = self._file(source, lambda: weights_fingerprint(config))
        teacher = self._file((path,), lambda: path and file_fingerprint(path))
        data_name = data or config.dataset
        return {
            "strategy": _attempt(lambda: strategy_of(config, self._limits)),
            "config_id": config_id(config, data=data_name, weights=weights, teacher=teacher),
            "data_fingerprint": data,
            "weights_fingerprint": weights,
        }

    def _file(self, place: tuple[object, ...], find: Callable[[], str | None]) -> str | None:
        """The fingerprint of a file as it is now; as it was last where it is gone."""
        if (found := _attempt(find)) is not None:
            self._files[place] = found
        return self._files.get(place)


def id_of_fields(fields: Mapping[str, object]) -> str:
    """An id from the plain fields of a configuration, without its seed."""
    named = {name: value for name, value in fields.items() if name != "seed"}
    text = json.dumps(named, sort_keys=True, default=repr)
    return hashlib.blake2b(text.encode(), digest_size=6).hexdigest()


def _attempt(find: Callable[[], T]) -> T | None:
    """What `find` returns; None where it raises."""
    try:
        return find()
    except Exception:
        return None
