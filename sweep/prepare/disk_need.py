"""How much disk a sweep may need for weights and states while it runs, known before it starts."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from sweep.configurations.distinct import Values
from sweep.plan.plan import Plan
from sweep.results.selection import GROUP
from sweep.trial.heads_alike import trains_a_head
from tl_core.config import TrainConfig, config_from_dict
from tl_core.errors import BadInput
from tl_core.machine.disk import LEAST_FREE, free_bytes, size
from tl_core.models import tensor_bytes

KEPT_CHECKPOINTS = 6
"""Trials of each group in the search whose weights are kept while a sweep runs, the best ones; of
the confirmation all are. A selected trial without weights is trained again."""
MOST_TOGETHER = 32
"""Heads that a trainer process may train as a group."""
TENSORS_OF_STATE = 4
"""Sizes of what a run may change in its state: weights, best weights, two of an optimizer."""
ABOUT = {"channels": 3, "num_classes": 100, "image_size": 64}
"""Of models whose data are not looked at."""
SHOWN = 10**9
"""A need of more bytes is said. Own choice."""


@dataclass(frozen=True)
class DiskNeed:
    """What a sweep may need at most, and its largest file, in bytes."""

    total: int
    largest: int

    def line(self, folder: Path) -> str | None:
        """What to say before the start; None where it is little."""
        free = free_bytes(folder)
        if self.total <= min(SHOWN, free):
            return None
        need = f"This sweep may need {size(self.total)} in {folder} for weights while it runs"
        short = "; trials wait where space is short" if self.total > free else ""
        return f"{need}, where {size(free)} are free{short}."


def disk_need(plan: Plan, shapes: Iterable[Values]) -> DiskNeed:
    """What a plan may need.

    Args:
        plan: of the sweep.
        shapes: values of its trials, as `trial_shapes` gives them.
    """
    groups = math.prod(len(plan.levels(name)) for name in GROUP)
    kept = min(plan.most_searched, KEPT_CHECKPOINTS * groups) + plan.confirmation.most_trials
    live = min(plan.concurrent or 1, plan.most_trials)
    found = [_of_trial(config_from_dict(values, plan.base), kept, live) for values in shapes]
    totals, largest = zip(*found, strict=True) if found else ((0,), (0,))
    return DiskNeed(max(totals), max(largest))


def _of_trial(config: TrainConfig, kept: int, live: int) -> tuple[int, int]:
    """Bytes where all trials are like this one: in all, and of the largest file."""
    try:
        whole, moving = tensor_bytes(config, **ABOUT)
    except Exception:  # its trial says so
        return 0, 0
    together = MOST_TOGETHER if trains_a_head(config) else 1
    state = TENSORS_OF_STATE * moving
    return kept * moving + (live * together + 1) * state + whole, max(whole, state)


def check_space(folder: Path, option: str) -> None:
    """Refuse a folder whose disk is short of space already.

    Raises:
        BadInput: no trial would begin.
    """
    if (free := free_bytes(folder)) < LEAST_FREE:
        raise BadInput(
            f"{option} {folder}: {size(free)} are free on its disk, and trials begin only where"
            f" {size(LEAST_FREE)} are; free some space, or give another folder."
        )
