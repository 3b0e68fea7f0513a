"""What a space's file says, and what options put in its place."""

import pytest

from search_spaces.designs import DESIGNS
from sweep.options.spaces import DESIGN_SEEDS
from sweep.plan.make_plan import make_plan
from tl_core.errors import BadInput

FOUR = 'BASE = TrainConfig()\nSPACE = {"lr": Choice(0.1, 0.2), "dropout": Choice(0.0, 0.2)}\n'


@pytest.mark.parametrize(
    ("file", "asked", "expected"),
    [
        ('DESIGN = "factorial"', {}, ("factorial", 4, 3)),
        ('DESIGN = "factorial"\nTRIALS = 2\nSEEDS = 5', {}, ("factorial", 2, 5)),
        ('DESIGN = "factorial"\nTRIALS = 2', {"trials": 3}, ("factorial", 3, 1)),
        ('SEARCH = "grid"\nTRIALS = 3', {}, ("grid", 3, 1)),
        ('SEARCH = "grid"\nSEEDS = 2', {"search": "grid"}, ("grid", 4, 2)),
        ('SEARCH = "optuna"\nTRIALS = 7\nSEEDS = 2', {"search": "optuna"}, ("optuna", 4, 2)),
        ('SEARCH = "optuna"\nTRIALS = 3\nSEEDS = 2', {"search": "optuna"}, ("optuna", 3, 2)),
        ('SEARCH = "optuna"\nTRIALS = 7\nSEEDS = 2', {"search": "grid"}, ("grid", 4, 1)),
        ('SEARCH = "optuna"\nTRIALS = 7', {"design": "factorial"}, ("factorial", 4, 3)),
        ('SEARCH = "random"\nTRIALS = 7', {}, ("random", 4, 1)),
        ("SEEDS = 2", {}, ("grid", 4, 2)),
        ('DESIGN = "factorial"', {"search": "auto"}, ("grid", 4, 1)),
        ('DESIGN = "one-at-a-time"', {"search": "optuna"}, ("optuna", 4, 1)),
    ],
)
def test_own_trials_and_seeds_belong_to_the_own_search(write_file, options, file, asked, expected):
    path = write_file(FOUR + file)
    made = make_plan(options(path, **asked))
    assert (made.search.name, made.configurations, len(made.search.seeds)) == expected


def test_a_drawn_random_search_finds_every_point_of_a_small_space(write_file, options):
    made = make_plan(options(write_file(FOUR), search="random", trials=9))
    proposer = made.proposer("s", None)
    points = []
    while (values := proposer.propose()) is not None:
        points.append(tuple(values.values()))
    assert sorted(points) == [(0.1, 0.0), (0.1, 0.2), (0.2, 0.0), (0.2, 0.2)]
    assert made.configurations == 4


def test_the_longest_trial_bounds_the_epochs(write_file, options):
    space = 'BASE = TrainConfig(epochs=3)\nSPACE = {"epochs": Choice(2, 9, 4)}\nSEARCH = "grid"'
    assert make_plan(options(write_file(space))).epochs == 9
    assert make_plan(options(write_file(FOUR))).epochs == 10
    with pytest.raises(BadInput, match="exclude each other"):
        make_plan(options(write_file(FOUR), design="factorial", search="grid"))


def test_every_design_has_a_number_of_seeds():
    assert DESIGN_SEEDS.keys() == DESIGNS.keys()
    assert DESIGN_SEEDS["one-at-a-time"] == 5


def test_names_in_a_file_are_checked_like_those_of_options(write_file, options):
    for line, refused in {
        'SEARCH = "bayes"': "my_space.py: SEARCH = bayes: one of auto, grid, random, optuna",
        'SCHEDULER = "median"': "my_space.py: SCHEDULER = median: one of auto, asha, none",
    }.items():
        with pytest.raises(BadInput, match=refused):
            make_plan(options(write_file(FOUR + line)))
