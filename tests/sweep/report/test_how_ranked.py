"""Why a configuration of the top table comes after one with a lower mean."""

import math

import pandas as pd

from sweep.report.how_ranked import how_ranked, lower_first


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
