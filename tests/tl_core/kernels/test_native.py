"""Which layers of a model are run natively, and where the compiled functions come from."""

import shutil

import pytest
import timm
import torch
import torch.nn.functional as F
from torch import nn

from tl_core import kernels
from tl_core.kernels.grey_conv import GreyConv
from tl_core.kernels.max_pool import MaxPool
from tl_core.kernels.native import use_native_layers
from tl_core.kernels.norm_act import NormAct

native = pytest.mark.skipif(kernels.layer_library() is None, reason="no C++ compiler here")


@native
@pytest.mark.parametrize("name", ["test_resnet", "test_efficientnet"])
def test_timm_models_keep_their_tensors_and_numbers(name):
    model = timm.create_model(name, num_classes=3).to(memory_format=torch.channels_last)
    x = torch.randn(4, 3, 64, 64).contiguous(memory_format=torch.channels_last)
    before, names = model(x), list(model.state_dict())
    classes = {type(module) for module in model.modules()}
    use_native_layers(model)
    assert {type(module) for module in model.modules()} != classes
    torch.testing.assert_close(model(x), before, rtol=1e-3, atol=1e-3)
    assert list(model.state_dict()) == names


class OwnNorm(nn.BatchNorm2d):
    """Somebody's own layer, which may do anything."""


@native
def test_only_layers_that_do_the_same_are_replaced():
    pools = [nn.MaxPool2d(2, ceil_mode=True), nn.MaxPool2d((2, 2)), nn.MaxPool2d(3, 2, 1),
             nn.MaxPool2d(2, 1), nn.MaxPool2d(2, return_indices=True)]  # fmt: skip
    convs = [nn.Conv2d(1, 8, 3), nn.Conv2d(3, 8, 3)]
    model = nn.Sequential(nn.BatchNorm2d(3), OwnNorm(3), *pools, *convs)
    use_native_layers(model)
    assert [type(layer) for layer in model] == [
        NormAct, OwnNorm, MaxPool, MaxPool, nn.MaxPool2d, nn.MaxPool2d, nn.MaxPool2d, GreyConv,
        nn.Conv2d,
    ]  # fmt: skip


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
    model = nn.Sequential(NormAct(4, nn.Identity()), MaxPool(2))
    torch.testing.assert_close(
        model(x), F.max_pool2d(F.batch_norm(x, None, None, training=True), 2)
    )


def test_without_a_library_nothing_is_replaced(monkeypatch, fresh_library):
    monkeypatch.setenv("TL_SWEEP_KERNELS", "0")
    model = nn.Sequential(nn.BatchNorm2d(4), nn.MaxPool2d(2))
    use_native_layers(model)
    assert [type(layer) for layer in model] == [nn.BatchNorm2d, nn.MaxPool2d]


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
