import pytest

from sweep.search.default_search import default_search
from sweep.search.schedulers import SCHEDULERS
from sweep.search.searchers import SEARCHERS


def names(**about):
    found = default_search(**{"epochs": 27, "concurrent": 4, **about})
    return found.searcher, found.scheduler


@pytest.mark.parametrize("size", [None, 1000])
@pytest.mark.parametrize("trials", [20, 150, 900])
def test_a_part_of_a_space_is_learned_about_and_stopped_early(size, trials):
    assert names(size=size, trials=trials) == ("optuna", "asha")


def test_few_trials_for_each_worker_are_drawn_at_random():
    """By regret on tables: 64 workers on a tenth of a grid's epochs, 16 on a fiftieth."""
    assert names(size=432, trials=80, concurrent=64) == ("random", "asha")
    assert names(size=432, trials=80, concurrent=16) == ("optuna", "asha")
    assert names(size=432, trials=18, concurrent=16) == ("random", "asha")
    assert names(size=432, trials=18, concurrent=4) == ("optuna", "asha")
    assert names(size=432, trials=30, concurrent=16, seeds=2) == ("optuna", "asha")


def test_short_trials_are_not_stopped():
    assert names(size=None, trials=30, epochs=2)[1] == "none"


def test_where_nothing_can_be_learned_chance_does_as_well():
    assert names(size=None, trials=20, concurrent=20)[0] == "random"
    assert names(size=None, trials=19, concurrent=20, seeds=2)[0] == "random"
    assert names(size=None, trials=20, concurrent=20, seeds=2)[0] == "optuna"
    assert names(size=None, trials=20, concurrent=None)[0] == "optuna"
    assert names(size=None, trials=5)[0] == "random"


def test_a_space_that_fits_the_budget_is_a_grid():
    assert names(size=12, trials=12)[0] == names(size=12, trials=None)[0] == "grid"
    assert names(size=12, trials=11)[0] != "grid"


def test_settled_names_stay():
    assert names(size=12, trials=12, search="random", scheduler="asha") == ("random", "asha")
    assert names(size=1000, trials=150, scheduler="asha") == ("optuna", "asha")
    assert names(size=1000, trials=150, search="random") == ("random", "asha")
    assert (
        default_search(size=1000, trials=150, epochs=27, search="random", scheduler="asha").reason
        == ""
    )


@pytest.mark.parametrize("scheduler", ["asha", "none"])
@pytest.mark.parametrize("trials", [3, 150, None])
def test_a_searcher_that_was_chosen_has_a_reason_where_the_scheduler_was_given(trials, scheduler):
    assert default_search(size=1000, trials=trials, epochs=27, scheduler=scheduler).reason


@pytest.mark.parametrize("size", [None, 1, 10, 432, 100_000])
@pytest.mark.parametrize("trials", [1, 10, 60, 1000])
@pytest.mark.parametrize("epochs", [1, 5, 200])
def test_names_are_in_the_tables_and_have_one_line_of_reason(size, trials, epochs):
    found = default_search(size=size, trials=trials, epochs=epochs)
    assert found.searcher in SEARCHERS
    assert found.scheduler in SCHEDULERS
    assert found.reason
    assert "\n" not in found.reason
    assert not found.reason.endswith(".")


def test_the_reason_has_the_share_of_the_grid():
    reason = default_search(size=432, trials=60, epochs=27).reason
    assert "60 configurations of 27 epochs are 14% of the grid's epochs" in reason
