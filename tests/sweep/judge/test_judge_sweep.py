"""The judging of the selected trials: their values, and what an error of one costs."""

import json
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest

from sweep.judge.judge_sweep import judge_sweep, trial_values
from sweep.judge.judge_trial import Judgement
from sweep.plan.resources import Resources
from sweep.results.schema import CLASSES, PREDICTIONS
from sweep.results.tables import read_table, write_rows
from tl_core.config import TrainConfig


@pytest.fixture
def rows(tmp_path):
    """Three trials, written and read as a sweep does, by what they have of their own."""
    own = [
        {"image_size": 96, "channels": (8, 16), "lr": 1.0},
        {"image_size": None, "channels": None, "lr": 0.1},
        {"image_size": 32, "channels": (8, 8), "lr": 2.0, "momentum": None},
    ]
    whole = {"status": "completed"}
    written = [
        {**whole, "trial_id": f"s-1_{n:05d}", **TrainConfig(seed=n).to_dict(), **values}
        for n, values in enumerate(own)
    ]
    write_rows(tmp_path, "trials", "s-1", written)
    table = read_table(tmp_path, "trials", "s-1").sort_values("trial_id")
    return [row for _, row in table.iterrows()], own


def test_values_are_those_that_the_trial_had(rows):
    read, own = rows
    plan = SimpleNamespace(varied=("image_size", "channels", "lr"), base=TrainConfig())
    for number, (row, wanted) in enumerate(zip(read, own, strict=True)):
        values = trial_values(plan, row)
        assert values == {**{k: wanted[k] for k in plan.varied}, "seed": number}
        TrainConfig(**values)  # refuses 96.0 pixels


RESOURCES = Resources(4, 0, concurrent=4, cpus_per_trial=1, trials_per_gpu=1, cpus_alone=4)
TINY = {"dataset": "digits", "width": 4, "depth": 1, "augmentation": "none"}
HEADS = {**TINY, "freeze_depth": 4}


class Tasks:
    """In place of the trainer processes: (trials, threads) of each task that they are given."""

    def __init__(self):
        self.given = []

    def call_each(self, calls):
        return [self._answer(call) for call in calls]

    def _answer(self, call):
        judgings, threads = call.args
        self.given.append((len(judgings), threads))
        try:
            return call()
        except Dies:
            return RuntimeError("the process died")


@pytest.fixture
def tasks():
    """What the trainer processes are given."""
    return Tasks()


class Dies(BaseException):
    """In place of the end of a process."""


@pytest.fixture
def judge(tmp_path, monkeypatch, trial_row, options, tasks):
    """judge(answers, **fields): the judging of three trials, the last the best, by `answers`.

    An answer is an error to raise or the number of images of the test split; fields are lists of
    one value a trial, `base` is of the sweep.
    """

    def of(answers, keep_top=3, base=TINY, **fields):
        folder = tmp_path / "runs" / "s1"
        folder.mkdir(parents=True)
        shared = {"data_fingerprint": "d", "strategy": "scratch"}
        written = [
            trial_row(
                n, 0.5 + n / 10,
                **{"config_id": f"c{n}", **shared, **{k: v[n] for k, v in fields.items()}},
            )
            for n in range(3)
        ]  # fmt: skip
        write_rows(tmp_path, "trials", "s1", written)
        trial = lambda job, number, *about, **more: judgement(answers[number])  # noqa: E731
        monkeypatch.setattr("sweep.judge.judge_sweep.judge_trial", trial)
        made_of = {"varied": ("lr",), "base": TrainConfig()}
        plan = SimpleNamespace(**made_of, options=options(keep_top=keep_top))
        config = lambda values: TrainConfig(**{**base, **values})  # noqa: E731
        job = SimpleNamespace(sweep="s1", config=config)
        return judge_sweep(plan, job, tmp_path, folder, RESOURCES, tasks.call_each)

    return of


def judgement(answer):
    if isinstance(answer, BaseException):
        raise answer
    probabilities = np.full((answer, 2), 0.5)
    labels = np.arange(answer) % 2
    row = {"split": "test", "class_name": "a", "predicted": [1, 0]}
    tables = {
        "predictions": pa.Table.from_pylist([{"label": int(n)} for n in labels], PREDICTIONS),
        "classes": pa.Table.from_pylist([row, {**row, "class_name": "b"}], CLASSES),
    }
    return Judgement({"val": 0.7, "test": 0.6}, False, tables, probabilities)


def test_a_trial_that_cannot_be_judged_does_not_cost_the_winner(judge, tmp_path):
    judged = judge([4, RuntimeError("no room"), 4])
    assert judged.winner["trial_id"] == "s1_00002"
    assert judged.notes == [
        "s1_00001 could not be judged on the test split: RuntimeError: no room"
    ]
    assert read_table(tmp_path, "evaluations", "s1")["members"].tolist() == [2]


def test_a_trial_that_cannot_even_be_asked_about_is_said(judge):
    judged = judge([4, 4, 4], best_epoch=[1, None, 1])
    assert judged.winner["trial_id"] == "s1_00002"
    assert judged.notes[0].startswith("s1_00001 could not be judged on the test split: ")


def test_heads_on_the_same_body_are_judged_in_one_task(judge, tasks):
    assert judge([4, RuntimeError("no room"), 4], base=HEADS).winner["trial_id"] == "s1_00002"
    assert tasks.given == [(3, 4)]  # with all processors


@pytest.mark.parametrize(
    "fields",
    [
        {"freeze_depth": 3},  # what is left to compute is dear
        {"freeze_depth": 0},
        {"augmentation": "light"},  # each sees its own images
        {"unfreeze_epochs": 1},
    ],
)
def test_other_trials_are_judged_side_by_side(judge, tasks, fields):
    assert judge([4, 4, 4], base={**HEADS, **fields}).notes == []
    assert tasks.given == [(1, 1)] * 3


def test_a_process_that_dies_costs_its_own_trial_alone(judge, tasks):
    judged = judge([4, Dies(), 4], base=HEADS)
    assert judged.winner["trial_id"] == "s1_00002"
    assert judged.notes == [
        "s1_00001 could not be judged on the test split: RuntimeError: the process died"
    ]
    assert tasks.given == [(3, 4), (1, 1), (1, 1), (1, 1)]


def test_votes_that_cannot_be_counted_do_not_cost_the_winner(judge):
    judged = judge([4, 6, 4])
    assert judged.winner["trial_id"] == "s1_00002"
    assert judged.notes[0].startswith("The best 3 could not vote together: ValueError")


def test_only_trials_on_the_winners_data_vote(judge, tmp_path):
    judged = judge([4, 6, 4], data_fingerprint=["d", "other", "d"])
    assert judged.notes == []
    assert read_table(tmp_path, "evaluations", "s1")["members"].tolist() == [2]


def test_the_winner_has_the_test_accuracy_of_all_its_seeds_and_the_verdict(judge):
    """Three seeds of one configuration, each judged: the interval is over these."""
    judged = judge([4, 4, 4], keep_top=1, config_id=["a", "a", "a"], seed=[0, 1, 2])
    winner = judged.winner
    assert (winner["test_accuracy"], winner["test_mean"], winner["test_images"]) == (0.6, 0.6, 4)
    assert winner["test_low"] < 0.6 < winner["test_high"]
    assert (winner["confirmed"], winner["runs"], winner["best_of"]) == (0, 3, 1)
    assert winner["val_mean"] == pytest.approx(0.6)
    assert winner["probability"] is None


def test_a_confirmed_winner_is_said_to_be(judge):
    phases = ["search", "confirm", "confirm"]
    judged = judge([4, 4, 4], keep_top=1, config_id=["a"] * 3, seed=[0, 1, 2], phase=phases)
    winner = judged.winner
    assert (winner["confirmed"], winner["runs"], winner["best_of"]) == (1, 2, 1)
    assert winner["optimism"] == pytest.approx(0.5 - 0.65)
    json.dumps(winner, allow_nan=False)  # it goes into sweep.json
