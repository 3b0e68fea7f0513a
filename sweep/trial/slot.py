"""Tune's trial: a slot that imports no torch and reports what a trainer process says."""

from typing import Any

import ray
from ray import tune

from sweep.trial.reports import NOTHING, Report, pack

ATTEMPT = "attempt"
"""What Tune knows of a trial: slots that died with it."""


class Slot(tune.Trainable):
    """One of the trials that Tune runs side by side, one after another in the same process.

    It asks the desk for the reports of its trial and returns all that there are, each of which
    Tune takes as the result of an epoch.
    """

    def setup(self, config: dict[str, Any], desk: Any) -> None:  # type: ignore[override]
        """Take the first trial; `desk` is the actor."""
        self.desk = desk
        self._begin(config)

    def _begin(self, config: dict[str, Any]) -> None:
        self.number: int = config["number"]
        self.attempt: int = config.get(ATTEMPT, 0)
        self.ready: list[Report] = []

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Take the next trial."""
        self._begin(new_config)
        return True

    def step(self) -> dict[str, Any]:
        """The next report of the trial."""
        if not self.ready:
            self.ready = ray.get(self.desk.reports.remote(self.number, self.attempt))
        return pack(self.ready.pop(0)) if self.ready else dict(NOTHING)

    def train_buffered(
        self, buffer_time_s: float, max_buffer_length: int = 1000
    ) -> list[dict[str, Any]]:
        """All reports that there are, at least one."""
        results = [self.train()]
        while self.ready and not results[-1]["done"]:
            results.append(self.train())
        return results
