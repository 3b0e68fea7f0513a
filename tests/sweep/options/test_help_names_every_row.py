"""The help and the README name every row of the tables that they speak of."""

import re
from pathlib import Path

import pytest

from search_spaces.designs import DESIGNS
from sweep.options.spaces import builtin_spaces
from sweep.options.sweep_options import AUTO, FLAGS
from sweep.search.schedulers import SCHEDULERS
from sweep.search.searchers import SEARCHERS
from tl_core.datasets import DATASETS

README = Path(__file__).parents[3] / "README.md"
NAMES = {"design": DESIGNS, "search": (*SEARCHERS, AUTO), "scheduler": (*SCHEDULERS, AUTO)}


@pytest.mark.parametrize("option", NAMES)
def test_the_help_of_an_option_names_all_that_it_takes(option):
    words = re.findall(r"[\w-]+", FLAGS[option].metadata["help"])
    assert set(NAMES[option]) <= set(words)


def named(pattern):
    return set(re.findall(pattern, README.read_text(encoding="utf-8")))


def test_the_readme_names_every_design_and_searcher():
    assert {*DESIGNS, *SEARCHERS, AUTO} <= named(r"`(?:--\w+ )?([\w-]+)`")


def test_the_readme_names_every_data_set():
    assert set(DATASETS) <= named(r"`([\w-]+)(?::PATH)?`")


def test_the_readme_has_the_command_of_every_search_space():
    assert set(builtin_spaces()) <= named(r"python -m sweep ([\w-]+)")
