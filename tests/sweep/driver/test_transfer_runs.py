"""A whole study under Ray: a source, three strategies and scratch runs, two seeds, on digits.

What the terminal and the pictures show is computed again here, from the Parquet files alone.
"""

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.metrics import accuracy_score, f1_score, precision_score, recall_score

from sweep import predict, run
from sweep.faults import Faults
from sweep.report.pictures.sweep_pictures import PICTURES, draw
from sweep.report.summary import SweepResult
from sweep.results.sources import list_models
from tl_core.config import TrainConfig
from tl_core.datasets import load_data

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("ray_of_one_cpu")]

SPACE = '''"""What does transfer buy?"""
from search_spaces.domains import Choice, Points
from tl_core.config import TrainConfig

TINY = dict(dataset="digits", width=8, precision="fp32", eval_precision="fp32", lr=0.1)
SOURCE = TrainConfig(**TINY, limit_train=500, epochs=2)
BASE = TrainConfig(**TINY, limit_train=300, epochs=2)
SPACE = {
    "strategy": Points(
        probe={"freeze_depth": "stages"}, partial={"freeze_depth": 2}, full={"freeze_depth": 0}
    )
}
SEARCH, SCHEDULER, SEEDS = "grid", "none", 2
'''
SCORES = {"precision": precision_score, "recall": recall_score, "f1": f1_score}
STRATEGIES = {"probe", "partial", "full", "scratch"}


@pytest.fixture(scope="module")
def result(ray_of_one_cpu: None, tmp_path_factory: pytest.TempPathFactory) -> SweepResult:
    folder = tmp_path_factory.mktemp("study")
    space = folder / "my_study.py"
    space.write_text(SPACE)
    return run(space, cpus=1, keep_top=2, results=folder / "results", quiet=True, name="study")


@pytest.fixture
def tables(result: SweepResult) -> dict[str, pd.DataFrame]:
    """The Parquet files of the sweep, read without the project's code."""
    names = ("trials", "epochs", "classes", "evaluations", "predictions")
    return {name: pd.read_parquet(result.folder / name / "sweep=study") for name in names}


def of_trial(table: pd.DataFrame, trial: str) -> pd.DataFrame:
    return table[table["trial_id"] == trial]


def test_every_strategy_and_scratch_ran_with_each_seed(result):
    counts = result.trials.groupby(["strategy", "seed"]).size()
    assert set(counts.index) == {(s, seed) for s in STRATEGIES for seed in (0, 1)}
    assert set(counts) == {1}
    assert set(result.trials["status"]) == {"completed"}
    sources = [model.name for model in list_models(result.folder)]
    assert len(sources) == 1
    weights = result.trials.set_index("strategy")["weights"]
    assert weights[weights.index == "scratch"].isna().all()
    kept = result.folder / "models" / sources[0] / "weights.safetensors"
    assert set(weights.dropna()) == {str(kept)}
    loaded = result.manifest.loaded["residual"]
    assert loaded["missing"] == loaded["unexpected"] == []


def test_what_the_test_split_said_follows_from_the_predictions(tables):
    predictions = tables["predictions"].groupby("trial_id")
    evaluations = tables["evaluations"].query("split == 'test'").set_index("trial_id")
    assert set(predictions.groups) == set(evaluations.index)
    for trial, rows in predictions:
        said, kept = evaluations.loc[trial], (rows["label"], rows["predicted"])
        assert said["accuracy"] == pytest.approx(accuracy_score(*kept))
        for name, score in SCORES.items():
            expected = score(*kept, labels=range(10), average="macro", zero_division=0)
            assert said[name] == pytest.approx(expected), name
        assert said["loss"] == pytest.approx(-np.log(rows["label_probability"]).mean(), rel=1e-5)
        pairs = zip(rows["label"], rows["top_classes"], strict=True)
        among = [label in top for label, top in pairs]
        assert said["top_accuracy"] == pytest.approx(np.mean(among))
        right = (rows["label"] == rows["predicted"]).to_numpy()
        bins = np.digitize(rows["confidence"], np.linspace(0, 1, 16)[1:-1], right=True)
        gap = 0.0
        for here in (bins == b for b in set(bins)):
            gap += abs(right[here].mean() - rows["confidence"][here].mean()) * here.mean()
        assert said["calibration_error"] == pytest.approx(gap, abs=1e-6)
        table = of_trial(tables["classes"], trial).query("split == 'test'")
        confusion = np.stack(list(table.sort_values("class_index")["predicted"]))
        expected = np.zeros((10, 10), int)
        np.add.at(expected, kept, 1)
        assert (confusion == expected).all()


def test_the_strategies_follow_from_the_rows(result, tables):
    trials = tables["trials"]
    test = tables["evaluations"].query("split == 'test'").set_index("trial_id")["accuracy"]
    assert set(result.strategies["strategy"]) == STRATEGIES
    assert list(result.strategies["test_accuracy"]) == sorted(
        result.strategies["test_accuracy"], reverse=True
    )
    scratch = trials[trials["strategy"] == "scratch"]
    goal = scratch["best_val_accuracy"].mean()
    for _, row in result.strategies.iterrows():
        seeds = trials[trials["strategy"] == row["strategy"]]
        assert row["seeds"] == len(seeds) == 2
        assert row["val_accuracy"] == pytest.approx(seeds["best_val_accuracy"].mean())
        assert row["val_accuracy_std"] == pytest.approx(seeds["best_val_accuracy"].std(ddof=1))
        measured = test.loc[seeds["trial_id"]]
        assert row["test_accuracy"] == pytest.approx(measured.mean())
        assert row["test_accuracy_std"] == pytest.approx(measured.std(ddof=1))
        gain = measured.mean() - test.loc[scratch["trial_id"]].mean()
        assert row["gain"] == pytest.approx(gain, abs=1e-12)
        reached = []
        for trial in seeds["trial_id"]:
            epochs = of_trial(tables["epochs"], trial)
            there = epochs[epochs["val_accuracy"] >= goal]["epoch"]
            reached.append(there.min() if len(there) else math.nan)
        expected = pytest.approx(np.mean(reached), nan_ok=True)
        assert row["epochs_to_scratch"] == expected
        epochs = tables["epochs"][tables["epochs"]["trial_id"].isin(seeds["trial_id"])]
        ranked = epochs.sort_values(["val_accuracy", "epoch"], ascending=[False, True])
        best = ranked.groupby("trial_id").head(1)
        gap = (best["train_accuracy"] - best["val_accuracy"]).mean()
        assert row["train_val_gap"] == pytest.approx(gap)
        assert row["train_seconds"] == pytest.approx(epochs["train_seconds"].sum() / 2)
        assert row["seconds_per_epoch"] == pytest.approx(epochs["train_seconds"].mean())
    trained = result.strategies.set_index("strategy")["params_trained"]
    assert trained["probe"] < trained["partial"] < trained["full"] == trained["scratch"]


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, pd.Series]:
    """The test images as files, and the right class of each by its path."""
    folder = tmp_path_factory.mktemp("pictures")
    data = load_data(TrainConfig(dataset="digits"))
    right = {}
    for number, index in enumerate(data.test.indices):
        path = folder / f"{number:04d}.png"
        Image.fromarray(data.test.images.take(np.array([index]))[0, 0]).save(path)
        right[str(path)] = data.classes[data.test.labels[number]]
    return folder, pd.Series(right)


def test_predict_agrees_with_the_sweep(result, tables, pictures):
    folder, right = pictures
    found = predict("study", [folder], results=result.folder, device="cpu").set_index("path")
    assert found["error"].isna().all()
    share = (found["class"] == right).mean()
    assert share == pytest.approx(result.manifest.winner["test_accuracy"])
    rows = of_trial(tables["predictions"], result.manifest.winner["trial_id"])
    rows = rows.sort_values("image_index")
    assert list(found.loc[right.index, "class"]) == list(rows["predicted_name"])


def test_the_best_two_together(result, tables, pictures):
    folder, right = pictures
    found = predict("study", [folder], results=result.folder, device="cpu", top=2)
    share = (found.set_index("path")["class"] == right).mean()
    together = tables["evaluations"].query("members == 2")
    assert list(together["accuracy"]) == [pytest.approx(share)]


def test_pictures_of_all_that_was_found(result):
    files = draw(result, Faults())
    assert [file.stem for file in files] == [name for name in PICTURES if name != "importance"]
    for file in files:
        with Image.open(file) as picture:
            assert min(picture.size) > 100


def test_a_source_is_trained_once(result, capsys):
    space = result.folder.parent / "my_study.py"
    again = run(
        space, cpus=1, seeds=1, scratch=False, results=result.folder, quiet=True, name="again"
    )
    assert len(again.trials) == 3
    assert [path.name for path in (result.folder / "runs").glob("*")].count("again") == 1
    assert len(list((result.folder / "runs").glob("my_study-source*"))) == 1
