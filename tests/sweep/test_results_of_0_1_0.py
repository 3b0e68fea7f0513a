"""Results and models that version 0.1.0 wrote are still read: `results-0.1.0` beside this file.

It holds a grid of two learning rates × 2 seeds on the digits, one trial stopped early, and the
winner kept as a model.
"""

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits
from typer.testing import CliRunner

from sweep import predict
from sweep.cli.main import app
from sweep.configurations.identity import Identifier
from sweep.plan.make_plan import make_plan
from sweep.results.tables import read_table
from tl_core import TrainConfig
from tl_core.config import config_from_dict
from tl_core.models import build_model

KEPT = Path(__file__).with_name("results-0.1.0")


@pytest.fixture
def results(tmp_path):
    return Path(shutil.copytree(KEPT, tmp_path / "results"))


def run(*arguments):
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert done.exit_code == 0, done.output
    return done.output


@pytest.mark.parametrize(
    ("command", "shown"),
    [
        ("list", ("old-sweep", "finished", "4/4", "0.3064")),
        ("show old-sweep", ("0.3854 ± 0.0147", "test accuracy 0.3064", "lr=0.01")),
        ("sources", ("old-model", "residual", "digits", "0.3958")),
    ],
)
def test_commands_show_them(results, command, shown):
    output = run(*command.split(), "--results", results)
    assert [text for text in shown if text not in output] == []


@pytest.mark.parametrize("name", ["old-sweep", "old-model"])
def test_its_models_predict(results, tmp_path, name):
    digits = load_digits()
    for place in range(20):
        pixels = (digits.images[place] / 16 * 255).astype(np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{place:02}.png")
    frame = predict(name, sorted(tmp_path.glob("*.png")), results=results)
    right = (frame["class"] == [str(label) for label in digits.target[:20]]).mean()
    assert 0.2 < right < 0.7  # its accuracy on the validation split is 0.3958


def test_its_model_is_a_source(results, options):
    plan = make_plan(
        options(space="ablation", dataset="digits", source="old-model", results=results)
    )
    assert (plan.base.width, plan.base.depth) == (4, 1)
    model = build_model(plan.base, channels=1, num_classes=3, image_size=8)
    assert [name for name in model.loaded.missing if not name.startswith("head")] == []


def test_config_ids_of_unchanged_configurations_do_not_change(results, tmp_path):
    trials = read_table(results, "trials", "old-sweep")
    base = TrainConfig(
        dataset="digits",
        width=4,
        depth=1,
        epochs=2,
        limit_train=200,
        batch_size=32,
        precision="fp32",
        eval_precision="fp32",
        cache_dir=str(tmp_path),
    )
    identifier = Identifier(lambda values: config_from_dict(values, base), base.to_dict(), None)
    for trial in trials.to_dict("records"):
        assert identifier.config_id({"lr": trial["lr"]}) == trial["config_id"]
