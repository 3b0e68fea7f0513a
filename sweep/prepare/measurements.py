"""Measurements before the first trial, in a trainer process; none ends a sweep."""

from collections.abc import Callable, Iterable
from operator import itemgetter
from typing import Any, Protocol, TypeVar

from sweep.configurations.distinct import Values
from sweep.faults import last_line
from sweep.prepare.in_process import measure_packing, measure_precision
from sweep.prepare.trial_shapes import memory_weight
from sweep.trial.job import Job
from tl_core.config import TrainConfig
from tl_core.datasets import load_data
from tl_core.train.precision import PHASES, remembered_precision

Found = TypeVar("Found")
T = TypeVar("T")
FP32 = dict.fromkeys(PHASES, "fp32")


class Caller(Protocol):
    """Calls a function in a trainer process."""

    def __call__(self, function: Callable[..., T], *arguments: Any) -> T:
        """What the function returns there; its errors pass through."""


def measured_precisions(
    job: Job, shapes: Iterable[Values], auto: Iterable[str], call: Caller, *, here: bool
) -> tuple[dict[str, dict[str, str]], list[str]]:
    """Measure which precision is faster for each backbone, at a size that its trials have.

    Args:
        job: of the trials.
        shapes: values of trials, as `trial_shapes` gives them.
        auto: the fields of PHASES that are `auto` in some trial.
        call: calls a function in a trainer process.
        here: whether trials run on this machine, which may remember what it measured.

    Returns:
        Backbone → what `auto` means in each field, fp32 where nothing could be measured; and a
        line for each backbone where that is so.
    """

    def measure(values: Values) -> dict[str, str]:
        values = {**values, **dict.fromkeys(auto, "auto")}
        known = _remembered(job.config(values)) if here else None
        return known or call(measure_precision, job, values)

    precisions, lines = {}, []
    for backbone, candidates in _by_backbone(job, shapes).items():
        found, error = _first(measure, candidates)
        precisions[backbone] = found or FP32
        if found is None:
            lines.append(f"The precision of {backbone} could not be measured ({error}): fp32.")
    return precisions, lines


def measured_packing(job: Job, shapes: Iterable[Values], call: Caller) -> tuple[int, list[str]]:
    """How many trials share a GPU, by what the heaviest of each backbone takes of a whole one.

    Also a line for each backbone that could not be measured, which makes it 1. `job` has its
    precisions resolved; `shapes` and `call` as in `measured_precisions`.
    """
    fitting, lines = [], []
    for backbone, candidates in _by_backbone(job, shapes).items():
        found, error = _first(lambda values: call(measure_packing, job, values), candidates[:1])
        fitting.append(found or 1)
        if found is None:
            what = f"How many trials of {backbone} fit on a GPU"
            lines.append(f"{what} could not be measured ({error}): 1.")
    return min(fitting, default=1), lines


def _first(
    measure: Callable[[Values], Found], candidates: list[Values]
) -> tuple[Found | None, str]:
    """What can be measured first; None and the first error where nothing can."""
    errors = []
    for values in candidates:
        try:
            return measure(values), ""
        except Exception as error:
            errors.append(last_line(getattr(error, "cause", None) or error))
    return None, errors[0]


def _by_backbone(job: Job, shapes: Iterable[Values]) -> dict[str, list[Values]]:
    """Backbone → a configuration for each data set and image size, the heaviest first."""
    found: dict[str, dict[tuple[str, int], Values]] = {}
    weighed = []
    for values in shapes:
        config = job.config(values)
        side = load_data(config).image_size
        weight = memory_weight(config.to_dict()) * side**2
        sizes = found.setdefault(config.backbone, {})
        weighed.append((weight, sizes, (config.dataset, side), values))
    for _, sizes, size, values in sorted(weighed, key=itemgetter(0), reverse=True):
        sizes.setdefault(size, values)
    return {backbone: list(sizes.values()) for backbone, sizes in found.items()}


def _remembered(config: TrainConfig) -> dict[str, str] | None:
    """What was measured on this machine before, where that leaves nothing open."""
    known = remembered_precision(config, load_data(config))
    phases = {phase: getattr(known, phase) for phase in PHASES}
    return None if "auto" in phases.values() else phases
