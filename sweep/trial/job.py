"""The data that all trials of a sweep share, and the names and files of single trials."""

import dataclasses
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sweep.options.user_modules import UserModule
from tl_core.config import TrainConfig, config_from_dict


@dataclass(frozen=True)
class Job:
    """The data that all trials of a sweep share; sent to each worker once.

    Attributes:
        sweep: name of the sweep.
        base: fields of the base configuration.
        modules: the user's modules, loaded before the first trial.
        precisions: backbone → `precision` and `eval_precision` in place of auto.
        checkpoints: folder for the best weights of finished trials.
        trials_per_gpu: trials that share a GPU; 1 also without a GPU.
        run_id: distinguishes this run from other runs of a sweep of this name.
        planned: values of the trials from number `planned_from` on, where all are known in advance
            and some may be heads that train together.
        fresh_from: number of the first trial that was planned after the others had ended.
    """

    sweep: str
    base: dict[str, Any]
    modules: tuple[UserModule, ...]
    precisions: dict[str, dict[str, str]]
    checkpoints: str
    trials_per_gpu: int = 1
    run_id: str = field(default_factory=lambda: secrets.token_hex(4))
    planned: tuple[dict[str, Any], ...] = ()
    planned_from: int = 0
    fresh_from: int = 0

    def with_planned(self, first: int, values: list[dict[str, Any]]) -> "Job":
        """The job with the values of the trials from number `first` on."""
        planned = (*self.planned[:first], *values)
        begin = self.planned_from if self.planned else first
        return dataclasses.replace(self, planned=planned, planned_from=begin, fresh_from=first)

    def planned_values(self, number: int) -> dict[str, Any] | None:
        """Values of a trial; None if not known in advance."""
        place = number - self.planned_from
        return self.planned[place] if 0 <= place < len(self.planned) else None

    def config(self, values: dict[str, Any]) -> TrainConfig:
        """The whole configuration of a trial, `precision` resolved."""
        config = config_from_dict({**self.base, **values})
        measured = self.precisions.get(config.backbone, {})
        auto = {name: p for name, p in measured.items() if getattr(config, name) == "auto"}
        return config_from_dict(auto, config)

    def trial_id(self, number: int) -> str:
        """Name of a trial that is unique across sweeps."""
        return f"{self.sweep}_{number:05d}"

    def checkpoint(self, number: int) -> Path:
        """File with the best weights of a finished trial."""
        return Path(self.checkpoints) / f"{self.trial_id(number)}.pt"
