"""What names a configuration, and that naming one never fails."""

import shutil

import pytest

from sweep.configurations.identity import Identifier
from sweep.configurations.model_limits import model_limits
from sweep.trial.job import Job
from tl_core import TrainConfig
from tl_core.datasets import load_data
from tl_core.errors import BadInput
from tl_core.models import build_model
from tl_core.weights.weights_file import save_weights

BASE = TrainConfig(dataset="digits", width=4, precision="fp32", eval_precision="fp32")


def identifier(tmp_path, **fields):
    base = {**BASE.to_dict(), **fields}
    job = Job("s1", base, (), {}, str(tmp_path))
    return Identifier(job.config, base, model_limits(BASE))


def test_seeds_share_an_id_and_settings_do_not(tmp_path):
    ids = identifier(tmp_path)
    first = ids.config_id({"lr": 0.1, "seed": 0})
    assert first == ids.config_id({"seed": 1, "lr": 0.1}) == ids.identify({"lr": 0.1})["config_id"]
    assert first != ids.config_id({"lr": 0.2, "seed": 0})
    assert len(first) == 12


def test_the_data_are_those_of_the_trial(tmp_path):
    ids = identifier(tmp_path, image_size=8)
    digits, shapes = (ids.identify({"dataset": name}) for name in ("digits", "shapes"))
    assert digits["config_id"] != shapes["config_id"]
    for name, row in {"digits": digits, "shapes": shapes}.items():
        config = TrainConfig(dataset=name, image_size=8)
        assert row["data_fingerprint"] == load_data(config).fingerprint
        assert row["dataset"] == name


def unknown_data(ids):
    return {"dataset": "folder:/nowhere"}, "data_fingerprint"


def lost_weights(ids):
    return {"weights": "/nowhere/best.pth"}, "weights_fingerprint"


def unbuildable_model(ids):
    return {"weights": "/nowhere/best.pth", "backbone": "timm:none", "freeze_depth": 2}, "strategy"


def impossible_size(ids):
    return {"dataset": "digits", "image_size": 48, "backbone": "timm:inception_v3"}, None


def bad_value(ids):
    return {"lr": -1.0}, "data_fingerprint"


def unknown_field(ids):
    return {"lrr": 0.1}, "strategy"


BROKEN = [unknown_data, lost_weights, unbuildable_model, impossible_size, bad_value, unknown_field]


@pytest.mark.parametrize("case", BROKEN, ids=lambda case: case.__name__)
def test_what_cannot_be_read_is_null_and_the_id_still_groups_seeds(tmp_path, case):
    ids = identifier(tmp_path)
    values, unknown = case(ids)
    row = ids.identify({**values, "seed": 3})
    assert row["config_id"] == ids.config_id({**values, "seed": 4})
    assert row["config_id"] != ids.config_id({"seed": 3})
    assert len(row["config_id"]) == 12
    assert {**row, **values}.items() <= row.items()
    assert row["seed"] == 3
    assert row["width"] == 4
    if unknown is not None:
        assert row[unknown] is None


@pytest.fixture
def source(tmp_path):
    data = load_data(BASE)
    model = build_model(BASE, channels=1, num_classes=10, image_size=data.image_size)
    file = tmp_path / "source.safetensors"
    save_weights(
        file, model, config=BASE, classes=data.classes, mean=data.mean, std=data.std,
        image_size=data.image_size, accuracy=0.5,
    )  # fmt: skip
    return file


def test_weights_that_vanish_keep_the_fingerprint_they_had(tmp_path, source):
    ids = identifier(tmp_path)
    values = {"weights": str(source), "freeze_depth": 1}
    before = ids.identify({**values, "lr": 0.1})
    assert before["weights_fingerprint"] is not None
    assert before["strategy"] == "partial"
    source.unlink()
    assert ids.identify({**values, "lr": 0.1})["config_id"] == before["config_id"]
    after = ids.identify({**values, "lr": 0.2})
    assert after["weights_fingerprint"] == before["weights_fingerprint"]


def test_the_same_weights_under_another_path_have_the_same_id(tmp_path, source):
    copy = shutil.copy(source, tmp_path / "copy.safetensors")
    ids = identifier(tmp_path)
    rows = [ids.identify({"weights": str(path)}) for path in (source, copy)]
    assert rows[0]["config_id"] == rows[1]["config_id"]


def test_strategies_are_those_that_weights_and_freezing_amount_to(tmp_path, source):
    ids = identifier(tmp_path)
    stages = model_limits(BASE)("stages", {})
    weights = str(source)
    assert ids.identify({})["strategy"] == "scratch"
    assert ids.identify({"weights": weights})["strategy"] == "full"
    probe = {"weights": weights, "freeze_depth": stages}
    assert ids.identify(probe)["strategy"] == "probe"
    assert ids.identify({**probe, "strategy": "mine"})["strategy"] == "mine"


def test_asking_again_reads_nothing(tmp_path, monkeypatch):
    ids = identifier(tmp_path)
    first = ids.config_id({"lr": 0.1, "seed": 0})

    def refuse(config):
        raise BadInput("read again")

    monkeypatch.setattr("sweep.configurations.identity.load_data", refuse)
    assert ids.config_id({"lr": 0.1, "seed": 1}) == first
    assert ids.identify({"lr": 0.3})["data_fingerprint"] is not None
