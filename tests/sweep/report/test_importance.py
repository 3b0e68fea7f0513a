"""Importance of a search's fields: what was planted is found, chance is not, rows are enough."""

import numpy as np
import pandas as pd
import pytest

from sweep.report.importance import importance
from sweep.report.mattered.importance_table import importance_table, print_importance, sentence
from sweep.search.searchers import SEARCHERS, RandomProposer, SearcherSpec

FIELDS = {
    "lr": "Float(0.001, 1.0, log=True)",
    "freeze_depth": "Int(0, 'stages')",
    "batch_size": [64, 128, 256],
    "batch_norm": [True, False],
    "momentum": "Float(0.5, 0.99, when={'optimizer': 'sgd'})",
}
NO_EPOCHS = pd.DataFrame(columns=["trial_id", "epoch", "val_accuracy"])


def searched(count=40, seed=0, effect=0.1):
    """A search in which lr alone matters, best at 0.03."""
    rng = np.random.default_rng(seed)
    lr = 10 ** rng.uniform(-3, 0, count)
    momentum = np.where(rng.random(count) < 0.5, rng.uniform(0.5, 0.99, count), np.nan)
    accuracy = 0.9 - effect * abs(np.log10(lr) + 1.5) + rng.normal(0, 0.005, count)
    return pd.DataFrame(
        {
            "trial_id": [f"s1_{n:05d}" for n in range(count)],
            "config_id": [f"c{n}" for n in range(count)],
            "seed": 0, "status": "completed", "epochs_trained": 9,
            "best_val_accuracy": accuracy, "lr": lr, "momentum": momentum,
            "freeze_depth": rng.integers(0, 6, count),
            "batch_size": rng.choice([64, 128, 256], count),
            "batch_norm": rng.random(count) < 0.5,
        }
    )  # fmt: skip


def test_the_field_that_matters_is_found_and_the_others_are_not():
    found = importance(searched(), NO_EPOCHS, FIELDS)
    assert (found.best, found.of) == (5, 40)
    assert sorted(found.table["field"]) == sorted(FIELDS)
    assert found.table["field"].iloc[0] == "lr"
    assert found.table["importance"].sum() == pytest.approx(1)
    assert found.table["importance"].is_monotonic_decreasing
    assert found.table["p"].iloc[0] <= 0.05
    assert (found.table["p"].iloc[1:] > 0.05).all()
    used = found.table.set_index("field")["configurations"]
    assert used["momentum"] == searched()["momentum"].notna().sum()
    assert used["lr"] == 40


def test_the_same_rows_give_the_same():
    first = importance(searched(30), NO_EPOCHS, FIELDS).table
    again = importance(searched(30), NO_EPOCHS, FIELDS).table
    pd.testing.assert_frame_equal(first, again)


def test_too_few_configurations_are_not_judged():
    trials = searched(25)
    trials.loc[:9, "status"] = "failed"
    found = importance(trials, NO_EPOCHS, FIELDS)
    assert found.table.empty
    assert found.refused == "20 configurations are needed; 15 ended."


def test_seeds_of_a_configuration_are_one():
    trials = searched(12)
    again = trials.assign(seed=1, trial_id=trials["trial_id"] + "1")
    assert "12 ended" in importance(pd.concat([trials, again]), NO_EPOCHS, FIELDS).refused


def test_trials_that_diverged_or_belong_to_a_confirmation_are_left_out():
    trials = searched(30).assign(phase="search")
    bad = searched(4, seed=1).assign(
        status="diverged", best_val_accuracy=np.nan, config_id="bad", phase="search"
    )
    fresh = searched(9, seed=2).assign(best_val_accuracy=1.0, phase="confirm", config_id="new")
    found = importance(pd.concat([trials, bad, fresh]), NO_EPOCHS, FIELDS)
    assert found.of == 30
    assert any(note.startswith("4 of 34 trials are left out") for note in found.notes)
    pd.testing.assert_frame_equal(found.table, importance(searched(30), NO_EPOCHS, FIELDS).table)


def test_stopped_trials_are_below_those_that_went_on_whatever_they_had():
    """A rate that is fast at first and stopped later is not taken for a good one."""
    trials = searched(40)
    early = trials["lr"] < 0.01
    trials.loc[early, ["status", "epochs_trained"]] = "stopped", 3
    trials.loc[early, "best_val_accuracy"] = 0.99
    epochs = pd.DataFrame(
        [
            {"trial_id": row["trial_id"], "epoch": epoch, "val_accuracy": row["best_val_accuracy"]}
            for _, row in trials.iterrows()
            for epoch in range(1, row["epochs_trained"] + 1)
        ]
    )
    found = importance(trials, epochs, FIELDS)
    assert found.notes[0] == (
        f"Accuracies are compared at epoch 9; {early.sum()} configurations stopped before count"
        " as below."
    )
    as_bad = trials["best_val_accuracy"].where(~early, trials["best_val_accuracy"] - 0.9)
    same = trials.assign(status="completed", best_val_accuracy=as_bad)
    pd.testing.assert_frame_equal(found.table, importance(same, NO_EPOCHS, FIELDS).table)


def test_where_few_reached_the_end_accuracies_are_compared_at_an_earlier_epoch():
    """What trials reach later is not held against those that were stopped at that epoch."""
    trials = searched(40)
    trials.loc[3:, ["status", "epochs_trained"]] = "stopped", 3
    late = trials.index < 3
    at_three = trials["best_val_accuracy"]
    epochs = pd.DataFrame(
        [
            {"trial_id": f"s1_{n:05d}", "epoch": epoch, "val_accuracy": at_three[n]}
            for n in range(40)
            for epoch in (1, 2, 3)
        ]
    )
    expected = importance(trials, epochs, FIELDS)
    assert expected.notes[0] == "Accuracies are compared at epoch 3."
    trials.loc[late, "best_val_accuracy"] = 1.0  # at epoch 9
    found = importance(trials, epochs, FIELDS)
    pd.testing.assert_frame_equal(found.table, expected.table)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"best_val_accuracy": 0.5}, "all configurations reached the same accuracy."),
        ({"lr": 0.1, "batch_norm": True}, "no field has several values in these trials."),
    ],
)
def test_nothing_to_compare_is_said(change, why):
    fields = {"lr": "Float(0.1, 0.1)", "batch_norm": [True], "of_later": "Between(1, 2)"}
    trials = searched(30).assign(of_later=1.5, **change)
    found = importance(trials, NO_EPOCHS, fields)
    assert (found.refused, found.table.empty) == (why, True)


def test_the_best_may_be_like_all_others():
    trials = searched(25).assign(best_val_accuracy=[0.9] * 24 + [0.95])
    found = importance(trials, NO_EPOCHS, FIELDS)
    assert found.refused == "the best have the same values as all others."


def test_a_value_outside_a_logarithmic_range_is_not_in_use():
    trials = searched(30)
    trials.loc[:1, "lr"] = 0.0, -1.0
    used = importance(trials, NO_EPOCHS, FIELDS).table.set_index("field")["configurations"]
    assert used["lr"] == 28
    assert used["batch_size"] == 30


def test_rows_without_a_phase_are_of_the_search():
    trials = searched(20).assign(phase=pd.array([pd.NA] * 20, dtype="string"))
    assert importance(trials, NO_EPOCHS, FIELDS).of == 20


def test_levels_of_any_kind_and_none_among_them():
    trials = searched(30)
    trials["channels"] = [np.array([8, 16]) if n % 2 else np.array([16, 32]) for n in range(30)]
    trials["patience"] = [None if n % 3 else 2.0 for n in range(30)]
    fields = {"channels": [[8, 16], [16, 32]], "patience": [None, 2], "lr": FIELDS["lr"]}
    used = importance(trials, NO_EPOCHS, fields).table.set_index("field")["configurations"]
    assert used.to_dict() == {"channels": 30, "patience": 30, "lr": 30}


def rows_of(trials):
    """The trials as `keep` takes them."""
    names = [*FIELDS, "status", "epochs_trained"]
    return [
        (
            row["config_id"],
            row["seed"],
            row["best_val_accuracy"],
            {name: row[name] for name in names},
        )
        for row in trials.to_dict("records")
    ]


def test_a_search_is_shown_with_its_importance(keep, page):
    made = keep(rows_of(searched(40)), search="optuna", fields=FIELDS)
    print_importance(made, page)
    text = " ".join(page.file.getvalue().split())
    assert "How the best 5 of 40 configurations differ from all of them." in text
    assert "Beyond what chance gives is lr (p: all fields at once, by shuffling)" in text
    assert "The search tried good values more often than others" in text
    assert made.importance["field"].iloc[0] == "lr"
    shares = list(importance_table(made.ranking).columns[1].cells)
    assert shares[0].startswith("[bold]")
    assert not any("bold" in share for share in shares[1:])


@pytest.mark.parametrize(
    ("search", "told"),
    [("new", False), ("random", False), ("optuna", True), ("of another version", True)],
)
def test_a_searcher_that_does_not_learn_prefers_no_values(keep, page, monkeypatch, search, told):
    monkeypatch.setitem(SEARCHERS, "new", SearcherSpec(RandomProposer))
    print_importance(keep(rows_of(searched(40)), search=search, fields=FIELDS), page)
    text = " ".join(page.file.getvalue().split())
    assert "Importance of the fields" in text
    assert ("The search tried good values more often than others" in text) == told


def test_where_chance_may_give_as_much_it_is_said():
    found = importance(searched(40, seed=2, effect=0.0), NO_EPOCHS, FIELDS)
    assert sentence(found).startswith("No field is beyond what chance gives")


def test_a_design_or_a_short_search_has_no_such_table(keep, page):
    made = keep(rows_of(searched(8)), search="optuna", fields=FIELDS)
    print_importance(made, page)
    text = page.file.getvalue()
    assert text.strip() == "Importance of the fields: 20 configurations are needed; 8 ended."
    assert made.importance.empty


def test_a_design_says_nothing_of_importance(keep, page):
    levels = {"batch_size": [64, 128, 256], "batch_norm": [True, False]}
    print_importance(keep(rows_of(searched(30)), search="factorial", fields=levels), page)
    assert page.file.getvalue() == ""
