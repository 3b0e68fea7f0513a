"""How many configurations and trials a plan has, and which they are."""

import pytest

from sweep.search.tune_searcher import TuneSearcher

ABLATION = {
    "by default": ({}, "one-at-a-time", "none", 9, 5),
    "seeds": ({"seeds": 2}, "one-at-a-time", "none", 9, 2),
    "factorial": ({"design": "factorial"}, "factorial", "none", 108, 3),
    "part": ({"trials": 24}, "factorial", "none", 24, 1),
    "part, named": ({"trials": 24, "design": "factorial"}, "factorial", "none", 24, 1),
    "part, repeated": ({"trials": 24, "seeds": 2}, "factorial", "none", 24, 2),
    "grid": ({"search": "grid"}, "grid", "none", 108, 1),
    "part of the grid": ({"search": "grid", "trials": 10}, "grid", "none", 10, 1),
    "random": ({"search": "random"}, "random", "none", 32, 1),
    "random, counted": ({"search": "random", "trials": 5, "seeds": 3}, "random", "none", 5, 3),
    "optuna, stopped": ({"search": "optuna", "scheduler": "asha"}, "optuna", "asha", 32, 1),
    "optuna, whole": ({"search": "optuna", "scheduler": "none"}, "optuna", "none", 32, 1),
    "design, stopped": ({"scheduler": "asha"}, "one-at-a-time", "asha", 9, 5),
    "one field fixed": ({"settings": ("lr=0.3",)}, "one-at-a-time", "none", 7, 5),
}


@pytest.mark.parametrize("case", ABLATION)
def test_counts_of_the_ablation(plan, case, check_point, propose_all):
    fields, search, scheduler, configurations, seeds = ABLATION[case]
    made = plan(**fields)
    assert (made.search.name, made.search.scheduler) == (search, scheduler)
    assert (made.configurations, len(made.search.seeds)) == (configurations, seeds)
    assert made.trials == configurations * seeds
    proposed = propose_all(made)
    assert len(proposed) == configurations
    for values in proposed:
        check_point(made.free, values, made.base)


def test_a_random_search_counts_no_more_than_the_space_has(plan, write_file, propose_all):
    path = write_file('BASE = TrainConfig()\nSPACE = {"lr": Choice(0.1, 0.2, 0.4)}')
    made = plan(path, search="random", trials=10)
    assert made.configurations == len(propose_all(made)) == 3


def test_transfer_searches_32_configurations_once(plan):
    made = plan("transfer", cpus=1)  # on as many as trials, chance would do
    assert (made.search.name, made.search.scheduler) == ("optuna", "asha")
    assert made.approximate
    assert 2 <= made.scratch <= 32 // 3  # partial has most, probe and full have few
    assert made.configurations == 32 + made.scratch
    assert made.most_searched == 64
    assert made.most_trials == 64 + 24  # the best five and three more strategies, three seeds each
    assert made.search.seeds == [0]
    assert plan("transfer", scratch=False).configurations == 32
    assert plan("transfer", seeds=3, trials=4, scratch=False).trials == 12


def test_a_replaced_field_shrinks_a_grid(plan):
    assert plan(search="grid").with_base({"lr": 0.3}, "").configurations == 108 // 3
    assert plan().with_base({"lr": 0.3}, "").configurations == 9 - 2


FOUR = """
BASE = TrainConfig(dataset="digits", limit_train=100, epochs=1, width=4)
SPACE = {"dropout": Choice(0.0, 0.2), "batch_norm": Choice(True, False)}
"""
SCRATCH = """
BASE = TrainConfig(dataset="digits", epochs=1, lr=0.1)
SOURCE = TrainConfig(dataset="shapes", epochs=1)
SPACE = {
    "strategy": Points(full={"freeze_depth": 0}, none={"weights": None, "freeze_depth": 0}),
    "dropout": Choice(0.0, 0.2),
}
"""
LABELS = """
BASE = TrainConfig(dataset="digits", epochs=1, lr=0.1)
SPACE = {"strategy": Points(a={"lr": 0.5}, b={"lr": 0.5}, c={}), "dropout": Choice(0.0, 0.2)}
"""
COUNTS = {
    "a search": (FOUR, {"search": "optuna", "trials": 8}, 4, "8 were asked for"),
    "chance": (FOUR, {"search": "random", "trials": 8}, 4, "8 were asked for"),
    "a part": (FOUR, {"search": "optuna", "trials": 3}, 3, None),
    "a grid": (FOUR, {"search": "grid"}, 4, None),
    "labels in a grid": (LABELS, {"search": "grid"}, 4, "2 of 6 configurations train the same"),
    "labels in a design": (LABELS, {"design": "factorial"}, 4, "2 of 6 configurations train the"),
    "scratch runs that the grid has too": (
        SCRATCH,
        {"search": "grid"},
        4,
        "2 of 4 configurations train the same",
    ),
    "labels in a search": (LABELS, {"search": "optuna", "trials": 5}, 4, "5 were asked for"),
}


@pytest.mark.parametrize("case", COUNTS)
def test_the_trials_that_are_counted_are_those_that_differ(plan, tmp_path, case, propose_all):
    text, fields, different, note = COUNTS[case]
    file = tmp_path / "four_points.py"
    file.write_text(
        '"""Which?"""\nfrom search_spaces.domains import Choice, Points\n'
        f"from tl_core.config import TrainConfig\n{text}"
    )
    made = plan(str(file), **fields, seeds=2)
    assert (made.configurations, made.trials) == (different, 2 * different)
    assert len(propose_all(made)) == different
    said = [line for line in made.notes if "configurations" in line]
    assert len(said) == (note is not None)
    assert all(note in line for line in said)
    again = made.with_base({"epochs": 2}, "two epochs")
    assert len(again.notes) == len(made.notes) + 1


@pytest.mark.parametrize(
    "fields",
    [{}, {"search": "grid", "trials": 7, "seeds": 2}, {"search": "random", "trials": 5}],
    ids=["design", "grid", "random"],
)
def test_known_trials_are_those_that_workers_get(plan, fields):
    made = plan(**fields)
    searcher = TuneSearcher(made.proposer("s1", None), made.search.seeds)
    handed_out = [searcher.suggest(str(number)) for number in range(made.trials)]
    assert made.known_trials() == tuple(trial["values"] for trial in handed_out)
    assert [trial["number"] for trial in handed_out] == list(range(made.trials))


def test_a_searcher_that_learns_knows_none(plan):
    assert plan(search="optuna").known_trials() == ()


def test_known_trials_follow_what_the_sweep_takes_for_the_same(plan):
    made = plan(search="grid")
    known = made.known_trials(lambda values: values["lr"])
    assert [values["lr"] for values in known] == [0.1, 0.2, 0.4]
