"""What a plan refuses, in one line, before anything runs."""

import pytest

from tl_core.errors import BadInput

REFUSED = {
    "data set": ({"dataset": "cifar"}, "'cifar'.*cifar10"),
    "data path": ({"dataset": "folder:/no/such"}, "/no/such"),
    "model": ({"backbone": "residaul"}, "did you mean residual"),
    "timm model": ({"backbone": "timm:resnet1"}, "timm:resnet1"),
    "weights": ({"source": "/no/such.pth"}, "no such file"),
    "weights of none": ({"source": "pretrained"}, "residual has no published weights"),
    "model_args": ({"settings": ("model_args=a=1",)}, "only timm models"),
    "optimizer": ({"settings": ("optimizer=sdg",)}, "optimizer='sdg': one of sgd"),
    "schedule": ({"settings": ("schedule=linear",)}, "schedule='linear': one of constant"),
    "augmentation": ({"settings": ("augmentation=x",)}, "augmentation='x': one of none"),
    "space": ({"space": "ablatoin"}, "did you mean ablation"),
    "import": ({"imports": ("no.py",)}, r"no\.py is no Python file"),
    "search": ({"search": "bayes"}, "--search bayes: one of auto, grid, random, optuna"),
    "scheduler": ({"scheduler": "median"}, "--scheduler median: one of auto, asha, none"),
    "design": ({"design": "latin"}, "--design latin: one of one-at-a-time, factorial"),
    "both": ({"design": "factorial", "search": "grid"}, "exclude each other"),
    "part of one at a time": (
        {"design": "one-at-a-time", "trials": 5},
        "--trials 5 draws from the factorial",
    ),
    "more than the factorial": ({"trials": 109}, "109.*108"),
    "more than the grid": ({"search": "grid", "trials": 109}, "--trials 109: the grid has 108"),
    "grid of a range": ({"space": "transfer", "search": "grid"}, "cannot enumerate lr"),
    "design of a range": ({"space": "transfer", "design": "factorial"}, "needs levels"),
    "no equals sign": ({"settings": ("lr",)}, "--set lr: write KEY=VALUE"),
    "key": ({"settings": ("leraning_rate=1",)}, "'leraning_rate' is no field"),
    "no key": ({"settings": ("=1",)}, "'' is no field"),
    "no number": ({"settings": ("lr=fast",)}, "lr='fast' is not a number"),
    "out of range": ({"settings": ("lr=-1",)}, "lr=-1.0.*greater than 0"),
    "seed": ({"settings": ("seed=1",)}, "use --seed S"),
    "epochs": ({"epochs": 0}, "epochs=0: the smallest value is 1"),
    "reduction factor": ({"reduction_factor": 1.0, "scheduler": "asha"}, "--reduction-factor 1"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_is_refused_in_one_line(plan, case):
    fields, message = REFUSED[case]
    with pytest.raises(BadInput, match=message) as caught:
        plan(**fields)
    assert "\n" not in str(caught.value)


def test_every_level_of_a_space_is_looked_up(plan, write_file):
    known = {
        "backbone": "residual",
        "optimizer": "sgd",
        "schedule": "step",
        "augmentation": "none",
    }
    for field, good in known.items():
        path = write_file(f'BASE = TrainConfig()\nSPACE = {{"{field}": Choice("{good}", "zzz")}}')
        with pytest.raises(BadInput, match=f"{field}='zzz'"):
            plan(path)


@pytest.mark.parametrize("factor", ["1", "nan", "inf"])
def test_a_reduction_factor_that_reduces_nothing(plan, factor):
    with pytest.raises(BadInput, match="--reduction-factor"):
        plan(reduction_factor=float(factor))


def test_a_device_that_is_not_there(plan):
    with pytest.raises(BadInput, match="device='foo'"):
        plan(settings=("device=foo",))


def test_a_budget_that_is_no_number_is_refused_before_any_trial(plan, monkeypatch):
    monkeypatch.setenv("TL_SWEEP_FEATURES_BUDGET", "plenty")
    with pytest.raises(BadInput, match="TL_SWEEP_FEATURES_BUDGET='plenty'"):
        plan()


@pytest.mark.parametrize(
    "given", [{"source_dataset": "shapes"}, {"source_settings": ("epochs=1",)}]
)
def test_settings_of_a_source_that_is_not_trained_are_refused(plan, given):
    with pytest.raises(BadInput, match=r"--source-.*: no source is trained, since ablation has"):
        plan(**given)
