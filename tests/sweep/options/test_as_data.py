"""Options written to a journal and read from it again."""

import json
from pathlib import Path

import pytest

from sweep.options.as_data import ELSEWHERE, options_as_data, options_from_data
from sweep.options.sweep_options import FLAGS, SweepOptions
from tl_core.errors import BadInput

VALUES = (
    False, True, 9, 2.5, "9x9", "asha", "random", "100,all", "30m", "a.py", ("a.py", "b.py"),
    ("lr=1", "mean=0.5,0.25"), Path("given"), "30m",
)  # fmt: skip


def others(name):
    """Options of which this one alone is not as by default, in each way that it may be."""
    found = []
    for value in VALUES:
        try:
            options = SweepOptions(space="ablation", **{name: value})
        except BadInput:
            continue
        found += [options] if options.given() == [name] else []
    return found or pytest.fail(f"{name} takes none of {VALUES}")


@pytest.mark.parametrize("name", [name for name in FLAGS if name not in ELSEWHERE])
def test_an_option_is_read_as_it_was(name):
    for options in others(name):
        data = json.loads(json.dumps(options_as_data(options)))
        assert set(data) == {"space", name}
        read = options_from_data(data, options.results)
        assert read == options
        assert type(getattr(read, name)) is type(getattr(options, name))


@pytest.mark.parametrize("name", ELSEWHERE)
def test_where_the_results_lie_now_decides(name, tmp_path):
    (options, *_) = others(name)
    data = options_as_data(options)
    assert data == {"space": "ablation"}
    assert options_from_data(data, tmp_path).results == tmp_path


def test_an_option_of_a_later_version_is_passed_over(tmp_path):
    data = {**options_as_data(SweepOptions(space="ablation", trials=4)), "unheard_of": 1}
    assert options_from_data(data, tmp_path).trials == 4


def test_a_value_that_is_none_is_refused(tmp_path):
    with pytest.raises(BadInput, match="--trials"):
        options_from_data({"space": "ablation", "trials": -1}, tmp_path)
