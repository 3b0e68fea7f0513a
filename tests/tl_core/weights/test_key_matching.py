"""Checkpoints of other writers: keys and prefixes seen through and recorded; what is refused."""

import argparse
import pathlib
import warnings

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from tl_core import BadInput, TrainConfig
from tl_core.models import build_model

TIMM = "timm:test_resnet"


def build(backbone="residual", *, seed=0, **fields):
    torch.manual_seed(seed)
    config = TrainConfig(backbone=backbone, **{"width": 4, "depth": 1, **fields})
    return build_model(config, channels=3, num_classes=5, image_size=32)


@pytest.fixture(scope="module")
def state():
    """Tensors of a residual CNN."""
    return build().state_dict()


def prefixed(prefix, state):
    return {prefix + name: tensor for name, tensor in state.items()}


def moved(state, by=1.0):
    """The same names, other values."""
    return {n: t + by if t.is_floating_point() else t for n, t in state.items()}


def load(tmp_path, content, **fields):
    torch.save(content, tmp_path / "run.ckpt")
    return build(seed=1, weights=str(tmp_path / "run.ckpt"), **fields)


def assert_loaded(model, state, *, wrapper="", prefix="", aside=()):
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, state[name]), name
    loaded = model.loaded
    assert (loaded.wrapper, loaded.prefix, loaded.aside) == (wrapper, prefix, aside)
    assert loaded.missing == ()


PREFIXES = (
    "module.", "model.", "net.", "backbone.", "encoder.", "_orig_mod.", "module.model.",
    "model._orig_mod.", "_orig_mod.module.", "a.b.c.d.e.",
)  # fmt: skip


@pytest.mark.parametrize("prefix", PREFIXES)
def test_a_prefix_of_all_tensors_is_taken_off(tmp_path, state, prefix):
    model = load(tmp_path, prefixed(prefix, state))
    assert_loaded(model, state, prefix=prefix)
    assert model.loaded.unexpected == ()


@pytest.mark.parametrize(
    "wrapper",
    ["state_dict", "model", "model_state_dict", "ema", "model_ema", "state_dict_ema", "params",
     "net", "teacher", "student", "weights", "model.state_dict"],
)  # fmt: skip
def test_a_key_above_the_tensors_is_seen_through(tmp_path, state, wrapper):
    content = state
    for key in reversed(wrapper.split(".")):
        content = {key: content, "epoch": 3, "lr": 0.1}
    assert_loaded(load(tmp_path, content), state, wrapper=wrapper)


def test_both_and_tensors_that_have_no_prefix(tmp_path, state):
    content = {**prefixed("model.", state), "criterion.weight": torch.ones(3)}
    model = load(tmp_path, {"state_dict": content, "epoch": 3})
    assert_loaded(model, state, wrapper="state_dict", prefix="model.")
    assert model.loaded.unexpected == ("criterion.weight",)


def test_a_head_outside_the_prefix_is_found(tmp_path, state):
    head = {name: tensor for name, tensor in state.items() if name.startswith("head.")}
    body = {name: tensor for name, tensor in state.items() if name not in head}
    assert head
    model = load(tmp_path, {**prefixed("backbone.", body), **head})
    assert_loaded(model, state, prefix="backbone.")


def test_safetensors_too(tmp_path, state):
    save_file(prefixed("module.encoder.", state), tmp_path / "x.safetensors")
    model = build(seed=1, weights=str(tmp_path / "x.safetensors"))
    assert_loaded(model, state, prefix="module.encoder.")


def test_parts_that_torch_compile_puts_inside_a_name(tmp_path, state):
    inside = {name.replace("stages.", "stages._orig_mod.", 1): t for name, t in state.items()}
    assert inside.keys() != state.keys()
    assert_loaded(load(tmp_path, inside), state)


def test_a_prefix_before_names_that_timm_has_to_translate(tmp_path):
    """The file's own names fit nothing before timm's filter has seen them without the prefix."""
    source = build("timm:test_convnext").state_dict()
    official = {
        name.replace("stem.", "downsample_layers.0.").replace("head.norm.", "norm.")
        .replace(".conv_dw.", ".dwconv.").replace("mlp.fc", "pwconv").replace(".blocks.", "."): t
        for name, t in source.items()
    }  # fmt: skip
    plain = load(tmp_path, official, backbone="timm:test_convnext").loaded
    other = load(tmp_path, {"model": prefixed("module.", official)}, backbone="timm:test_convnext")
    assert (other.loaded.wrapper, other.loaded.prefix) == ("model", "module.")
    assert other.loaded.missing == plain.missing
    assert len(plain.missing) < len(source) / 2


@pytest.mark.parametrize(
    ("first", "second"),
    [("model", "ema"), ("state_dict", "state_dict_ema"), ("model", "model_ema"),
     ("student", "teacher"), ("params", "params_ema"), ("model", "swa_model"),
     ("model", "EMA"), ("net", "Averaged_net")],
)  # fmt: skip
def test_of_two_that_fit_the_average_is_taken_and_the_other_named(tmp_path, state, first, second):
    averaged = moved(state)
    for content in ({first: state, second: averaged}, {second: averaged, first: state}):
        assert_loaded(load(tmp_path, content), averaged, wrapper=second, aside=(first,))


def test_an_ordinary_file_that_fits_in_part_has_nothing_aside(tmp_path, state):
    part = {name: tensor for name, tensor in state.items() if not name.startswith("stem.")}
    loaded = load(tmp_path, part).loaded
    assert (loaded.wrapper, loaded.prefix, loaded.aside) == ("", "", ())


def test_dinos_teacher_is_found(tmp_path, state):
    student, teacher = prefixed("module.backbone.", state), prefixed("backbone.", moved(state))
    model = load(tmp_path, {"student": student, "teacher": teacher, "args": argparse.Namespace()})
    other = "student: module.backbone."
    assert_loaded(model, moved(state), wrapper="teacher", prefix="backbone.", aside=(other,))


def test_the_encoder_that_moco_hands_on_is_taken(tmp_path, state):
    content = {
        **prefixed("module.encoder_k.", moved(state)), **prefixed("module.encoder_q.", state),
        "module.queue": torch.ones(2, 3),
    }  # fmt: skip
    model = load(tmp_path, {"epoch": 3, "state_dict": content})
    other = "state_dict: module.encoder_k."
    assert_loaded(model, state, wrapper="state_dict", prefix="module.encoder_q.", aside=(other,))
    assert "module.queue" in model.loaded.unexpected


def test_the_set_that_fits_best_is_taken_whatever_it_is_called(tmp_path, state):
    part = {name: tensor for name, tensor in moved(state).items() if "conv1" in name}
    model = load(tmp_path, {"ema": part, "whatever": state})
    assert_loaded(model, state, wrapper="whatever")


def test_two_that_mean_two_things_are_refused_with_both_named(tmp_path, state):
    content = {**prefixed("first.", state), **prefixed("second.", moved(state))}
    with pytest.raises(BadInput, match=r"fit alike \(first\., second\.\); save the one") as error:
        load(tmp_path, content)
    assert "\n" not in str(error.value)
    assert_loaded(load(tmp_path, {"a": state, "b": dict(state)}), state, wrapper="a", aside=("b",))


def test_an_optimizers_tensors_are_no_weights(tmp_path, state):
    optimizer = {"exp_avg": moved(state)}
    assert_loaded(load(tmp_path, {"model": state, "optimizer": optimizer}), state, wrapper="model")


HARMLESS = {
    "namespace": argparse.Namespace(lr=0.1, arch="resnet18", out=pathlib.PurePosixPath("x").name),
    "numpy number": np.float64(0.5),
    "numpy whole number": np.int64(3),
    "numpy array": np.arange(3.0),
    "numpy text": np.array(["a", "b"]),
    "path": pathlib.Path("/data/run"),
    "lightning": {
        "callbacks": {"ModelCheckpoint{'monitor': None}": {"best_model_score": torch.tensor(0.5)}},
        "hyper_parameters": {"lr": 0.1, "name": "resnet"}, "loops": {"fit_loop": {"state": {}}},
        "optimizer_states": [{"state": {0: {"exp_avg": torch.ones(2)}}}],
    },
}  # fmt: skip


@pytest.mark.parametrize("beside", HARMLESS)
def test_values_that_training_runs_keep_beside_the_weights(tmp_path, state, beside):
    content = {"state_dict": prefixed("model.", state), "beside": HARMLESS[beside]}
    assert_loaded(load(tmp_path, content), state, wrapper="state_dict", prefix="model.")


class Settings:
    """A class of the training script."""


def test_what_is_refused_is_named(tmp_path, state):
    with pytest.raises(BadInput, match=r"pickled code, which is not run \(.*\.Settings\); save"):
        load(tmp_path, {"state_dict": state, "hparams": Settings()})
    with pytest.raises(BadInput, match=r"pickled code, which is not run; save the model's"):
        load(tmp_path, {"model": state, "objects": np.array([Settings(), {}], dtype=object)})
    with pytest.raises(BadInput, match=r"pickled code, which is not run \(torch.nn.*Linear\)"):
        load(tmp_path, {"model": torch.nn.Linear(2, 2)})


def test_another_architecture_or_size_is_the_cause_named(tmp_path, state):
    content = {"state_dict": prefixed("model.", state)}
    with pytest.raises(BadInput, match=r"\(4, 3, 3, 3\) in the file and \(8, 3, 3, 3\)"):
        load(tmp_path, content, width=8)
    with pytest.raises(BadInput, match=r"fits nothing of .*: its tensors have other names \(stem"):
        load(tmp_path, content, backbone="plain")


def test_numbers_of_another_kind_are_the_cause_named(tmp_path, state):
    whole = {name: tensor.to(torch.int8) for name, tensor in state.items()}
    with pytest.raises(
        BadInput, match=r"is torch\.int8 in the file and torch\.float32 in the mod"
    ):
        load(tmp_path, whole)


@pytest.mark.parametrize("form", ["meta", "sparse", "quantized"])
def test_tensors_without_plain_values_are_no_weights(tmp_path, state, form):
    made = {
        "meta": lambda t: t.to("meta"),
        "sparse": lambda t: t.to_sparse(),
        "quantized": lambda t: torch.quantize_per_tensor(t.float(), 0.1, 0, torch.qint8),
    }[form]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # newer torch warns of quantized tensors
        content = {name: made(tensor) for name, tensor in state.items()}
    with pytest.raises(BadInput, match="holds no named tensors"):
        load(tmp_path, content)
    assert_loaded(load(tmp_path, {"ema": content, "model": state}), state, wrapper="model")


@pytest.mark.parametrize("kind", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_values_that_are_no_numbers_are_refused(tmp_path, state, kind, value):
    broken = {n: t.clone().to(kind) if t.is_floating_point() else t for n, t in state.items()}
    broken["stem.0.weight"].flatten()[3:5] = value
    with pytest.raises(
        BadInput, match=r"run.ckpt' are NaN or infinite in 2 of 108 values of stem"
    ):
        load(tmp_path, {"model": broken})
    everywhere = {n: t * value if t.is_floating_point() else t for n, t in broken.items()}
    with pytest.raises(
        BadInput, match=r"of stem\.0\.weight, and \d+ more tensors have such; give"
    ):
        load(tmp_path, everywhere)


def test_numbers_too_large_for_the_models_precision_are_refused(tmp_path, state):
    wide = {n: t.double() if t.is_floating_point() else t for n, t in state.items()}
    wide["stem.0.weight"][0, 0, 0, 0] = 1e300
    with pytest.raises(BadInput, match="NaN or infinite in 1 of 108"):
        load(tmp_path, wide)


def test_half_precision_and_unused_tensors_are_no_reason(tmp_path, state):
    half = {n: t.half() if t.is_floating_point() else t for n, t in state.items()}
    model = load(tmp_path, {**half, "unused": torch.tensor([float("nan")])})
    assert model.loaded.missing == ()
    assert model.loaded.unexpected == ("unused",)
