"""Weights that timm publishes: used from the disk, and refused where they cannot be had."""

import pytest
import timm
import torch
from safetensors.torch import save_file

from tl_core import BadInput
from tl_core.models import head_parameters, hub
from tl_core.models.hub import WeightsUnavailable, fetch_hub_weights


@pytest.fixture
def empty_cache(tmp_path, monkeypatch):
    """Hub caches in an empty folder, and a hub that never answers."""
    cache = tmp_path / "hub"
    find = hub.huggingface_hub.try_to_load_from_cache
    monkeypatch.setattr(
        hub.huggingface_hub,
        "try_to_load_from_cache",
        lambda *args, **options: find(*args, cache_dir=cache, **options),
    )
    monkeypatch.setattr(hub, "reachable", lambda urls: False)
    return cache


def test_hub_weights_that_cannot_be_had_name_the_way_out(empty_cache, make):
    with pytest.raises(WeightsUnavailable, match="--weights FILE, or --weights none"):
        fetch_hub_weights("timm:test_resnet")
    with pytest.raises(WeightsUnavailable, match="the hub does not answer"):
        make("timm:test_resnet", weights="pretrained")
    with pytest.raises(BadInput, match="no published weights"):
        fetch_hub_weights("residual")


def publish(cache, model):
    folder = cache / "models--timm--test_resnet.r160_in1k"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text("abc")
    (folder / "snapshots" / "abc").mkdir(parents=True)
    save_file(model.state_dict(), folder / "snapshots" / "abc" / "model.safetensors")


def test_hub_weights_that_are_no_numbers_are_refused(empty_cache, make):
    published = timm.create_model("test_resnet")
    torch.nn.init.constant_(published.layer1[0].conv1.weight, float("nan"))
    publish(empty_cache, published)
    with pytest.raises(BadInput, match=r"model.safetensors' are NaN .* layer1\.0\.conv1\.weight"):
        make("timm:test_resnet", weights="pretrained")


def test_hub_weights_on_disk_are_used_without_the_network(empty_cache, make):
    torch.manual_seed(7)
    published = timm.create_model("test_resnet")  # 1000 classes, as the hub's
    publish(empty_cache, published)
    assert fetch_hub_weights("timm:test_resnet").is_relative_to(empty_cache)
    model, _ = make("timm:test_resnet", weights="pretrained", colours=1)
    assert torch.equal(model.layer1[0].conv1.weight, published.layer1[0].conv1.weight)
    assert set(model.loaded.missing) == head_parameters(model)
    assert model.loaded.adapted == ("conv1.0.weight",)
