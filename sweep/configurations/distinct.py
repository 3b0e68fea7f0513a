"""Which configurations of a sweep are one and the same, so that each is trained once."""

from collections.abc import Callable, Hashable
from typing import Any

from tl_core.config import TrainConfig, config_from_dict, config_id

Values = dict[str, Any]
"""Values of the fields in which a configuration differs from the base."""
Identify = Callable[[Values], Hashable]


class Distinct:
    """The configurations that a sweep has had, equal where `identify` gives the same id."""

    def __init__(self, identify: Identify) -> None:
        self.identify = identify
        self.seen: set[Hashable] = set()

    def add(self, values: Values) -> bool:
        """Take a configuration in; False where the sweep has had it."""
        identity = self.identify(values)
        if identity in self.seen:
            return False
        self.seen.add(identity)
        return True

    def __contains__(self, values: Values) -> bool:
        return self.identify(values) in self.seen


def by_settings(base: TrainConfig) -> Identify:
    """Identity by the settings alone, without reading files, so that two paths of one differ.

    It never raises.
    """

    def identify(values: Values) -> Hashable:
        try:
            config = config_from_dict(values, base)
            return config_id(config, data=f"{config.dataset} in {config.data_dir}")
        except Exception:  # no configuration can be made of them: they are what they are
            return repr(sorted(values.items()))

    return identify
