"""The commands that a report ends with."""

import dataclasses
from pathlib import Path


def commands(text):
    tail = text.split("Next: ")[1].splitlines()
    return [line.split("#")[0].strip() for line in tail]


def test_what_to_type_next(keep, printed, ablation_trials):
    searched, again = commands(printed(keep(ablation_trials)))
    assert searched == "python -m sweep ablation --dataset digits --search auto"
    assert again == "python -m sweep show s1"
    assert commands(printed(keep(ablation_trials, search="random"))) == [again]


def test_the_next_command_finds_results_elsewhere(keep, printed, ablation_trials):
    made = keep(ablation_trials, search="random")
    made = dataclasses.replace(made, folder=Path("/data/my results"))
    assert commands(printed(made)) == ["python -m sweep show s1 --results '/data/my results'"]


def test_no_command_is_offered_that_runs_more_than_this_sweep(keep, printed, ablation_trials):
    assert "# the best combination" in printed(keep(ablation_trials))
    text = printed(keep(ablation_trials, command=""))
    assert "# the best combination" not in text
    assert "python -m sweep show s1" in text
