"""The import boundary, each time in a fresh process."""

import subprocess
import sys

import pytest

IMPORT_EVERYTHING = """
import importlib, pkgutil, sys, tl_core
names = [m.name for m in pkgutil.walk_packages(tl_core.__path__, "tl_core.")]
for name in names:
    importlib.import_module(name)
print(*names)
print(*sys.modules)
"""
IMPORT_CONFIG = "import sys; {}; print(*sys.modules)"


def output(code: str) -> list[set[str]]:
    """The words of each line that a fresh process prints."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return [set(line.split()) for line in done.stdout.splitlines()]


@pytest.mark.slow
def test_the_trainer_loads_none_of_the_sweep():
    imported, loaded = output(IMPORT_EVERYTHING)
    walked = {
        "tl_core.train.trainer",
        "tl_core.models.timm_models",
        "tl_core.datasets.readers.parquet",
    }
    assert walked <= imported <= loaded
    assert loaded.isdisjoint({"ray", "optuna", "pandas", "typer", "sweep", "search_spaces"})


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "statement",
    ["import tl_core.config", "import tl_core", "from tl_core import TrainConfig, BadInput"],
)
def test_the_configuration_loads_without_torch(statement):
    (loaded,) = output(IMPORT_CONFIG.format(statement))
    assert "tl_core.config" in loaded
    assert loaded.isdisjoint({"torch", "torchvision", "timm", "numpy"})


@pytest.mark.timeout(300)
def test_lazy_names_are_the_modules_own():
    import tl_core
    from tl_core import datasets, models
    from tl_core.train import trainer

    assert tl_core.fit is trainer.fit
    assert tl_core.Trainer is trainer.Trainer
    assert tl_core.EpochMetrics is trainer.EpochMetrics
    assert tl_core.load_data is datasets.load_data
    assert tl_core.build_model is models.build_model
    with pytest.raises(AttributeError, match="fitt"):
        _ = tl_core.fitt
