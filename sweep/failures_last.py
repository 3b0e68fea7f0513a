"""A TPE sampler that hears of trials without a result."""

import copy
from collections.abc import Container
from typing import Any

from optuna import Study
from optuna.distributions import BaseDistribution
from optuna.samplers import TPESampler
from optuna.trial import FrozenTrial, TrialState


class FailuresLast(TPESampler):
    """TPE that ranks failed trials with a violated constraint below all others.

    Optuna's own TPE looks at COMPLETE and PRUNED trials alone, so that one that is told FAIL
    teaches it nothing and it keeps proposing what fails, whatever the trial's constraints say.
    This one is shown such trials as PRUNED ones; their constraint puts them behind every trial
    that has a value. A failed trial without a constraint stays unseen. The study keeps its
    states.

    While no trial has a value, failures are not shown, and proposals are drawn at random: the best
    among failures alone would be one of them.
    """

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """As in Optuna."""
        return super().infer_relative_search_space(_with_failures(study), trial)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """As in Optuna."""
        return super().sample_relative(_with_failures(study), trial, search_space)

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """As in Optuna."""
        return super().sample_independent(
            _with_failures(study), trial, param_name, param_distribution
        )


def _with_failures(study: Study) -> Any:
    """Any, since it stands in for a study without being one."""
    return _WithFailures(study)


class _WithFailures:
    """A study as seen by TPE; what it does not define is the study's own."""

    def __init__(self, study: Study) -> None:
        self._study = study

    def __getattr__(self, name: str) -> Any:
        return getattr(self._study, name)

    def _get_trials(
        self,
        deepcopy: bool = True,
        states: Container[TrialState] | None = None,
        use_cache: bool = False,
    ) -> list[FrozenTrial]:
        """The method by which TPE reads a study, Optuna 5.0."""
        trials = self._study._get_trials(deepcopy=deepcopy, use_cache=use_cache)
        valued = (TrialState.COMPLETE, TrialState.PRUNED)
        if any(trial.state in valued for trial in trials):
            trials = [_shown(trial) for trial in trials]
        return trials if states is None else [t for t in trials if t.state in states]


def _shown(trial: FrozenTrial) -> FrozenTrial:
    if trial.state is not TrialState.FAIL or not trial.constraints:
        return trial
    shown = copy.copy(trial)
    shown.state = TrialState.PRUNED
    return shown
