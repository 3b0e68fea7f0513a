"""What is trained again after a search, how long it takes, and what is said where it was cut."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from sweep.plan.confirmation import (
    MARGIN,
    SLACK_SECONDS,
    Confirmation,
    seconds_needed,
    unconfirmed_line,
)
from sweep.plan.make_plan import make_plan

MANY = """
BASE = TrainConfig(dataset="digits", epochs=4, width=4)
SPACE = {"lr": Float(0.01, 1.0, log=True), "width": Choice(4, 8)}
SEARCH = "random"
TRIALS = 12
SEEDS = 2
"""


@pytest.fixture
def planned(write_file, options):
    """planned(text, **options) → the confirmation of a space in a file."""
    return lambda text=MANY, **fields: make_plan(options(write_file(text), **fields)).confirmation


@pytest.mark.parametrize("search", ["random", "optuna"])
def test_a_search_confirms_its_best_five_with_three_fresh_seeds(planned, search):
    assert planned(search=search, seeds=1).seeds == (1, 2, 3)
    assert planned(search=search, seeds=2, seed=7) == Confirmation(
        5, (9, 10, 11), ("strategy", "limit_train"), 0
    )


GIVEN = {"a grid": {"search": "grid"}, "a design": {"design": "one-at-a-time"},
         "part of a factorial": {"design": "factorial", "trials": 2}}  # fmt: skip
GRID = MANY.replace('"lr": Float(0.01, 1.0, log=True)', '"lr": Choice(0.2, 0.4)')
GRID = GRID.replace("TRIALS = 12\nSEEDS = 2\n", "")


@pytest.mark.parametrize("what", GIVEN)
def test_what_compares_given_configurations_confirms_only_if_asked(planned, what):
    assert planned(GRID, **GIVEN[what]).most_trials == 0
    assert planned(GRID, **GIVEN[what], confirm="1x2").trials == 2


def test_none_and_other_numbers(planned):
    assert planned(confirm=0).most_trials == 0
    assert planned(confirm="2x4").trials == 8


def test_no_more_than_there_are(planned):
    assert planned(confirm="99x2", trials=4).configurations == 4
    assert planned(trials=1).most_trials == 0  # nothing was chosen
    assert planned(trials=1, confirm="5x3").trials == 3


TRANSFER = """
from search_spaces.domains import Points
BASE = TrainConfig(dataset="digits", weights="pretrained", backbone="timm:resnet18.a1_in1k")
SPACE = {"strategy": Points(probe={"freeze_depth": "stages"}, full={"freeze_depth": 0}),
         "lr": Float(0.01, 1.0, log=True), "width": Choice(4, 8)}
SEARCH = "random"
TRIALS = 12
"""


def test_the_best_of_each_strategy_may_add_some(planned):
    found = planned(TRANSFER, confirm="4x3")
    assert (found.trials, found.extra, found.most_trials) == (12, 2, 18)  # probe, full, scratch
    assert "at most 6 more" in str(found)
    assert planned(TRANSFER, confirm="4x3", scratch=False).extra == 1


def test_without_scratch_runs_a_source_to_be_trained_adds_no_strategy(planned):
    text = TRANSFER.replace('weights="pretrained", backbone="timm:resnet18.a1_in1k"', "width=8")
    text += 'SOURCE = TrainConfig(dataset="digits", epochs=1)\n'
    assert planned(text, confirm="4x3").extra == 2
    assert planned(text, confirm="4x3", scratch=False).extra == 1


def test_each_number_of_images_is_a_group_but_not_each_value_of_a_range(planned):
    sizes = MANY.replace('"width": Choice(4, 8)', '"limit_train": Choice(100, 200, None)')
    assert planned(sizes).extra == 2
    ranged = MANY.replace('"width": Choice(4, 8)', '"limit_train": Int(100, 900)')
    assert planned(ranged).extra == 0
    assert planned(ranged).groups == ("strategy",)


NOW = datetime(2026, 1, 1, tzinfo=UTC)


def timed(epoch, seconds, *, ended=True):
    began = NOW - timedelta(seconds=seconds)
    return SimpleNamespace(epoch=epoch, started_at=began, ended_at=NOW if ended else None)


def needed(*best, concurrent=1, trials=6):
    found = seconds_needed(best, trials, epochs=4, concurrent=concurrent, now=NOW)
    return None if found is None else found - SLACK_SECONDS


def test_the_time_needed_by_hand():
    # 10 s an epoch, 40 s a trial; six of them, one after another, or two rounds of three.
    assert needed([timed(2, 20)]) == pytest.approx(MARGIN * 240)
    assert needed([timed(2, 20)], concurrent=3) == pytest.approx(MARGIN * 80)
    assert needed([timed(2, 20)], concurrent=99) == pytest.approx(MARGIN * 40)


def test_the_time_of_several_is_their_mean_and_a_running_one_counts():
    mean = needed([timed(2, 20)], [timed(1, 10, ended=False), timed(1, 50)])
    assert mean == pytest.approx(MARGIN * (6 * 80 + 120 - 80))
    assert needed([timed(2, 20)], trials=9) == pytest.approx(MARGIN * 360)


def test_the_time_is_not_known_before_the_first_epoch():
    assert needed() is None
    assert (
        needed([timed(0, 20)], [SimpleNamespace(epoch=0, started_at=None, ended_at=None)]) is None
    )


def test_what_was_not_confirmed_is_said():
    of = Confirmation(3, (1, 2))
    whole = [("a", "completed"), ("a", "diverged"), ("b", "completed"), ("b", "failed")]
    assert unconfirmed_line(whole, of, "x") is None
    cut = [*whole, ("c", "completed"), ("c", "timed_out"), *[("d", "timed_out")] * 2]
    assert unconfirmed_line(cut, of, "the time budget ended") == (
        "Of 4 configurations to confirm with 2 fresh seeds, 2 have all, 1 some, 1 none: the time"
        " budget ended."
    )
    assert unconfirmed_line([], of, "the time budget ended") == (
        "Not confirmed with fresh seeds: the time budget ended before."
    )
