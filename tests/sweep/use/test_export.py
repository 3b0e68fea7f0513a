"""A model for other programs gives what it gives here."""

import contextlib
import json
import warnings

import numpy as np
import pytest
import torch

from sweep.use.export import FORMATS, export_model
from tl_core.config import TrainConfig
from tl_core.datasets import load_data
from tl_core.errors import BadInput
from tl_core.models import build_model
from tl_core.models.saved_model import load_model
from tl_core.weights.weights_file import save_weights

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def data(cache):
    return load_data(TrainConfig(dataset="digits", cache_dir=str(cache)))


@pytest.fixture(params=["residual", "timm:test_efficientnet"])
def weights(request, tmp_path, data):
    """A model with weights that are not all alike, statistics included."""
    size = 8 if request.param == "residual" else 32
    config = TrainConfig(backbone=request.param, width=4, attention="se")
    torch.manual_seed(0)
    model = build_model(config, channels=1, num_classes=10, image_size=size)
    images = torch.rand(16, 1, size, size)
    model.train()(images)
    path = tmp_path / "w.safetensors"
    save_weights(
        path, model, config=config, classes=data.classes, mean=[0.3], std=[0.2], image_size=size,
        white_levels={"integers": 4095.0, "floats": None},
    )  # fmt: skip
    return path


def seen(weights, data):
    """Real images (20, 1, S, S) as the model wants them, by the words beside an export."""
    saved = load_model(weights)
    pixels = data.test.batch(np.arange(20)).float() / 255
    large = torch.nn.functional.interpolate(pixels, size=(saved.image_size,) * 2)
    return (large - 0.3) / 0.2


@pytest.mark.parametrize("form", ["torchscript", pytest.param("onnx", marks=pytest.mark.slow)])
def test_the_exported_model_agrees(weights, data, tmp_path, form):
    files = export_model(weights, form, tmp_path / "out")
    assert [file.name for file in files[1:]] == ["preprocessing.json", "classes.txt"]
    images = seen(weights, data)
    with torch.no_grad():
        expected = load_model(weights).model(images)
    if form == "onnx":
        runtime = pytest.importorskip("onnxruntime")
        session = runtime.InferenceSession(str(files[0]), providers=["CPUExecutionProvider"])
        found = torch.from_numpy(session.run(["logits"], {"images": images.numpy()})[0])
    else:
        found = torch.jit.load(str(files[0]))(images)
    assert found.shape == (20, 10)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_torch_does_not_warn_the_user(weights, tmp_path):
    with warnings.catch_warnings():
        for category in (UserWarning, FutureWarning):
            warnings.simplefilter("error", category)
        export_model(weights, "torchscript", tmp_path / "out")


def test_what_stands_beside_it(weights, tmp_path):
    out = tmp_path / "out"
    model, about, classes = export_model(weights, "safetensors", out)
    assert model.read_bytes() == weights.read_bytes()
    assert classes.read_text().splitlines() == [str(n) for n in range(10)]
    told = json.loads(about.read_text())
    assert (told["mean"], told["std"], told["color"]) == ([0.3], [0.2], "grey")
    assert told["white"] == {"8-bit": 255, "integers": 4095.0, "floats": None}
    assert told["input"][1:] == [1, *[load_model(weights).image_size] * 2]


def test_every_class_has_one_line_whatever_its_name(tmp_path):
    names = ("a\nb", "ä\r\nc\u2028d", 'e "f", g')
    config = TrainConfig(backbone="residual", width=4)
    path = tmp_path / "w.safetensors"
    save_weights(
        path, build_model(config, channels=1, num_classes=3, image_size=8), config=config,
        classes=names, mean=[0.3], std=[0.2], image_size=8,
    )  # fmt: skip
    _, about, classes = export_model(path, "safetensors", tmp_path / "out")
    assert classes.read_text(encoding="utf-8").splitlines() == ["a b", "ä c d", 'e "f", g']
    assert json.loads(about.read_text())["classes"] == list(names)


def test_an_unknown_format_is_refused(tmp_path):
    with pytest.raises(BadInput, match="--format tflite: one of safetensors, onnx, torchscript"):
        export_model(tmp_path / "w.safetensors", "tflite", tmp_path)
    assert set(FORMATS) == {"safetensors", "onnx", "torchscript"}


def test_what_stands_beside_the_model_is_whole_or_absent(
    tmp_path, weights, monkeypatch, file_size_limit
):
    """The model was written before the disk was full."""
    out, copy = tmp_path / "out", FORMATS["safetensors"][1]

    def full_after(saved, path):
        copy(saved, path)
        limit.enter_context(file_size_limit(100))

    monkeypatch.setitem(FORMATS, "safetensors", ("safetensors", full_after))
    with pytest.raises(OSError, match="File too large") as caught, contextlib.ExitStack() as limit:
        export_model(weights, "safetensors", out)
    assert caught.value.filename == str(out / "preprocessing.json")
    assert [path.name for path in out.iterdir()] == ["model.safetensors"]
    assert (out / "model.safetensors").read_bytes() == weights.read_bytes()
