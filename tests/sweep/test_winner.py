from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from sweep import winner as module
from sweep.trainable import Job
from sweep.winner import choose_winner, measure_winner
from tl_core.checkpoint import save_checkpoint

NAN = float("nan")


def trials(*rows):
    frame = pd.DataFrame(rows, columns=["config_id", "status", "best_val_accuracy"])
    return frame.assign(trial_id=[f"s1_{number:05d}" for number in range(len(rows))])


WINNERS = {
    "the highest mean, not the highest trial": (
        [("a", "completed", 0.9), ("b", "completed", 0.8), ("a", "completed", 0.5),
         ("b", "completed", 0.7)],
        1,
    ),
    "the best seed of the best": (
        [("a", "completed", 0.5), ("b", "completed", 0.7), ("b", "completed", 0.8)], 2,
    ),
    "stopped trials count": ([("a", "completed", 0.5), ("b", "stopped", 0.6)], 1),
    "one with a failed seed does not win": (
        [("a", "completed", 0.9), ("a", "failed", NAN), ("b", "completed", 0.4)], 2,
    ),
    "nor one with a diverged seed, whatever it reached": (
        [("a", "diverged", 0.95), ("a", "completed", 0.9), ("b", "completed", 0.4)], 2,
    ),
    "nor one with an interrupted seed": (
        [("a", "completed", 0.9), ("b", "completed", 0.4), ("a", "interrupted", 0.3)], 1,
    ),
    "unless there is no other": (
        [("a", "failed", 0.3), ("a", "completed", 0.5), ("b", "timed_out", 0.4)], 1,
    ),
    "a sound one without a value is none": (
        [("a", "completed", NAN), ("b", "timed_out", 0.4)], 1,
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", WINNERS)
def test_the_winner(case):
    rows, number = WINNERS[case]
    assert choose_winner(trials(*rows))["trial_id"] == f"s1_{number:05d}"


def test_without_an_accuracy_there_is_no_winner():
    assert choose_winner(trials()) is None
    assert choose_winner(trials(("a", "failed", NAN), ("b", "interrupted", NAN))) is None


class Recorder:
    """In place of a Trainer: predicts by hand, and writes down what is asked of it."""

    made = None

    def __init__(self, config, data):
        Recorder.made = self
        self.config, self.data = config, data
        self.epoch = 0
        self.restored = False
        self.model = torch.nn.Linear(1, 1)

    def run_epoch(self):
        self.epoch += 1

    def restore_best(self):
        self.restored = True

    def predict(self, split):
        self.threads = torch.get_num_threads()
        labels = torch.tensor(split["labels"])
        return torch.nn.functional.one_hot(torch.tensor(split["predicted"]), 2), labels


DATA = SimpleNamespace(
    classes=("cat", "dog"),
    val={"labels": [0, 1], "predicted": [0, 1]},
    test={"labels": [0, 0, 0, 1], "predicted": [0, 0, 1, 1]},
)


@pytest.fixture
def job(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "Trainer", Recorder)
    monkeypatch.setattr(module, "load_data", lambda config: DATA)
    return Job("s1", {"epochs": 9}, (), {}, str(tmp_path))


def test_the_winner_is_measured_from_its_checkpoint(job):
    weights = {"weight": torch.tensor([[3.0]]), "bias": torch.tensor([4.0])}
    save_checkpoint(job.checkpoint(7), {"model": weights})
    measured = measure_winner(job, 7, {"lr": 0.3, "seed": 2}, 5)
    trainer = Recorder.made
    assert (trainer.epoch, measured["retrained"]) == (0, False)
    assert (trainer.model.weight.item(), trainer.model.bias.item()) == (3.0, 4.0)
    assert (trainer.config.lr, trainer.config.seed, trainer.config.epochs) == (0.3, 2, 9)
    assert measured["accuracy"] == {"val": 1.0, "test": 0.75}


def test_without_a_checkpoint_it_is_trained_to_its_best_epoch(job):
    measured = measure_winner(job, 7, {}, 5)
    assert (Recorder.made.epoch, Recorder.made.restored) == (5, True)
    assert measured["retrained"]


def test_every_class_of_both_splits_has_a_row(job):
    rows = measure_winner(job, 7, {}, 1)["rows"]
    assert [(row["split"], row["class_index"], row["class_name"]) for row in rows] == [
        ("val", 0, "cat"),
        ("val", 1, "dog"),
        ("test", 0, "cat"),
        ("test", 1, "dog"),
    ]
    cat = rows[2]  # of three cats two are called cat, and nothing else is
    assert (cat["trial_id"], cat["images"], cat["predicted"]) == ("s1_00007", 3, [2, 1])
    assert (cat["precision"], cat["recall"], cat["f1"]) == pytest.approx((1.0, 2 / 3, 0.8))
    assert {row["split_accuracy"] for row in rows[2:]} == {0.75}
    assert not any(isinstance(value, np.generic) for row in rows for value in row.values())


def test_it_is_judged_on_as_many_threads_as_there_are_for_it(job):
    before = torch.get_num_threads()
    try:
        for threads in (1, 2):
            measure_winner(job, 7, {}, 1, threads=threads)
            assert Recorder.made.threads == threads
    finally:
        torch.set_num_threads(before)
