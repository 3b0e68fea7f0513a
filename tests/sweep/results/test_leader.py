"""The best so far is the one that the finished sweep would name."""

import math
import random
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from sweep.results.leader import Leader
from sweep.results.selection import best_seeds

STATUSES = ("running", "completed", "stopped", "timed_out", "failed", "diverged")


@dataclass
class Run:
    number: int
    values: dict[str, Any] = field(default_factory=dict)
    status: str = "running"
    best_val_accuracy: float = math.nan
    phase: str = "search"


def winner(runs):
    rows = [
        {
            "trial_id": f"s1_{run.number:05d}", "config_id": str(run.values["lr"]),
            "seed": run.values["seed"], "status": run.status,
            "best_val_accuracy": run.best_val_accuracy, "phase": run.phase,
        }
        for run in runs
    ]  # fmt: skip
    best = best_seeds(pd.DataFrame(rows), 1)
    return int(best[0]["trial_id"][-5:]) if best else None


def best_run(leader):
    return max(leader.lead, key=lambda r: (r.best_val_accuracy, -r.number), default=None)


def test_at_every_moment_it_is_the_winner_of_what_is_known():
    rng = random.Random(0)
    leader = Leader()
    runs = [Run(n, {"lr": n // 2, "seed": n % 2}) for n in range(12)]
    for step in range(150):
        known = runs[: 2 + step // 4]
        run = rng.choice(known)
        if rng.random() < 0.9:
            run.best_val_accuracy = rng.choice((0.25, 0.5, 0.75))
        else:
            run.status = rng.choice(STATUSES)
        leader.hear(run)
        if step % 5 == 0:
            best = best_run(leader)
            assert (best and best.number) == winner([r for r in known if heard(leader, r)])


def test_with_fresh_runs_too():
    rng = random.Random(1)
    for _ in range(8):
        leader = Leader()
        runs = [
            Run(n, {"lr": n % 4, "seed": n // 4}, phase="search" if n < 8 else "confirm")
            for n in range(20)
        ]
        known = []
        for run in runs:
            known.append(run)
            run.best_val_accuracy = rng.choice((0.25, 0.5, 0.75, math.nan))
            run.status = rng.choice(("completed", *STATUSES, "interrupted"))
            leader.hear(run)
            if len(known) % 5 == 0:
                best = best_run(leader)
                assert (best and best.number) == winner(known)


def test_equal_means_are_equal_whatever_the_order_of_their_seeds():
    rng = random.Random(0)
    for _ in range(60):
        runs = [
            Run(n, {"lr": n // 3, "seed": n % 3}, "completed", rng.randint(7, 10) / 10)
            for n in range(12)
        ]
        leader = Leader()
        for run in rng.sample(runs, len(runs)):
            leader.hear(run)
        assert best_run(leader).number == winner(runs)


def heard(leader, run):
    return any(run in runs.values() for runs in leader.runs.values())


def test_what_it_keeps_does_not_grow_with_the_epochs():
    leader = Leader()
    run = Run(0, {"lr": 0.1, "seed": 0})
    for epoch in range(1000):
        run.best_val_accuracy = epoch / 1000
        leader.hear(run)
    assert len(leader.heap) < 110
    assert best_run(leader) is run


def test_before_the_first_accuracy_there_is_none():
    leader = Leader()
    assert best_run(leader) is None
    leader.hear(Run(0, {"lr": 0.1, "seed": 0}))
    assert best_run(leader) is None


def test_the_configurations_that_have_an_accuracy_are_counted():
    leader = Leader()
    for number, accuracy in enumerate((0.5, math.nan, 0.7, 0.6)):
        leader.hear(Run(number, {"lr": number // 2, "seed": number % 2}, "completed", accuracy))
    assert leader.measured == 2
    assert [run.number for run in leader.lead] == [2, 3]
