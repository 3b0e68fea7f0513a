"""The data that all trials of a sweep share, and the names and files of single trials."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from sweep.options.user_modules import UserModule
from sweep.results.folders import errors_folder
from tl_core.config import TrainConfig, config_from_dict


@dataclass(frozen=True)
class Job:
    """The data that all trials of a sweep share; sent to each trainer process once.

    Attributes:
        sweep: name of the sweep.
        base: fields of the base configuration.
        modules: the user's modules, loaded before the first trial.
        precisions: backbone → `precision` and `eval_precision` in place of auto.
        checkpoints: folder for the best weights of finished trials.
        states: folder for the states of live trials; none are kept where it is not there.
    """

    sweep: str
    base: dict[str, Any]
    modules: tuple[UserModule, ...]
    precisions: dict[str, dict[str, str]]
    checkpoints: str
    states: str = ""

    def config(self, values: dict[str, Any]) -> TrainConfig:
        """The whole configuration of a trial, `precision` resolved."""
        config = config_from_dict(values, self._base)
        measured = self.precisions.get(config.backbone, {})
        auto = {name: p for name, p in measured.items() if getattr(config, name) == "auto"}
        return config_from_dict(auto, config) if auto else config

    @cached_property
    def _base(self) -> TrainConfig:
        return config_from_dict(self.base)

    def trial_id(self, number: int) -> str:
        """Name of a trial that is unique across sweeps."""
        return f"{self.sweep}_{number:05d}"

    def checkpoint(self, number: int) -> Path:
        """File with the best weights of a finished trial."""
        return Path(self.checkpoints) / f"{self.trial_id(number)}.pt"

    def state(self, number: int) -> Path:
        """File with the state of a trial that trains."""
        return Path(self.states) / f"{self.trial_id(number)}.pt"

    @property
    def processes(self) -> Path:
        """Folder for what trainer processes write to their standard error."""
        return Path(self.checkpoints).with_name("processes")

    def error_file(self, number: int) -> Path:
        """File with the whole traceback of a failed trial."""
        return errors_folder(Path(self.checkpoints).parent) / f"{self.trial_id(number)}.txt"
