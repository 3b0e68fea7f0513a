"""After the trials: which are judged, the judging side by side, the weights that are kept."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa

from sweep.faults import last_line
from sweep.judge.accuracy_interval import accuracy_interval
from sweep.judge.judge_trial import Judgement, judge_in_turn, judge_trial, judged_tables
from sweep.judge.verdict import verdict
from sweep.plan.plan import Plan
from sweep.plan.resources import Resources
from sweep.results.folders import weights_file
from sweep.results.selection import best_seeds, counting_runs, to_judge
from sweep.results.tables import append, read_table
from sweep.terminal.values import is_missing, plain
from sweep.trial.heads_alike import trains_a_head
from sweep.trial.job import Job
from tl_core.config import field_type

Judging = Callable[..., Judgement]
"""`judge_trial` of one trial, all but its threads given."""
Answers = list[Judgement | str]
CallEach = Callable[[Sequence[Callable[[], Answers]]], Sequence[Answers | Exception]]
"""Makes calls side by side: what each returns, or raises."""
BODY = ("dataset", "data_dir", "image_size", "backbone", "model_args", "weights", "freeze_depth")
"""Fields in which heads on the same activations are equal. Others may decide these too, such as
the seed of random weights; they are computed anew then."""


class Judged(NamedTuple):
    """What the test split said: the manifest's `winner`, and lines on what was not judged."""

    winner: dict[str, Any] | None
    notes: list[str]


def judge_sweep(
    plan: Plan, job: Job, results: Path, folder: Path, resources: Resources, call_each: CallEach
) -> Judged:
    """Measure the selected trials on the test split and write what was found.

    The sweep's `folder` keeps the weights of the best `--keep-top` configurations. `call_each`
    makes calls side by side where trials were trained, and returns what they return or raise.
    """
    trials = read_table(results, "trials", job.sweep)
    top = [row["trial_id"] for row in best_seeds(trials, plan.options.keep_top)]
    if not top:
        return Judged(None, [])
    rows = to_judge(trials, plan.options.keep_top)
    found, notes = _judge(plan, job, folder, resources, call_each, rows, top)
    written = [judgement.tables for judgement in found.values()]
    data = rows["data_fingerprint"]
    voters = [found[trial] for trial in top if trial in found and data[trial] == data[top[0]]]
    if len(voters) > 1:
        try:
            written.append(_ensemble(job.sweep, voters))
        except Exception as error:
            notes.append(f"The best {len(voters)} could not vote together: {last_line(error)}")
    for tables in written:
        for table, part in tables.items():
            append(results, table, job.sweep, part)
    if top[0] not in found:
        return Judged(None, notes)
    return Judged(_winner(plan, folder, trials, rows.loc[top[0]], found), notes)


def _judge(
    plan: Plan,
    job: Job,
    folder: Path,
    resources: Resources,
    call_each: CallEach,
    rows: pd.DataFrame,
    top: list[str],
) -> tuple[dict[str, Judgement], list[str]]:
    """The judgements by trial, and a line on each trial that could not be judged."""
    judgings: dict[str, Judging] = {}
    outcomes: dict[str, Judgement | str] = {}
    tasks: dict[object, list[str]] = {}
    for name, row in rows.iterrows():
        trial = str(name)
        place = top.index(trial) if trial in top else None
        number = int(trial.rsplit("_", 1)[1])
        try:
            values = trial_values(plan, row)
            judgings[trial] = partial(
                judge_trial, job, number, values, int(row["best_epoch"]),
                None if place is None else weights_file(folder, place),
                votes=place is not None and len(top) > 1, with_images=place == 0,
            )  # fmt: skip
        except Exception as error:
            outcomes[trial] = last_line(error)
            continue
        tasks.setdefault(_body(job, values) or trial, []).append(trial)
    outcomes |= _run(judgings, list(tasks.values()), resources, call_each)
    found, notes = {}, []
    for trial in rows.index:
        outcome = outcomes[trial]
        if isinstance(outcome, Judgement):
            found[trial] = outcome
        else:
            notes.append(f"{trial} could not be judged on the test split: {outcome}")
    return found, notes


def _body(job: Job, values: dict[str, Any]) -> tuple[object, ...] | None:
    """What trials share that are heads on the same activations; None for any other trial.

    Such trials are judged in one task, in which the frozen stages see the test split once, with
    all threads. Others take longer and are judged side by side.
    """
    try:
        config = job.config(values)
    except Exception:  # its judging will say so
        return None
    return tuple(getattr(config, name) for name in BODY) if trains_a_head(config) else None


def _run(
    judgings: dict[str, Judging],
    tasks: list[list[str]],
    resources: Resources,
    call_each: CallEach,
) -> dict[str, Judgement | str]:
    """Judge the trials of each task, tasks side by side: judgements, or what went wrong.

    Where the process of several trials dies, each is judged again in a task of its own.
    """
    alone = len(tasks) == 1  # nothing else runs now
    threads = resources.cpus_alone if alone else resources.cpus_per_trial
    calls = [
        partial(judge_in_turn, [judgings[trial] for trial in task], threads) for task in tasks
    ]
    outcomes: dict[str, Judgement | str] = {}
    again: list[list[str]] = []
    for task, answers in zip(tasks, call_each(calls), strict=True):
        if not isinstance(answers, Exception):
            outcomes |= zip(task, answers, strict=True)
        elif len(task) > 1:
            again += [[trial] for trial in task]
        else:
            outcomes[task[0]] = last_line(answers)
    return outcomes | (_run(judgings, again, resources, call_each) if again else {})


def trial_values(plan: Plan, row: pd.Series) -> dict[str, Any]:
    """The fields in which a trial may differ from the base, as a row of `trials` has them."""
    own = [*plan.varied, "seed"]
    if row["epochs"] != plan.base.epochs:  # it was made longer
        own.append("epochs")
    return {name: field_value(name, row[name]) for name in own}


def _winner(
    plan: Plan, folder: Path, trials: pd.DataFrame, row: pd.Series, found: dict[str, Judgement]
) -> dict[str, Any]:
    """The manifest's entry, with the interval over all runs that count, and the verdict."""
    judged, keep = found[row["trial_id"]], weights_file(folder, 0)
    runs = counting_runs(trials)
    of_winner = runs.loc[runs["config_id"] == row["config_id"], "trial_id"]
    accuracies = [found[trial].accuracy["test"] for trial in of_winner if trial in found]
    known = verdict(trials)
    assert known is not None
    return {
        "trial_id": row["trial_id"],
        "values": trial_values(plan, row),
        "val_accuracy": judged.accuracy["val"],
        "test_accuracy": judged.accuracy["test"],
        "retrained": judged.retrained,
        "weights": str(keep) if keep.exists() else None,
        **asdict(accuracy_interval(accuracies, judged.tables["predictions"].num_rows)),
        **asdict(known),
    }


def _ensemble(sweep: str, voters: list[Judgement]) -> dict[str, pa.Table]:
    """What the best configurations say together, by the mean of their probabilities."""
    members = [v.probabilities for v in voters if v.probabilities is not None]
    labels = voters[0].tables["predictions"]["label"].to_numpy()
    rows = voters[0].tables["classes"].to_pylist()
    classes = [row["class_name"] for row in rows if row["split"] == "test"]
    answers = {"test": (np.mean(members, axis=0), labels)}
    name = f"{sweep}_top{len(voters)}"
    return judged_tables(name, classes, answers, members=len(voters))


def field_value(name: str, value: object) -> object:
    """A cell of a frame as the plain value of a config field; NaN is None.

    pandas holds whole numbers as real ones in a column in which some are missing.
    """
    value = plain(value)
    if is_missing(value):
        return None
    return int(value) if isinstance(value, float) and field_type(name)[0] is int else value
