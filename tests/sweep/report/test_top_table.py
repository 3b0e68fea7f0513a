"""The table of the best configurations, and why one comes after one with a lower mean."""

import math

import pandas as pd

from sweep.report.top_table import how_ranked, lower_first, top_table


def test_the_top_configurations(keep, printed, words, ablation_trials):
    made = keep(ablation_trials)
    assert "Top configurations by validation, best of 3, 2 seeds each: mean ±" in printed(made)
    shown = words(top_table(made))
    assert " ".join(shown[0]) == "# val accuracy dropout batch size params trained time"
    # std of two values: half their difference times √2.
    assert " ".join(shown[1]) == "1 0.9100 ± 0.0707 0.2 64 1.2k 1.0k 1:05"
    assert " ".join(shown[2]) == "2 0.8500 ± 0.0707 0 64 1.2k 1.0k 1:05"
    assert " ".join(shown[3]) == "3 0.6550 ± 0.0778 0 128 1.2k 1.0k 1:05"


def test_one_seed_has_no_spread_and_a_failure_no_accuracy(keep, printed, words):
    trials = [("a", 0, 0.8, {}), ("b", 0, None, {"status": "failed"})]
    made = keep(trials, seeds=1, search="random")
    assert "Top configurations by validation, best of 1\n" in printed(made)
    shown = words(top_table(made))
    assert shown[1][:2] == ["1", "0.8000"]
    assert "±" not in shown[1]
    assert shown[2][:2] == ["2", "–"]


def test_ten_are_shown(keep, words):
    trials = [(f"c{n}", 0, n / 20, {"dropout": n / 100}) for n in range(15)]
    shown = words(top_table(keep(trials, search="random")))
    assert [line[0] for line in shown[1:]] == [str(n) for n in range(1, 11)]
    assert shown[1][1] == "0.7000"


def test_parameters_that_were_trained_are_shown_where_some_were_not(keep, text_of, words):
    whole = ("a", 0, 0.8, {"params_trained": 1_234})
    assert "trained" not in text_of(top_table(keep([whole], search="random")))
    part = ("b", 0, 0.7, {"params_trained": 56})
    shown = words(top_table(keep([whole, part], search="random")))
    assert "trained" in shown[0]
    assert [line[-3:-1] for line in shown[1:]] == [["1.2k", "1.2k"], ["1.2k", "56"]]


ABLATION = {
    "batch_size": [64, 128], "lr": [0.1, 0.2], "batch_norm": [True, False],
    "dropout": [0.0, 0.2], "pooling": ["avg", "none"],
}  # fmt: skip


def test_the_five_fields_of_the_ablation_fit(keep, text_of):
    large = {"params_total": 11_181_642, "params_trained": 11_181_642}
    small = {"params_trained": 1_234, "batch_size": 256}
    trials = [
        ("a", 0, 0.98765, {"batch_norm": True, "pooling": "avg", **large}),
        ("a", 1, 0.98765, {"batch_norm": True, "pooling": "avg", **large}),
        ("b", 0, 0.97, {"batch_norm": False, "pooling": "none", **small}),
        ("b", 1, 0.97, {"batch_norm": False, "pooling": "none", **small}),
    ]
    text = text_of(top_table(keep(trials, fields=ABLATION)))
    assert "…" not in text
    rows = [line.split() for line in text.splitlines() if line.split()[0] in ("1", "2")]
    assert " ".join(rows[0]) == "1 0.9877 ± 0.0000 128 0.2 on 0 avg 11.2M 1:05"
    assert " ".join(rows[1]) == "2 0.9700 ± 0.0000 256 0.2 off 0 none 1.2k 1:05"


def test_more_fields_are_one_text(keep, text_of):
    levels = {**ABLATION, "backbone": ["timm:resnet18.a1_in1k", "residual"], "momentum": [0.9]}
    more = {"backbone": "timm:resnet18.a1_in1k", "batch_norm": True, "momentum": None}
    text = text_of(top_table(keep([("a", 0, 0.5, more)], fields=levels, search="random")))
    flat = " ".join(text.split())
    for part in ("settings", "batch_norm=on", "lr=0.2", "timm:resnet18.a1_in1k", "1.2k"):
        assert part in flat, part
    assert "momentum" not in flat


def test_a_field_of_tuples(keep, manifest, printed):
    levels = [(8, 16), (16, 32)]
    trials = [(str(n), 0, 0.5, {"channels": level}) for n, level in enumerate(levels)]
    base = {**manifest().base, "channels": levels[0]}
    for search in ("random", "one-at-a-time"):
        text = printed(keep(trials, fields={"channels": levels}, base=base, search=search))
        assert "(8, 16)" in text
        assert "(16, 32)" in text


def test_the_table_says_which_means_are_of_fresh_seeds(keep, printed, ablation_trials):
    fresh = [("b", 2, 0.9, {"phase": "confirm"}), ("b", 3, 0.92, {"phase": "confirm"})]
    searched = [(*row[:3], {**row[3], "phase": "search"}) for row in ablation_trials]
    text = printed(keep(searched + fresh, search="random"))
    assert "by validation, best of 3" in text
    assert "the first: mean ± deviation of fresh seeds; the rest: of the search" in text


def table(*rows):
    """(config_id, accuracy, phase, status) of each trial."""
    columns = ["config_id", "best_val_accuracy", "phase", "status"]
    made = pd.DataFrame(rows, columns=columns)
    return made.assign(seed=range(len(rows)), trial_id=[f"s1_{n:05d}" for n in range(len(rows))])


def fresh(config, *accuracies, status="completed"):
    return [(config, accuracy, "confirm", status) for accuracy in accuracies]


def of_search(config, *accuracies, status="completed"):
    return [(config, accuracy, "search", status) for accuracy in accuracies]


def test_a_confirmed_one_of_which_a_run_diverged():
    trials = table(
        *fresh("a", 0.7, 0.7), *fresh("b", 0.9), *fresh("b", 0.1, status="diverged"),
        *fresh("c", 0.6, 0.8, 0.1), *fresh("d", 0.8), *fresh("d", math.nan, status="failed"),
    )  # fmt: skip
    assert lower_first(trials, 10) == ["After lower means: #4 (a run of it diverged)."]
    assert lower_first(trials, 3) == []


def test_one_of_the_search_that_failed_and_one_with_fewer_runs():
    trials = table(
        *of_search("a", 0.7, 0.7), *of_search("b", 0.9),
        *of_search("c", 0.8), *of_search("c", math.nan, status="failed"),
    )  # fmt: skip
    assert lower_first(trials, 10) == [
        "After lower means: #2 (fewer of its runs count).",
        "After lower means: #3 (a run of it failed).",
    ]


def test_in_order_of_their_means_there_is_nothing_to_say():
    trials = table(*of_search("a", 0.9), *of_search("b", 0.8), *fresh("b", 0.7))
    assert lower_first(trials, 10) == []  # what was confirmed comes before the rest
    assert how_ranked(trials, 1).endswith(
        "the first: mean ± deviation of fresh seeds; the rest: of the search"
    )
    assert lower_first(table(("a", math.nan, "search", "failed")), 10) == []
