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
        ('SEARCH = "random"\nTRIALS = 3\nSEEDS = 2', {"search": "optuna"}, ("optuna", 3, 2)),
        ("TRIALS = 3\nSEEDS = 2", {"search": "random"}, ("random", 3, 2)),
        ('SEARCH = "grid"\nTRIALS = 3\nSEEDS = 2', {"search": "random"}, ("random", 4, 1)),
        ('DESIGN = "factorial"\nTRIALS = 3', {"search": "random"}, ("random", 4, 1)),
        ('DESIGN = "factorial"', {"search": "auto"}, ("grid", 4, 1)),
        ('DESIGN = "one-at-a-time"', {"search": "optuna"}, ("optuna", 4, 1)),
    ],
)
def test_own_trials_and_seeds_belong_to_the_own_search(write_file, options, file, asked, expected):
    path = write_file(FOUR + file)
    made = make_plan(options(path, **asked))
    assert (made.search.name, made.configurations, len(made.search.seeds)) == expected


@pytest.mark.parametrize(
    ("file", "asked", "told"),
    [
        ('SEARCH = "optuna"\nTRIALS = 3', {"search": "grid"}, [
            "my_space.py: TRIALS = 3 belongs to SEARCH = optuna, not to --search grid; "
            "--trials sets it."
        ]),
        ('DESIGN = "factorial"\nTRIALS = 3\nSEEDS = 2', {"search": "random"}, [
            "my_space.py: TRIALS = 3 belongs to DESIGN = factorial, not to --search random; "
            "--trials sets it.",
            "my_space.py: SEEDS = 2 belongs to DESIGN = factorial, not to --search random; "
            "--seeds sets it.",
        ]),
        ('DESIGN = "factorial"\nSEEDS = 2', {"trials": 2}, [
            "my_space.py: SEEDS = 2 belongs to DESIGN = factorial, not to --trials 2; "
            "--seeds sets it."
        ]),
        ("TRIALS = 3", {"design": "factorial"}, [
            "my_space.py: TRIALS = 3 belongs to SEARCH = auto, not to --design factorial; "
            "--trials sets it."
        ]),
        ('SEARCH = "optuna"\nTRIALS = 3\nSEEDS = 2', {"search": "random"}, []),
        ('SEARCH = "optuna"\nTRIALS = 3\nSEEDS = 2', {"search": "grid", "trials": 2, "seeds": 1},
         []),
        ("TRIALS = 9\nSEEDS = 2", {}, []),
        ('DESIGN = "factorial"', {"search": "grid"}, []),
    ],
)  # fmt: skip
def test_numbers_of_the_file_are_not_left_out_in_silence(write_file, options, file, asked, told):
    notes = make_plan(options(write_file(FOUR + file), **asked)).notes
    assert [note for note in notes if "my_space.py" in note] == told


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
