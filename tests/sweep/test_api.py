"""What the Python API makes of its arguments."""

import numpy as np
import pytest

from sweep import api
from sweep.options.option_values import as_text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (np.float64(0.1), "0.1"),
        (np.float32(0.1), str(float(np.float32(0.1)))),
        (np.bool_(True), "True"),
        (np.int64(64), "64"),
        (np.array([8, 16]), "8,16"),
        ([np.float64(0.5), 0.25], "0.5,0.25"),
        ((8, 16), "8,16"),
        (np.str_("adam"), "adam"),
        (None, "none"),
    ],
)
def test_a_value_is_written_as_it_is_typed(value, text):
    assert as_text(value) == text


def test_numpy_arguments_are_plain_options(monkeypatch, tmp_path):
    asked = []
    monkeypatch.setattr(api, "sweeps_of", lambda options: [(options, None)])
    monkeypatch.setattr(api, "run_sweep", lambda options, console, space: asked.append(options))
    given = {"trials": np.int64(8), "time_budget": np.float32(0.5), "scratch": np.bool_(False)}
    api.run("ablation", results=tmp_path, set={"lr": np.float64(0.2)}, **given)
    (options,) = asked
    assert options.settings == ("lr=0.2",)
    kept = {name: getattr(options, name) for name in given}
    assert kept == {"trials": 8, "time_budget": 0.5, "scratch": False}
    assert {type(value) for value in kept.values()} == {int, float, bool}
