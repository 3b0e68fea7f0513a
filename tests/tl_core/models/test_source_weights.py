"""Source weights into models: what loads, what is adapted, what is refused; normalization."""

import importlib.util
import os
import pickle
import sys
import warnings
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import load_file, save_file

from tl_core import BadInput, TrainConfig
from tl_core.models import MODELS, build_model, head_parameters, stages
from tl_core.models.source_weights import normalization, weights_fingerprint
from tl_core.weights.weights_file import read_metadata, save_weights

TINY = [f"timm:{name}" for name in timm.list_models("test_*")]
GREY, COLOUR = ((0.5,), (0.25,)), ((0.1, 0.2, 0.3), (0.4, 0.5, 0.6))


def build(backbone="residual", *, colours=3, classes=5, size=32, seed=0, **fields):
    torch.manual_seed(seed)
    config = TrainConfig(backbone=backbone, **{"width": 4, **fields})
    return build_model(config, channels=colours, num_classes=classes, image_size=size)


def save(path, model, backbone="residual", **about):
    config = TrainConfig(backbone=backbone, width=4)
    about = {"classes": ["a", "b", "c", "d", "e"], "mean": COLOUR[0], "std": COLOUR[1]} | about
    save_weights(path, model, config=config, **about)
    return str(path)


@pytest.fixture
def source(tmp_path):
    """A residual CNN for 3 channels and 5 classes in a file of ours."""
    return save(tmp_path / "source.safetensors", build(), accuracy=0.75, image_size=32)


@pytest.mark.parametrize("backbone", [*MODELS, *TINY])
def test_saved_weights_load_to_the_bit(tmp_path, backbone):
    size = 64 if backbone in ("timm:test_maxvit", "timm:test_coatnet") else 32
    first = build(backbone, size=size).to(memory_format=torch.channels_last)
    path = save(tmp_path / "first.safetensors", first, backbone)
    second = build(backbone, size=size, seed=1, weights=path)
    assert (second.loaded.missing, second.loaded.unexpected) == ((), ())
    for (name, one), two in zip(
        first.state_dict().items(), second.state_dict().values(), strict=True
    ):
        assert torch.equal(one, two), name


def test_metadata_tells_how_the_weights_were_made(source):
    about = read_metadata(source)
    assert about.config["backbone"] == "residual"
    assert about.config["width"] == 4
    assert about.classes == ("a", "b", "c", "d", "e")
    assert (about.mean, about.std) == COLOUR
    assert (about.accuracy, about.image_size) == (0.75, 32)


def test_a_failed_save_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch, source):
    before = Path(source).read_bytes()
    monkeypatch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        save(source, build(seed=3))
    assert Path(source).read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["source.safetensors"]


@pytest.mark.parametrize("backbone", ["residual", "plain", "timm:test_resnet", "timm:test_vit"])
def test_a_head_of_other_classes_is_left_out_and_the_body_loaded(tmp_path, backbone):
    first = build(backbone)
    path = save(tmp_path / "first.safetensors", first, backbone)
    second = build(backbone, classes=7, seed=1, weights=path)
    head = head_parameters(second)
    assert set(second.loaded.missing) == head == set(second.loaded.unexpected)
    there, here = first.state_dict(), second.state_dict()
    assert all(torch.equal(there[name], here[name]) for name in here if name not in head)
    fresh = build(backbone, classes=7, seed=1).state_dict()
    assert all(torch.equal(fresh[name], here[name]) for name in head)


def test_a_source_of_neither_grey_nor_colour_images_is_refused(tmp_path):
    path = save(tmp_path / "four.safetensors", build(colours=4))
    with pytest.raises(BadInput, match=r"are for images of 4 channels, the model takes 3; give"):
        build(weights=path)
    assert build(colours=4, weights=path).loaded.adapted == ()


def test_a_head_of_as_many_other_classes_is_left_out(source):
    config = TrainConfig(backbone="residual", width=4, weights=source)
    shape = {"channels": 3, "num_classes": 5, "image_size": 32}
    same, other = (build_model(config, **shape, classes=names) for names in ("abcde", "vwxyz"))
    assert same.loaded.missing == ()
    assert set(other.loaded.missing) == set(other.loaded.unexpected) == head_parameters(other)


@pytest.mark.parametrize(
    ("backbone", "conv"),
    [
        ("residual", "stem.0"),
        ("plain", "blocks.0.layers.0.0"),
        ("baseline", "convs.0.0"),
        ("timm:test_resnet", "conv1.0"),
    ],
)
def test_the_first_convolution_sums_three_channels_and_repeats_one(tmp_path, backbone, conv):
    colour = build(backbone)
    grey = build(
        backbone, colours=1, weights=save(tmp_path / "3.safetensors", colour, backbone), seed=1
    )
    weight = colour.get_submodule(conv).weight
    adapted = grey.get_submodule(conv).weight
    torch.testing.assert_close(adapted, weight[:, :1] + weight[:, 1:2] + weight[:, 2:])
    assert grey.loaded.adapted == (f"{conv}.weight",)
    assert not grey.loaded.missing
    back = build(backbone, weights=save(tmp_path / "1.safetensors", grey, backbone), seed=2)
    torch.testing.assert_close(back.get_submodule(conv).weight, adapted.repeat(1, 3, 1, 1) / 3)


@pytest.mark.parametrize(
    ("backbone", "conv"), [("residual", "stem.0"), ("timm:test_resnet", "conv1.0")]
)
def test_the_first_convolution_may_take_the_mean(tmp_path, backbone, conv):
    colour = build(backbone)
    path = save(tmp_path / "3.safetensors", colour, backbone)
    grey = build(backbone, colours=1, weights=path, seed=1, input_adapt="mean")
    weight = colour.get_submodule(conv).weight
    torch.testing.assert_close(grey.get_submodule(conv).weight, weight.mean(1, keepdim=True))
    back = build(
        backbone, weights=save(tmp_path / "1.safetensors", grey, backbone), input_adapt="mean"
    )
    expected = grey.get_submodule(conv).weight.repeat(1, 3, 1, 1) / 3
    torch.testing.assert_close(back.get_submodule(conv).weight, expected)


def test_grey_images_give_what_their_colour_copies_gave(tmp_path, source):
    grey, images = build(colours=1, weights=source, seed=1), torch.randn(2, 1, 32, 32)
    colour = build(weights=source)
    expected = colour.eval()(images.repeat(1, 3, 1, 1))
    torch.testing.assert_close(grey.eval()(images), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("wrapper", [None, "state_dict", "model"])
@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod."])
def test_torch_files_with_wrappers_and_prefixes_load(tmp_path, wrapper, prefix):
    first = build()
    content = {prefix + name: tensor for name, tensor in first.state_dict().items()}
    torch.save({wrapper: content, "epoch": 3} if wrapper else content, tmp_path / "first.pth")
    second = build(seed=1, weights=str(tmp_path / "first.pth"))
    assert torch.equal(first.stem[0].weight, second.stem[0].weight)
    assert (second.loaded.missing, second.loaded.unexpected) == ((), ())


def test_a_vits_position_embeddings_are_resized_to_the_images(tmp_path):
    path = save(tmp_path / "vit.safetensors", build("timm:test_vit", size=64), "timm:test_vit")
    small = build("timm:test_vit", size=32, seed=1, weights=path)
    assert small.loaded.missing == ()
    assert small(torch.randn(2, 3, 32, 32)).shape == (2, 5)


def test_what_does_not_fit_is_listed(tmp_path, source):
    tensors = load_file(source)
    extra = {"other.weight": tensors.pop("stages.1.0.conv1.weight")}
    save_file({**tensors, **extra}, tmp_path / "odd.safetensors")
    model = build(weights=str(tmp_path / "odd.safetensors"))
    assert model.loaded.missing == ("stages.1.0.conv1.weight",)
    assert model.loaded.unexpected == ("other.weight",)


class Bomb:
    def __reduce__(self):
        return (Path.touch, (Path("exploded"),))


class Shell:
    def __reduce__(self):
        return (os.system, ("touch exploded",))


def bad_files(folder, source):
    whole = Path(source).read_bytes()
    (folder / "cut.safetensors").write_bytes(whole[: len(whole) // 2])
    torch.save(build().state_dict(), folder / "cut.pth")
    (folder / "cut.pth").write_bytes((folder / "cut.pth").read_bytes()[:2000])
    (folder / "text.pth").write_text("no weights at all")
    (folder / "empty.safetensors").write_bytes(b"")
    torch.save({"state_dict": {"a": Bomb()}}, folder / "code.pth")
    (folder / "legacy.pth").write_bytes(pickle.dumps(Bomb(), protocol=2))
    (folder / "newer.pth").write_bytes(pickle.dumps(Bomb(), protocol=4))
    torch.save({"state_dict": Shell()}, folder / "system.pth")
    torch.save([1, 2], folder / "list.pth")
    (folder / "notes.txt").write_text("x")
    save_file({"odd": torch.zeros(2)}, folder / "other.safetensors")


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("cut.safetensors", "cannot be read, cut off"),
        ("cut.pth", "cannot be read, cut off"),
        ("text.pth", "cannot be read, cut off"),
        ("empty.safetensors", "cannot be read, cut off"),
        ("code.pth", "pickled code, which is not run"),
        ("legacy.pth", "pickled code, which is not run"),
        ("system.pth", "pickled code, which is not run"),
        ("newer.pth", "pickled code, which is not run"),
        ("list.pth", "no named tensors"),
        ("notes.txt", r"\.txt is not \.safetensors"),
        ("nowhere.pth", "no such file"),
        ("other.safetensors", r"fits nothing of ResidualCNN: its tensors have other names \(odd"),
    ],
)
def test_bad_files_are_refused_in_one_line(tmp_path, monkeypatch, source, name, says):
    monkeypatch.chdir(tmp_path)
    bad_files(tmp_path, source)
    with pytest.raises(BadInput, match=says) as refusal:
        build(weights=str(tmp_path / name))
    assert "\n" not in str(refusal.value)
    assert not (tmp_path / "exploded").exists()


def test_a_source_of_another_width_is_refused_with_both_shapes(source):
    with pytest.raises(BadInput, match=r"\(4, 3, 3, 3\) in the file and \(8, 3, 3, 3\)") as error:
        build(width=8, weights=source)
    assert "backbone=residual, width=4" in str(error.value)


def test_loading_and_freezing_together(source):
    model = build(weights=source, freeze_depth=4, classes=3)
    assert len(stages(model)) == 4
    trained = {name for name, p in model.named_parameters() if p.requires_grad}
    assert trained == head_parameters(model)


@pytest.mark.parametrize(
    ("fields", "channels", "expected"),
    [
        ({}, 3, ((0.7,) * 3, (0.9,) * 3)),
        ({"mean": (0.1, 0.2, 0.3), "std": (0.2, 0.3, 0.4)}, 1, ((0.2,), (0.3,))),
        ({"mean": (0.5,), "std": (0.25,)}, 3, ((0.5,) * 3, (0.25,) * 3)),
        ({"weights": "SOURCE"}, 3, COLOUR),
        ({"weights": "SOURCE"}, 1, ((0.2,), (0.5,))),
        ({"weights": "SOURCE", "mean": (0.6,), "std": (0.7,)}, 1, ((0.6,), (0.7,))),
        ({"weights": "PLAIN"}, 1, ((0.7,), (0.9,))),
        ({"weights": "PLAIN", "backbone": "timm:test_resnet"}, 3, ((0.5,) * 3, (0.5,) * 3)),
        ({"weights": "pretrained", "backbone": "timm:resnet18"}, 1, ((0.449,), (0.226,))),
    ],
)
def test_normalization_is_the_configs_then_the_weights_then_the_datas(
    tmp_path, source, fields, channels, expected
):
    save_file(load_file(source), tmp_path / "plain.safetensors")
    names = {"SOURCE": source, "PLAIN": str(tmp_path / "plain.safetensors")}
    fields = {**fields, "weights": names.get(fields.get("weights"), fields.get("weights"))}
    data = ((0.7,) * channels, (0.9,) * channels)
    found = normalization(TrainConfig(**fields), *data, channels)
    for values, wanted in zip(found, expected, strict=True):
        assert values == pytest.approx(wanted)


def test_normalization_of_another_number_of_channels_is_refused():
    config = TrainConfig(mean=(0.1, 0.2), std=(0.1, 0.2))
    with pytest.raises(BadInput, match=r"mean=\(0.1, 0.2\) has 2 values but .* 3 channels"):
        normalization(config, (0.5,) * 3, (0.5,) * 3, 3)


def test_the_fingerprint_is_of_the_content(tmp_path, source):
    copied = tmp_path / "copy.safetensors"
    copied.write_bytes(Path(source).read_bytes())
    first = weights_fingerprint(TrainConfig(weights=source))
    assert first is not None
    assert len(first) == 16
    assert weights_fingerprint(TrainConfig(weights=str(copied))) == first
    save(copied, build(seed=5))
    assert weights_fingerprint(TrainConfig(weights=str(copied))) != first
    assert weights_fingerprint(TrainConfig()) is None
    hubs = TrainConfig(backbone="timm:resnet18", weights="pretrained")
    assert weights_fingerprint(hubs) == "hub:timm/resnet18.a1_in1k"


def import_example(name):
    path = Path(__file__).parents[3] / "examples" / "mobilenetv1.py"
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)


def test_a_users_module_adds_timm_models_and_may_be_imported_twice(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        import_example("example_one")
        import_example("example_two")
    backbone = "timm:mobilenetv1_025"
    first = build(backbone, classes=1000, model_args="pad_type=same")
    assert sum(p.numel() for p in first.parameters()) == 470_072  # as published: 0.47 M
    path = save(tmp_path / "first.safetensors", first, backbone)
    second = build(backbone, model_args="pad_type=same", weights=path, freeze_depth=2, colours=1)
    assert set(second.loaded.missing) == {"classifier.weight", "classifier.bias"}
    assert second.loaded.adapted == ("conv_stem.weight",)
    assert not second.conv_stem.weight.requires_grad
    assert len(stages(second)) > 5
