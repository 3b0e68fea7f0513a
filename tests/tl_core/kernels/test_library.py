"""When the native library is compiled, and what runs without it."""

import shutil
import subprocess

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from tl_core import TrainConfig, kernels
from tl_core.kernels import norm_act
from tl_core.kernels.norm_act import NormAct
from tl_core.models import build_model


@pytest.fixture
def fresh_library(monkeypatch, tmp_path):
    """A cache without a compiled library."""
    monkeypatch.setenv("TL_SWEEP_CACHE", str(tmp_path))
    kernels.layer_library.cache_clear()
    yield tmp_path
    kernels.layer_library.cache_clear()


@pytest.mark.parametrize("variable", [{"CXX": "false"}, {"TL_SWEEP_KERNELS": "0"}, {"PATH": ""}])
def test_without_a_library_training_goes_on(monkeypatch, fresh_library, variable):
    for name, value in variable.items():
        monkeypatch.setenv(name, value)
    x = torch.randn(2, 4, 6, 6).contiguous(memory_format=torch.channels_last)
    assert kernels.layer_library() is None
    norm = NormAct(4, nn.ELU())
    torch.testing.assert_close(norm(x), F.elu(F.batch_norm(x, None, None, training=True)))


@pytest.mark.parametrize(
    "error",
    [
        OSError(28, "No space left on device"),
        subprocess.CalledProcessError(1, "c++", stderr=b"fatal: No space left on device"),
    ],
)
def test_a_full_disk_is_said(monkeypatch, fresh_library, error):
    def full(compiler):
        raise error

    monkeypatch.setattr(kernels, "library_file", full)
    monkeypatch.setattr(shutil, "which", lambda name: "/usr/bin/c++")
    with pytest.warns(UserWarning, match=r"takes no more: .* TL_SWEEP_CACHE"):
        assert kernels.layer_library() is None


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_the_library_is_made_only_where_a_cpu_computes(monkeypatch, fresh_library, device):
    asked = []
    monkeypatch.setattr(norm_act, "layer_library", lambda: asked.append("library"))
    model = build_model(TrainConfig(width=4), channels=3, num_classes=2, image_size=8)
    assert asked == []
    model = model.to(device, memory_format=torch.channels_last)
    images = torch.zeros(2, 3, 8, 8, device=device)
    model(images.contiguous(memory_format=torch.channels_last))
    assert bool(asked) == (device == "cpu")


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("c++") is None, reason="no C++ compiler here")
def test_the_library_is_compiled_once(fresh_library, monkeypatch):
    plain = tuple(flag for flag in kernels.FLAGS if flag != "-O3")  # compiled five times as fast
    monkeypatch.setattr(kernels, "FLAGS", plain)
    assert kernels.layer_library() is not None
    (file,) = (fresh_library / "kernels").glob("*.so")
    made = file.stat().st_mtime_ns
    kernels.layer_library.cache_clear()
    assert kernels.layer_library() is not None
    assert [f.stat().st_mtime_ns for f in (fresh_library / "kernels").glob("*.so")] == [made]
