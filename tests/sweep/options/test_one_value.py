"""A setting is given once: by its own option or by `--set`, or twice with the same value."""

import pytest

from sweep.options.option import flag
from sweep.options.sweep_options import FLAGS, SweepOptions
from sweep.plan.at_source import source_options
from sweep.plan.make_plan import make_plan
from tl_core.errors import BadInput

TWICE = {
    "dataset": ("digits", "shapes"), "data_dir": ("a", "b"), "cache_dir": ("a", "b"),
    "limit_train": ("100", "50"), "backbone": ("plain", "residual"), "teacher": ("a.pth", "b.pth"),
    "source": ("a.pth", "b.pth"), "epochs": (4, 3), "deterministic": (True, False),
}  # fmt: skip
SETS = {n: f.metadata["sets"] for n, f in FLAGS.items()} | {"limit_train": "limit_train"}


def test_every_option_that_fixes_a_setting_is_tried():
    assert {name for name, field in SETS.items() if field} == {*TWICE, "seed"}  # no --set seed


@pytest.mark.parametrize("name", TWICE)
def test_a_setting_with_two_values_is_refused_in_one_line(name):
    value, other = TWICE[name]
    asked = SweepOptions(space="ablation", **{name: value}, settings={SETS[name]: other})
    both = f"{flag(FLAGS[name])}.* and --set {SETS[name]}={other}: .* has one value; give one"
    with pytest.raises(BadInput, match=both) as caught:
        _ = asked.overrides
    assert "\n" not in str(caught.value)
    same = SweepOptions(space="ablation", **{name: value}, settings={SETS[name]: value})
    assert SETS[name] in same.overrides


def test_the_error_shows_both_as_they_were_written():
    asked = SweepOptions(space="ablation", epochs=4, settings=("epochs=3",))
    with pytest.raises(BadInput, match=r"^--epochs 4 and --set epochs=3: epochs has one value"):
        _ = asked.overrides


def test_a_source_has_its_own_value_of_what_the_transfers_fix():
    asked = SweepOptions(space="s", backbone="plain", source_settings=("backbone=residual",))
    assert source_options(asked).overrides["backbone"] == "residual"
    assert asked.overrides["backbone"] == "plain"


def test_two_data_sets_of_a_source_are_refused(write_file, options):
    path = write_file(
        "SOURCE = TrainConfig(dataset='shapes', width=4, epochs=1)\n"
        "BASE = TrainConfig(dataset='digits', epochs=1)\n"
        "SPACE = {'freeze_depth': Choice(0, 2)}\nSEARCH = 'grid'\n"
    )
    both = "--source-dataset shapes and --source-set dataset=digits: dataset has one value"
    with pytest.raises(BadInput, match=both):
        make_plan(options(path, source_dataset="shapes", source_settings=("dataset=digits",)))
