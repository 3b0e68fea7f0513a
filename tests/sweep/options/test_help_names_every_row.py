"""The help and the README name every row of the tables that they speak of."""

import re
from pathlib import Path

import pytest

from search_spaces.designs import DESIGNS
from sweep.options.sweep_options import AUTO, FLAGS
from sweep.search.schedulers import SCHEDULERS
from sweep.search.searchers import SEARCHERS

README = Path(__file__).parents[3] / "README.md"
NAMES = {"design": DESIGNS, "search": (*SEARCHERS, AUTO), "scheduler": (*SCHEDULERS, AUTO)}


@pytest.mark.parametrize("option", NAMES)
def test_the_help_of_an_option_names_all_that_it_takes(option):
    words = re.findall(r"[\w-]+", FLAGS[option].metadata["help"])
    assert set(NAMES[option]) <= set(words)


def test_the_readme_names_every_design_and_searcher():
    named = re.findall(r"`(?:--\w+ )?([\w-]+)`", README.read_text(encoding="utf-8"))
    assert {*DESIGNS, *SEARCHERS, AUTO} <= set(named)
