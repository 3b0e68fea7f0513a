import math

import pandas as pd
import pytest

from sweep.report.summary import load_result
from sweep.results.selection import best_configurations
from sweep.results.tables import write_rows
from sweep.search.searchers import SEARCHERS
from tl_core.errors import BadInput

WINNER = {
    "trial_id": "s1_00003", "config_id": "b", "values": {"dropout": 0.2, "seed": 1},
    "val_accuracy": 0.9, "test_accuracy": 0.8765, "retrained": False,
}  # fmt: skip


# One at a time around dropout 0, batch size 64, two seeds each.
TRIALS = [
    ("a", 0, 0.80, {"dropout": 0.0, "batch_size": 64}),
    ("a", 1, 0.90, {"dropout": 0.0, "batch_size": 64}),
    ("b", 0, 0.85, {"dropout": 0.2, "batch_size": 64, "params_total": 4_000}),
    ("b", 1, 0.97, {"dropout": 0.2, "batch_size": 64, "params_total": 4_000}),
    ("c", 0, 0.60, {"dropout": 0.0, "batch_size": 128, "train_seconds": 10.0}),
    ("c", 1, 0.70, {"dropout": 0.0, "batch_size": 128, "train_seconds": 30.0}),
]


def test_configurations_by_their_mean_over_seeds(keep):
    top = keep(TRIALS).top
    assert top["config_id"].tolist() == ["b", "a", "c"]
    assert top["val_accuracy"].tolist() == pytest.approx([0.91, 0.85, 0.65])
    # Two values: half their difference, times the square root of two.
    assert top["val_accuracy_std"].tolist() == pytest.approx(
        [0.06 * math.sqrt(2), 0.05 * math.sqrt(2), 0.05 * math.sqrt(2)]
    )
    assert top["dropout"].tolist() == [0.2, 0.0, 0.0]
    assert top["batch_size"].tolist() == [64, 64, 128]
    assert top["trials"].tolist() == top["ended_well"].tolist() == [2, 2, 2]
    assert top["params_total"].tolist() == [4_000, 1_234, 1_234]
    assert top["train_seconds"].tolist() == [65, 65, 20]


def test_failed_trials_enter_no_mean_and_put_a_configuration_behind(keep):
    top = keep(
        [
            ("a", 0, 0.5, {}),
            ("a", 1, 0.9, {"status": "stopped"}),
            ("b", 0, 0.6, {}),
            ("b", 1, 0.99, {"status": "diverged"}),
            ("c", 0, None, {"status": "failed"}),
            ("d", 0, 0.1, {"status": "completed"}),
        ]
    ).top
    assert top["config_id"].tolist() == ["a", "d", "b", "c"]
    assert top["val_accuracy"].tolist()[:3] == pytest.approx([0.7, 0.1, 0.6])
    assert math.isnan(top["val_accuracy"].iloc[3])
    assert top["trials"].tolist() == [2, 1, 2, 1]
    assert top["ended_well"].tolist() == [2, 1, 1, 0]
    assert math.isnan(top["val_accuracy_std"].iloc[2])


def test_the_table_is_in_the_order_that_names_the_winner(keep):
    """A repeat is no other seed, a stopped clock no failure, and one seed no match for two."""
    result = keep(
        [
            ("a", 0, 0.6, {}),
            ("a", 1, 0.8, {"status": "timed_out"}),
            ("b", 0, 0.7, {}),
            ("b", 0, 0.2, {"status": "stopped"}),
            ("b", 1, 0.68, {"status": "interrupted"}),
            ("c", 0, 0.9, {}),
        ]
    )
    assert result.top["config_id"].tolist() == best_configurations(result.trials, 3)
    assert result.top["config_id"].tolist() == ["a", "b", "c"]
    assert result.top["val_accuracy"].tolist() == pytest.approx([0.7, 0.69, 0.9])
    assert result.top["trials"].tolist() == [2, 2, 1]
    assert result.strategies["val_accuracy"].tolist() == pytest.approx([0.7])


FRESH = [
    ("b", 2, 0.5, {"dropout": 0.2, "batch_size": 64, "phase": "confirm", "train_seconds": 5.0}),
    ("a", 2, 0.6, {"dropout": 0.0, "batch_size": 64, "phase": "confirm", "train_seconds": 5.0}),
    ("b", 3, 0.6, {"dropout": 0.2, "batch_size": 64, "phase": "confirm", "train_seconds": 7.0}),
    ("a", 3, 0.9, {"dropout": 0.0, "batch_size": 64, "phase": "confirm", "train_seconds": 7.0}),
]


def test_of_a_confirmed_configuration_the_fresh_runs_are_shown(keep):
    top = keep(TRIALS + FRESH).top
    assert top["config_id"].tolist() == ["a", "b", "c"]
    assert top["val_accuracy"].tolist() == pytest.approx([0.75, 0.55, 0.65])
    assert top["trials"].tolist() == [2, 2, 2]
    assert top["train_seconds"].tolist() == [6, 6, 20]


def test_fresh_runs_enter_no_effect(keep):
    pd.testing.assert_frame_equal(keep(TRIALS + FRESH).effects, keep(TRIALS).effects)


def test_effects_by_hand(keep):
    table = keep(TRIALS).effects.set_index(["factor", "level"])
    assert table.loc[("dropout", 0.2), "effect"] == pytest.approx(0.06)
    assert table.loc[("batch_size", 128), "effect"] == pytest.approx(-0.20)
    assert table.loc[("dropout", 0.2), "base_level"] == 0.0
    assert table.loc[("dropout", 0.2), "low"] < 0.06 < table.loc[("dropout", 0.2), "high"]


@pytest.mark.parametrize(
    "fields",
    [
        {"search": "optuna"},
        {"search": "random"},
        {"fields": {"dropout": [0.0, 0.2], "lr": "Float(0.1, 1.0)"}},
        {"fields": {}},
    ],
)
def test_a_search_has_no_effects(keep, manifest, fields):
    assert keep(TRIALS, **fields).effects.empty


def test_a_grid_has_effects(keep):
    assert len(keep(TRIALS, search="grid").effects) == 2


def test_a_searcher_that_lists_the_space_has_effects(keep, monkeypatch):
    assert keep(TRIALS, search="new").effects.empty
    monkeypatch.setitem(SEARCHERS, "new", SEARCHERS["grid"])
    assert len(keep(TRIALS, search="new").effects) == 2


def test_a_sweep_without_rows_yet(keep):
    result = keep(status="running")
    assert result.trials.empty
    assert result.top.empty
    assert result.effects.empty
    assert {"val_accuracy", "dropout", "batch_size"} <= set(result.top.columns)
    assert result.exit_code == 0


def test_trials_come_in_order_and_alone(keep, trial_row):
    folder = keep(TRIALS).folder
    write_rows(folder, "trials", "s1", [trial_row(7, 0.1), trial_row(6, 0.2)])
    write_rows(folder, "trials", "other", [trial_row(0, 0.99)])
    result = load_result(folder, "s1")
    assert result.trials["trial_id"].tolist() == [f"s1_{n:05d}" for n in range(8)]
    assert result.run_folder == folder / "runs" / "s1"


EXIT_CODES = {
    "all well": ("finished", ["completed", "stopped", "diverged"], 0),
    "a failure": ("finished", ["completed", "failed"], 1),
    "out of memory": ("finished", ["out_of_memory"], 1),
    "out of time": ("timed_out", ["completed", "timed_out"], 1),
    "in time after all": ("timed_out", ["completed"], 0),
    "interrupted": ("interrupted", ["failed", "interrupted"], 130),
    "broken off": ("failed", ["completed"], 1),
}


@pytest.mark.parametrize("case", EXIT_CODES)
def test_the_exit_code(keep, case):
    status, ends, code = EXIT_CODES[case]
    trials = [("a", n, 0.5, {"status": end}) for n, end in enumerate(ends)]
    errors = ["Error while searching: OSError: disk full"] if status == "failed" else []
    assert keep(trials, status=status, winner=WINNER, errors=errors).exit_code == code


def test_a_sweep_without_a_winner_has_not_gone_well(keep):
    diverged = [("a", n, None, {"status": "diverged"}) for n in range(3)]
    assert keep(diverged).exit_code == 1
    assert keep(diverged, status="running").exit_code == 0
    assert keep(diverged, status="interrupted").exit_code == 130


def test_an_unknown_sweep(tmp_path):
    with pytest.raises(BadInput, match="no sweep 's9'"):
        load_result(tmp_path, "s9")


def test_configurations_of_no_trials(keep):
    assert keep([]).top.empty


def test_effects_of_levels_that_are_tuples(keep, manifest):
    levels = [(8, 16), (16, 32)]
    trials = [
        (name, seed, 0.5 + 0.1 * position + 0.01 * seed, {"channels": level})
        for position, (name, level) in enumerate(zip("ab", levels, strict=True))
        for seed in (0, 1, 2)
    ]
    base = {**manifest().base, "channels": levels[0]}
    result = keep(trials, fields={"channels": levels}, base=base)
    (row,) = (row for _, row in result.effects.iterrows())
    assert (row["base_level"], row["level"]) == ((8, 16), (16, 32))
    assert row["effect"] == pytest.approx(0.1)


def test_a_sweep_of_another_version_is_shown_without_its_own_fields(keep, manifest, printed):
    base = {name: value for name, value in manifest().base.items() if name != "weights"}
    varied = {**manifest().fields, "of_later": [1, 2]}
    result = keep(TRIALS, base=base, fields=varied, winner={"trial_id": "s1_00003"})
    assert "of_later" not in result.top
    text = " ".join(printed(result).split())
    assert "Winner: test accuracy – validation accuracy –" in text
