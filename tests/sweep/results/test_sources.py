"""Named source models: keeping, finding and listing them."""

import json

import pytest

from sweep.results.folders import run_folder, weights_file
from sweep.results.manifest import write_manifest
from sweep.results.sources import damaged_models, find_source, keep_model, list_models, weights_of
from tl_core.config import TrainConfig
from tl_core.errors import BadInput
from tl_core.models import build_model
from tl_core.weights.weights_file import save_weights


@pytest.fixture
def weights(tmp_path):
    """A file of ours."""
    config = TrainConfig(width=4)
    model = build_model(config, channels=1, num_classes=2, image_size=8)
    path = tmp_path / "winner.safetensors"
    save_weights(path, model, config=config, classes="ab", mean=[0.5], std=[0.2], image_size=8)
    return path


def keep(results, weights, name="mine"):
    return keep_model(results, name, weights, val_accuracy=0.9, test_accuracy=0.8, sweep="s1")


def test_a_kept_model_is_found_by_its_name(tmp_path, weights):
    kept = keep(tmp_path, weights)
    assert list_models(tmp_path) == [kept]
    assert (kept.config["width"], list(kept.classes), kept.image_size) == (4, ["a", "b"], 8)
    assert find_source("mine", tmp_path) == str(weights_of(tmp_path, "mine"))
    assert weights_of(tmp_path, "mine").read_bytes() == weights.read_bytes()
    names = {path.name for path in (tmp_path / "models" / "mine").iterdir()}
    assert names == {"weights.safetensors", "model.json"}


def test_other_words_for_a_source(tmp_path, weights):
    assert find_source("none", tmp_path) is None
    assert find_source("ImageNet", tmp_path) == find_source("pretrained", tmp_path) == "pretrained"
    assert find_source(str(weights), tmp_path) == str(weights)
    assert find_source("absent.safetensors", tmp_path).endswith("/absent.safetensors")


def test_an_unknown_name_lists_what_there_is(tmp_path, weights):
    keep(tmp_path, weights, "one")
    with pytest.raises(BadInput, match=r"--source other: no such model in .*models \(one\)"):
        find_source("other", tmp_path)
    with pytest.raises(BadInput, match=r"--teacher x: no such model in .* \(none yet\)"):
        find_source("x", tmp_path / "empty", "--teacher")


@pytest.mark.parametrize("name", ["none", "imagenet", "a/b", "1st", "x.safetensors", "", "x" * 201])
def test_names_that_mean_something_else_are_refused(tmp_path, weights, name):
    with pytest.raises(BadInput, match="--name"):
        keep(tmp_path, weights, name)


def test_a_name_may_be_given_again(tmp_path, weights):
    keep(tmp_path, weights)
    keep(tmp_path, weights)
    assert [model.name for model in list_models(tmp_path)] == ["mine"]


def about(results, name="bad"):
    return weights_of(results, name).with_name("model.json")


def without(results, field):
    values = json.loads(about(results).read_text())
    del values[field]
    about(results).write_text(json.dumps(values))


DAMAGES = {
    "half": (lambda results: about(results).write_text('{"name": "ba'), "is damaged"),
    "empty": (lambda results: about(results).write_text(""), "is damaged"),
    "no text": (lambda results: about(results).write_bytes(b"\xff\xfe"), "is damaged"),
    "a list": (lambda results: about(results).write_text("[]"), "holds no object"),
    "a field less": (lambda results: without(results, "config"), "has no config"),
    "no file": (lambda results: about(results).unlink(), "No such file"),
    "no weights": (lambda results: weights_of(results, "bad").unlink(), "No such file"),
}


@pytest.mark.parametrize("case", DAMAGES)
def test_each_model_of_a_list_stands_by_itself(tmp_path, weights, case):
    damage, reason = DAMAGES[case]
    good = keep(tmp_path, weights, "good")
    keep(tmp_path, weights, "bad")
    damage(tmp_path)
    assert list_models(tmp_path) == [good]
    (line,) = damaged_models(tmp_path)
    assert reason in line
    assert str(tmp_path / "models" / "bad") in line
    assert "\n" not in line
    assert find_source("good", tmp_path) == str(weights_of(tmp_path, "good"))
    with pytest.raises(BadInput, match=r"no such model in .* .good.;"):
        find_source("other", tmp_path)


def test_fields_of_other_versions(tmp_path, weights):
    keep(tmp_path, weights, "bad")
    values = json.loads(about(tmp_path).read_text())
    about(tmp_path).write_text(json.dumps({**values, "colour": "red"}))
    without(tmp_path, "sweep")
    (found,) = list_models(tmp_path)
    assert (found.name, found.sweep, found.val_accuracy) == ("bad", None, 0.9)
    assert damaged_models(tmp_path) == []


def test_the_winner_of_a_sweep_whose_folder_was_moved_is_kept(tmp_path, manifest, weights, call):
    before, after = tmp_path / "before", tmp_path / "after"
    own = weights_file(run_folder(before, "s1"), 0)
    own.parent.mkdir(parents=True)
    weights.rename(own)
    winner = {"trial_id": "s1_00001", "weights": str(own), "val_accuracy": 0.9}
    write_manifest(before, manifest(winner=winner))
    before.rename(after)
    code, _, err = call("pretrain", "--from", "s1", "--name", "mine", "--results", after)
    assert (code, err) == (0, "")
    kept = weights_file(run_folder(after, "s1"), 0).read_bytes()
    assert weights_of(after, "mine").read_bytes() == kept
