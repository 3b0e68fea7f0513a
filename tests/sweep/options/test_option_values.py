"""Options in their natural types: the command line's text, Python's own, paths, NumPy's."""

from dataclasses import fields
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from sweep import api, run
from sweep.options.option_values import Sizes
from sweep.options.sweep_options import SweepOptions, flag_of
from sweep.plan.make_plan import make_plan
from tl_core.errors import BadInput

READ = {
    "limit_train": [
        (1000, Sizes([1000])), ("100,all", Sizes([100, None])), (None, Sizes()),
        ([1000, None, 100], Sizes([100, 1000, None])), ((100, "all"), Sizes([100, None])),
        (np.int64(7), Sizes([7])), (np.array([9, 5, 9]), Sizes([5, 9])),
        (range(1, 3), Sizes([1, 2])), ([np.int32(3), None], Sizes([3, None])),
    ],
    "epochs": [(3, 3), (np.int64(3), 3), (None, None)],
    "trials": [(np.uint8(4), 4)],
    "seed": [(np.int64(2), 2)],
    "confirm": [
        ("5x3", "5x3"), ("05 X 3".replace(" ", ""), "5x3"), ("5×3", "5x3"), (0, "0"), ("0", "0"),
        (np.int64(0), "0"), (None, None),
    ],
    "gpus": [(0, 0)],
    "reduction_factor": [(2, 2.0), (np.float32(2.5), 2.5)],
    "scratch": [(np.bool_(False), False)],
    "time_budget": [
        (90, 90.0), ("30m", 1800.0), ("1.5H", 5400.0), ("90", 90.0), (np.float64(2.5), 2.5),
        (timedelta(minutes=2), 120.0), (None, None),
    ],
    "trials_per_gpu": [("auto", None), (None, None), (2, 2), ("3", 3), (np.int64(4), 4)],
    "imports": [
        ("a.py", ("a.py",)), (Path("a.py"), ("a.py",)), (["a.py", Path("b.py")], ("a.py", "b.py")),
        (None, ()),
    ],
    "source": [(Path("w.pth"), "w.pth")],
    "data_dir": [(Path("down"), "down")],
    "cache_dir": [(Path("kept"), "kept")],
    "results": [("out", Path("out")), (Path("out"), Path("out"))],
    "settings": [
        ({"width": 8, "channels": None}, ("width=8", "channels=none")),
        ({"mean": [0.5, 0.25]}, ("mean=0.5,0.25",)),
        ({"mean": np.array([0.5, 0.25])}, ("mean=0.5,0.25",)),
        ({"block_pool": (True, np.bool_(False))}, ("block_pool=True,False",)),
        ({"lr": np.float64(0.1), "batch_norm": False}, ("lr=0.1", "batch_norm=False")),
        ({"model_args": {"a": 1, "b": None}}, ("model_args=a=1,b=none",)),
        ({"teacher": Path("t.pth")}, ("teacher=t.pth",)),
        ("lr=1", ("lr=1",)), (["lr=1", "width=2"], ("lr=1", "width=2")), (None, ()),
    ],
}  # fmt: skip
CASES = [(name, given, value) for name, cases in READ.items() for given, value in cases]


@pytest.mark.parametrize(("name", "given", "value"), CASES)
def test_a_value_in_its_natural_type(name, given, value):
    read = getattr(SweepOptions(space="ablation", **{name: given}), name)
    assert read == value
    assert type(read) is type(value)


WRONG = {
    "limit_train": [0.5, [0.5], [], True, {"a": 1}, b"9", object(), 0, -1, "few", "1,", "0", "-1"],
    "epochs": ["3", 2.5, True, [3], np.float64(3)],
    "trials": [0, -1, "many"],
    "seed": [-1, None],
    "confirm": [
        *("5", 5, "5x", "x3", "0x3", "5x0", "-1x3", "5x3x1", "", "none"),
        *(True, False, 0.5, (5, 3)),
    ],
    "reduction_factor": ["3", True],
    "scratch": [1, "no", None],
    "time_budget": [0, -5, "soon", True, float("nan"), float("inf"), [5], timedelta(0), "1h30m"],
    "trials_per_gpu": [0, "many", 2.5, True],
    "imports": [5, [5], [None]],
    "dataset": [5, ["digits"], object()],
    "source": [5],
    "results": [5, None],
    "name": [5],
    "settings": [5, {"channels": []}, [5]],
}
REFUSED = [(name, given) for name, values in WRONG.items() for given in values]


@pytest.mark.parametrize(("name", "given"), REFUSED)
def test_a_wrong_type_is_one_line_with_the_option_and_the_value(name, given):
    with pytest.raises(BadInput, match=f"^{flag_of(name)} ") as caught:
        SweepOptions(space="ablation", **{name: given})
    assert "\n" not in str(caught.value)


def test_every_option_reads_its_own_default_unchanged():
    once = SweepOptions(space="ablation")
    again = SweepOptions(**{f.name: getattr(once, f.name) for f in fields(once)})
    assert again == once


def test_a_path_to_data_says_of_which_kind_they_are(tmp_path):
    (tmp_path / "photos" / "a").mkdir(parents=True)
    (tmp_path / "tables" / "data").mkdir(parents=True)
    (tmp_path / "tables" / "data" / "train.parquet").touch()
    for given, kind in (("photos", "folder"), ("tables", "parquet")):
        path = tmp_path / given
        assert SweepOptions(space="x", dataset=path).dataset == f"{kind}:{path}"
        assert SweepOptions(space="x", source_dataset=path).source_dataset == f"{kind}:{path}"
        assert SweepOptions(space="x", settings={"dataset": path}).settings[0].endswith(str(path))
    file = tmp_path / "tables" / "data" / "train.parquet"
    assert SweepOptions(space="x", dataset=file).dataset == f"parquet:{file}"
    assert SweepOptions(space="x", dataset=Path("digits")).dataset == "digits"


def test_sizes_and_settings_reach_the_plan(tmp_path):
    made = make_plan(
        SweepOptions(
            space="ablation",
            limit_train=1000,
            settings={"channels": np.array([4, 8])},
            results=tmp_path,
        )
    )
    assert (made.base.limit_train, made.base.channels) == (1000, (4, 8))
    several = SweepOptions(space="ablation", limit_train=[1000, None, 100])
    assert several.overrides["limit_train"] is None
    assert make_plan(several).levels("limit_train") == (100, 1000, None)


def test_deterministic_trials_are_asked_for_by_a_switch_or_a_setting(tmp_path):
    for given in ({"deterministic": True}, {"settings": {"deterministic": True}}):
        made = make_plan(SweepOptions(space="ablation", results=tmp_path, **given))
        assert made.base.deterministic
    assert not make_plan(SweepOptions(space="ablation", results=tmp_path)).base.deterministic


def test_python_asks_like_the_command_line(monkeypatch, tmp_path):
    monkeypatch.setattr(api, "run_sweep", lambda options, console, space: options)
    asked = run(
        Path("ablation"), limit_train=1000, time_budget="30m", trials_per_gpu="auto",
        imports=Path("mine.py"), results=str(tmp_path), set={"width": np.int64(8)}, quiet=True,
    )  # fmt: skip
    assert asked == SweepOptions(
        space="ablation", limit_train=Sizes([1000]), time_budget=1800.0, trials_per_gpu=None,
        imports=("mine.py",), results=tmp_path, settings=("width=8",),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"limit_trian": 5}, "limit_trian= is no option; did you mean limit_train"),
        ({"zzz": 5}, "zzz= is no option; one of "),
        ({"set": 5}, "--set 5: write text"),
        ({"epochs": "3"}, "--epochs '3': write a whole number"),
    ],
)
def test_python_refuses_in_one_line(given, message):
    with pytest.raises(BadInput, match=message) as caught:
        run("ablation", **given)
    assert "\n" not in str(caught.value)
