"""What the test split says of a trial, worked out by hand."""

from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from sweep.judge import judge_trial as module
from sweep.judge.judge_trial import judge_in_turn, judge_trial
from sweep.trial.job import Job
from tl_core.datasets.images.white_levels import WhiteLevels
from tl_core.train.checkpoint import save_checkpoint
from tl_core.weights.weights_file import read_metadata


class Recorder:
    """In place of a Trainer: predicts by hand, and writes down what is asked of it."""

    made = None

    def __init__(self, config, data):
        Recorder.made = self
        self.config, self.data = config, data
        self.epoch = 0
        self.batches = None
        self.best_weights = {}
        self.model = torch.nn.Linear(1, 1)

    def run_epoch(self):
        self.epoch += 1
        self.best_weights = {"weight": torch.full((1, 1), float(self.epoch))}

    def predict(self, split):
        self.threads = torch.get_num_threads()
        labels = torch.tensor(split.labels)
        return 9.0 * torch.nn.functional.one_hot(torch.tensor(split.predicted), 2), labels


DATA = SimpleNamespace(
    classes=("cat", "dog"),
    val=SimpleNamespace(labels=[0, 1], predicted=[0, 1]),
    test=SimpleNamespace(
        labels=[0, 0, 0, 1],
        predicted=[0, 0, 1, 1],
        indices=np.arange(4),
        images=SimpleNamespace(take=lambda at: np.full((len(at), 1, 2, 2), 7, np.uint8)),
    ),
)


@pytest.fixture
def job(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "Trainer", Recorder)
    monkeypatch.setattr(module, "load_data", lambda config: DATA)
    return Job("s1", {"epochs": 9}, (), {}, str(tmp_path))


def test_the_winner_is_measured_from_its_checkpoint(job):
    weights = {"weight": torch.tensor([[3.0]]), "bias": torch.tensor([4.0])}
    save_checkpoint(job.checkpoint(7), {"model": weights, "epoch": 5})
    measured = judge_trial(job, 7, {"lr": 0.3, "seed": 2}, 5)
    trainer = Recorder.made
    assert (trainer.epoch, measured.retrained) == (0, False)
    assert (trainer.model.weight.item(), trainer.model.bias.item()) == (3.0, 4.0)
    assert (trainer.config.lr, trainer.config.seed, trainer.config.epochs) == (0.3, 2, 9)
    assert measured.accuracy == {"val": 1.0, "test": 0.75}


@pytest.mark.parametrize("kept", [None, 8], ids=["none", "of an epoch after it was stopped"])
def test_without_a_checkpoint_of_its_best_epoch_it_is_trained_to_that(job, kept):
    if kept:
        weights = {"weight": torch.tensor([[8.0]])}
        save_checkpoint(job.checkpoint(7), {"model": weights, "epoch": kept})
    measured = judge_trial(job, 7, {}, 5)
    assert (Recorder.made.epoch, Recorder.made.model.weight.item()) == (5, 5.0)
    assert measured.retrained


def test_without_a_whole_checkpoint_it_is_trained_again(job):
    save_checkpoint(job.checkpoint(7), {"model": {"weight": torch.tensor([[5.0]])}, "epoch": 5})
    job.checkpoint(7).write_bytes(job.checkpoint(7).read_bytes()[:-50])
    measured = judge_trial(job, 7, {}, 5)
    assert (Recorder.made.epoch, measured.retrained) == (5, True)


def test_every_class_of_both_splits_has_a_row(job):
    rows = judge_trial(job, 7, {}, 1).tables["classes"].to_pylist()
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
            judge_trial(job, 7, {}, 1, threads=threads)
            assert Recorder.made.threads == threads
    finally:
        torch.set_num_threads(before)


def test_a_trial_that_fails_costs_no_other_of_its_task(job):
    failing = partial(judge_trial, job, 1, {"lr": -1.0}, 1)
    found = judge_in_turn([partial(judge_trial, job, n, {}, n) for n in (4, 5)] + [failing], 1)
    first, second, third = judge_in_turn([failing, *(partial(judge_trial, job, 4, {}, 4),) * 2], 1)
    assert [judged.accuracy["test"] for judged in (*found[:2], second, third)] == [0.75] * 4
    assert found[2] == first
    assert first.startswith("BadInput: lr=-1.0")


def test_both_splits_are_evaluated(job):
    val, test = judge_trial(job, 7, {}, 1).tables["evaluations"].to_pylist()
    assert (val["split"], val["accuracy"], val["images"]) == ("val", 1.0, 2)
    assert (test["split"], test["accuracy"], test["images"], test["members"]) == (
        "test",
        0.75,
        4,
        1,
    )
    assert test["recall"] == pytest.approx((2 / 3 + 1) / 2)


def test_predictions_are_kept_with_the_images_that_were_wrong(job, monkeypatch):
    monkeypatch.setattr(module, "RIGHT_EXAMPLES", 1)
    rows = judge_trial(job, 7, {}, 1, with_images=True).tables["predictions"].to_pylist()
    assert [(r["image_index"], r["label_name"], r["predicted_name"]) for r in rows] == [
        (0, "cat", "cat"), (1, "cat", "cat"), (2, "cat", "dog"), (3, "dog", "dog"),
    ]  # fmt: skip
    assert [r["image"] is not None for r in rows] == [True, False, True, False]
    assert rows[2]["image"].startswith(b"\x89PNG")
    assert rows[2]["top_classes"] == [1, 0]
    assert rows[2]["confidence"] == pytest.approx(1 - rows[2]["label_probability"])
    others = judge_trial(job, 8, {}, 1).tables["predictions"].to_pylist()
    assert {r["image"] for r in others} == {None}


def judge_many(job, monkeypatch, logits, labels, classes=("cat", "dog")):
    """Judge a model that gives these logits (N, K) on the test split; its tables as rows."""
    images = SimpleNamespace(take=lambda at: np.full((len(at), 1, 2, 2), 7, np.uint8))
    test = SimpleNamespace(labels=labels, indices=np.arange(len(labels)), images=images)
    data = SimpleNamespace(classes=classes, val=test, test=test)
    monkeypatch.setattr(module, "load_data", lambda config: data)
    monkeypatch.setattr(
        Recorder, "predict", lambda self, split: (torch.tensor(logits), torch.tensor(labels))
    )
    tables = judge_trial(job, 7, {}, 1, with_images=True).tables
    return {name: table.to_pylist() for name, table in tables.items()}


def test_the_most_confident_wrong_images_are_kept_and_the_rest_counted(job, monkeypatch):
    monkeypatch.setattr(module, "WRONG_EXAMPLES", 2)
    monkeypatch.setattr(module, "RIGHT_EXAMPLES", 1)
    logits = [[1.0, 0.0], [4.0, 0.0], [2.0, 0.0], [0.0, 3.0], [0.0, 1.0]]
    tables = judge_many(job, monkeypatch, logits, [1, 1, 1, 1, 1])
    kept = [row["image"] is not None for row in tables["predictions"]]
    assert kept == [False, True, True, True, False]
    val, test = tables["evaluations"]
    assert (test["wrong"], test["wrong_kept"]) == (3, 2)
    assert (val["wrong"], val["wrong_kept"]) == (3, 0)


def test_a_hundred_wrong_and_twenty_four_right_images_are_kept(job, monkeypatch):
    logits, labels = [[1.0, 0.0]] * 300, [1] * 200 + [0] * 100
    tables = judge_many(job, monkeypatch, logits, labels)
    kept = [row["image"] is not None for row in tables["predictions"]]
    assert (sum(kept[:200]), sum(kept[200:])) == (100, 24)
    assert tables["evaluations"][1]["wrong_kept"] == 100


def test_a_class_without_images_is_null_and_in_no_mean(job, monkeypatch):
    """All that is there is right, so every mean is 1."""
    logits = [[9.0, 0.0, 0.0], [0.0, 9.0, 0.0]]
    tables = judge_many(job, monkeypatch, logits, [0, 1], ("cat", "dog", "eel"))
    for row in tables["classes"]:
        expected = None if row["class_name"] == "eel" else 1.0
        assert (row["precision"], row["recall"], row["f1"]) == (expected,) * 3
    for row in tables["evaluations"]:
        assert (row["precision"], row["recall"], row["f1"]) == (1.0, 1.0, 1.0)
        assert row["top_accuracy"] == 1.0


def test_equal_classes_rank_alike_in_every_table(job, monkeypatch):
    tables = judge_many(job, monkeypatch, [[0.0] * 3] * 3, [0, 1, 2], ("cat", "dog", "eel"))
    assert [row["predicted"] for row in tables["predictions"]] == [0, 0, 0]
    assert [row["top_classes"] for row in tables["predictions"]] == [[0, 1, 2]] * 3
    row = tables["evaluations"][1]
    assert (row["accuracy"], row["top_accuracy"]) == pytest.approx((1 / 3, 2 / 3))


def test_two_classes_have_no_top_k(job):
    assert judge_trial(job, 7, {}, 1).tables["evaluations"]["top_accuracy"].null_count == 2


def test_very_sure_logits_are_told_apart(job, monkeypatch):
    """float32 probabilities of the last two are both 0."""
    tables = judge_many(job, monkeypatch, [[300.0, 0.0, 100.0]], [0], ("cat", "dog", "eel"))
    assert tables["predictions"][0]["top_classes"] == [0, 2, 1]


def test_probabilities_come_along_only_where_they_vote(job):
    assert judge_trial(job, 7, {}, 1).probabilities is None
    assert judge_trial(job, 7, {}, 1, votes=True).probabilities.shape == (4, 2)


def test_kept_weights_say_how_wide_images_are_scaled(job, tmp_path, monkeypatch):
    levels = WhiteLevels(integers=4095.0)
    data = SimpleNamespace(**vars(DATA), image_size=2, white_levels=levels)
    monkeypatch.setattr(module, "load_data", lambda config: data)
    images = SimpleNamespace(mean=torch.tensor([0.5]), std=torch.tensor([0.2]))
    monkeypatch.setattr(Recorder, "images", images, raising=False)
    judge_trial(job, 7, {}, 1, tmp_path / "w.safetensors")
    about = read_metadata(tmp_path / "w.safetensors")
    assert about.white_levels == {"integers": 4095.0, "floats": None}
