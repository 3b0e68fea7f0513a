"""The confirmation: the best configurations of a search, trained again with fresh seeds.

The noisy numbers by which a search picks the best of many are too good for those it picks. Fresh
runs have no part in that choice: `sweep.results.selection` names the winner by their mean.
"""

import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from sweep.search.search import Search

USUAL = "5x3"
"""What a search that chooses among many is confirmed with. Own choice."""
MARGIN, SLACK_SECONDS = 1.2, 1.0
"""By which an estimated time is longer than what was measured. Own choice."""


@dataclass(frozen=True)
class Confirmation:
    """What is trained again after the search."""

    configurations: int
    """How many of the best; 0 for no confirmation."""
    seeds: tuple[int, ...] = ()
    """Fresh training seeds; each configuration runs with each."""
    groups: tuple[str, ...] = ()
    """Columns of `trials`; the best of each of their values is confirmed too."""
    extra: int = 0
    """Configurations that these can add, at most."""

    @property
    def trials(self) -> int:
        """Of the best configurations alone."""
        return self.configurations * len(self.seeds)

    @property
    def most_trials(self) -> int:
        """With the best of each group, where none of these is among the best."""
        return (self.configurations + self.extra) * len(self.seeds)

    def __str__(self) -> str:
        seeds, more = len(self.seeds), self.most_trials - self.trials
        ending = "" if seeds == 1 else "s"
        best = f"{self.configurations} × {seeds} seed{ending} = {self.trials} trials"
        return f"{best}, and the best of each strategy: at most {more} more" if more else best


def confirmation_of(
    asked: str | None, search: Search, configurations: int, groups: Mapping[str, int]
) -> Confirmation:
    """What `--confirm` asks for, or what is usual for a search of that many configurations.

    Unasked, only a search that chooses among several is confirmed; grids and designs compare
    configurations that were given. `groups`: column of `trials` → number of its values; the best
    of each is confirmed too.
    """
    usual = USUAL if not search.is_listed and configurations > 1 else "0"
    best, _, repeats = (asked or usual).partition("x")
    confirmed = min(int(best), configurations)
    if not confirmed:
        return Confirmation(0)
    first = max(search.seeds) + 1
    seeds = tuple(range(first, first + int(repeats)))
    extra = min(math.prod(groups.values()) - 1, configurations - confirmed)
    return Confirmation(confirmed, seeds, tuple(groups), extra)


class Timed(Protocol):
    """When a trial ran, and how far it came."""

    epoch: int
    started_at: datetime | None
    ended_at: datetime | None


def seconds_needed(
    best: Collection[Collection[Timed]],
    trials: int,
    *,
    epochs: int,
    concurrent: int,
    now: datetime,
) -> float | None:
    """Seconds that a confirmation takes, with a margin; None while no epoch has ended.

    They follow from how long the epochs of the best so far took.

    Args:
        best: the runs of each of the best configurations.
        trials: of the confirmation, `concurrent` of them side by side, of `epochs` each.
        now: the time up to which a run that has no end counts.
    """
    lengths = []
    for runs in best:
        spent = [
            ((run.ended_at or now) - run.started_at).total_seconds()
            for run in runs
            if run.epoch and run.started_at is not None
        ]
        if spent:
            lengths.append(epochs * sum(spent) / sum(run.epoch for run in runs))
    if not lengths:
        return None
    rounds = math.ceil(trials / concurrent)
    mean = sum(lengths) / len(lengths)
    last = max(lengths) - mean  # where the longest is the last
    return MARGIN * (rounds * mean + last) + SLACK_SECONDS


def unconfirmed_line(
    statuses: Sequence[tuple[str, str]], confirmation: Confirmation, why: str
) -> str | None:
    """A line on a confirmation that was cut off; None where it was not.

    `statuses` has (config_id, status) of each of its trials, and is empty where it did not begin;
    `why` says what cut it off, such as "the time budget ended".
    """
    if not statuses:
        return f"Not confirmed with fresh seeds: {why} before."
    cut = Counter(config for config, status in statuses if status in ("interrupted", "timed_out"))
    if not cut:
        return None
    each = len(confirmation.seeds)
    whole = len({config for config, _ in statuses} - set(cut))
    none = sum(missing == each for missing in cut.values())
    return (
        f"Of {whole + len(cut)} configurations to confirm with {each} fresh seeds, {whole} have"
        f" all, {len(cut) - none} some, {none} none: {why}."
    )
