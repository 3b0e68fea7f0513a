import os

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from sweep.plan import resources
from sweep.results.manifest import run_folder
from tl_core.config import TrainConfig
from tl_core.models import build_model
from tl_core.weights.weights_file import save_weights

pytestmark = pytest.mark.usefixtures("no_sweep")

REFUSED = {
    "data set": (["--dataset", "cifar"], "'cifar'"),
    "model": (["--backbone", "residaul"], "did you mean residual"),
    "timm model": (["--backbone", "timm:resnet1"], "timm:resnet1"),
    "key": (["--set", "leraning_rate=1"], "'leraning_rate' is no field of TrainConfig"),
    "no value": (["--set", "lr"], "--set lr: write KEY=VALUE"),
    "value": (["--set", "lr=fast"], "lr='fast' is not a number"),
    "out of range": (["--set", "dropout=2"], "dropout=2.0: the largest value is 0.95"),
    "weights": (["--weights", "/no/such.pth"], "no such file"),
    "source": (["--source", "nowhere"], "--source nowhere: no such model in"),
    "teacher": (["--teacher", "nowhere"], "--teacher nowhere: no such model in"),
    "sizes": (["--limit-train", "few"], "--limit-train few: "),
    "models to keep": (["--keep-top", "0"], "--keep-top 0: write a whole number from 1 on."),
    "import": (["--import", "/no/such.py"], "/no/such.py is no Python file"),
    "search": (["--search", "bayes"], "--search bayes: one of auto, grid, random, optuna"),
    "time budget": (["--time-budget", "soon"], "--time-budget soon: write 90s, 30m or 2h."),
    "packing": (["--trials-per-gpu", "many"], "--trials-per-gpu many: write a whole number"),
    "no packing": (["--trials-per-gpu", "0"], "--trials-per-gpu 0: write a whole number"),
    "no time": (["--time-budget", "0s"], "--time-budget 0s: write"),
    "name": (["--name", "1st"], "--name '1st': a letter, then"),
    "option": (["--epoch", "3"], "No such option"),
    "no number": (["--epochs", "few"], "--epochs 'few': write a whole number."),
    "too few": (["--trials", "0"], "--trials 0: write a whole number from 1 on."),
    "part of a number": (["--epochs", "2.5"], "--epochs 2.5: write a whole number."),
    "no factor": (["--reduction-factor", "x"], "--reduction-factor 'x': write a number."),
    "no argument": (["--epochs"], "requires an argument"),
    "reduction factor": (["--reduction-factor", "1"], "--reduction-factor 1: it must be greater"),
    "stage": (["--set", "freeze_depth=9"], "freeze_depth=9"),
    "image size": (["--set", "image_size=2"], "image_size=2: the smallest value is 4"),
    "brackets": (["--dataset", "[red]x[/red]"], "'[red]x[/red]'"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_bad_input_is_one_line(refused, sweep_arguments, case):
    arguments, message = REFUSED[case]
    assert message in refused(*sweep_arguments, *arguments)


def test_a_teacher_of_other_classes_is_refused_before_any_trial(
    refused, sweep_arguments, tmp_path
):
    config = TrainConfig()
    model = build_model(config, channels=1, num_classes=2, image_size=8)
    about = {"config": config, "classes": "ab", "mean": [0.5], "std": [0.5], "image_size": 8}
    save_weights(tmp_path / "other.safetensors", model, **about)
    said = refused(*sweep_arguments, "--teacher", tmp_path / "other.safetensors")
    assert "knows the classes a, b, but the data have 0, 1, 2, … (10)" in said


@pytest.mark.parametrize(
    ("option", "value"),
    [("--epochs", 5), ("--seed", 3), ("--gpus", 0), ("--cpus", 1), ("--cache-dir", "c")],
)
def test_what_a_kept_sweep_cannot_heed_is_refused(refused, tmp_path, option, value):
    said = refused("pretrain", "--from", "s1", option, value, "--results", tmp_path)
    assert said.startswith(f"--from s1 trains nothing, so {option} would not count")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("resume", "s1", "--more-trials", "-1"), "--more-trials -1: write a whole number from 0"),
        (("resume", "s1", "--epochs", "0"), "--epochs 0: write a whole number from 1 on."),
        (("retry", "s1", "--gpus", "many"), "--gpus 'many': write a whole number from 0 on."),
        (("predict", "s1", "a.png", "--top-k", "0"), "--top-k 0: write a whole number from 1 on."),
        (("predict", "s1", "a.png", "--top", "x"), "--top 'x': write a whole number from 1 on."),
        (("pretrain", "--seed", "-1"), "--seed -1: write a whole number from 0 on."),
    ],
)
def test_other_commands_word_a_wrong_number_alike(refused, words, says):
    assert refused(*words).startswith(says)


class Code:
    """What a file with code in it holds."""

    def __reduce__(self):
        return (print, ("run",))


@pytest.fixture
def sources(tmp_path):
    """Name → a checkpoint that cannot be a source of the residual CNN on digits."""
    config = TrainConfig(backbone="plain", channels=(4, 4))
    shape = {"channels": 1, "num_classes": 10, "image_size": 8}
    other = tmp_path / "other.safetensors"
    about = {"config": config, "classes": "0123456789", "mean": [0.5], "std": [0.5]}
    save_weights(other, build_model(config, **shape), image_size=8, **about)
    truncated = tmp_path / "truncated.safetensors"
    truncated.write_bytes(other.read_bytes()[:-100])
    code = tmp_path / "code.pth"
    torch.save({"state_dict": Code()}, code)
    return {"other": other, "truncated": truncated, "code": code}


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("truncated", "cannot be read, cut off or in another format"),
        ("code", "holds pickled code, which is not run"),
        ("other", "fits nothing of ResidualCNN: its tensors have other names"),
    ],
)
def test_a_source_that_cannot_be_one_is_refused(refused, sweep_arguments, sources, name, message):
    arguments = ("--source", sources[name], "--backbone", "residual")
    said = refused(*sweep_arguments, *arguments)
    assert message in said
    assert str(sources[name]) in said


@pytest.mark.parametrize("dry", [(), ("--dry-run",)])
def test_gpus_that_are_not_there(refused, sweep_arguments, monkeypatch, dry, tmp_path):
    monkeypatch.setattr(resources, "gpu_count", lambda: 0)
    assert refused(*sweep_arguments, "--gpus", 4, *dry) == (
        "`--gpus 4` asks for 4 GPUs; this machine has 0. Use --gpus 0 to train on the CPU."
    )
    assert "CPUs" in refused(*sweep_arguments, "--cpus", 10_000, *dry)
    assert not list((tmp_path / "results").glob("*"))


def test_a_space_that_is_not_there(refused, tmp_path):
    assert "did you mean ablation" in refused("ablatoin")
    assert "no such file" in refused("./gone.py")
    assert "give the path of a .py file" in refused(f"{tmp_path}/")


def test_folders_without_images(refused, sweep_arguments, tmp_path):
    (tmp_path / "empty").mkdir()
    for label in ("a", "b"):
        (tmp_path / "texts" / label).mkdir(parents=True)
        for number in range(3):
            (tmp_path / "texts" / label / f"{number}.txt").write_text("no image")
            (tmp_path / "texts" / label / f"{number}.jpg").write_text("nor this")
    assert str(tmp_path / "empty") in refused(
        *sweep_arguments, "--dataset", f"folder:{tmp_path / 'empty'}"
    )
    assert str(tmp_path / "texts") in refused(
        *sweep_arguments, "--dataset", f"folder:{tmp_path / 'texts'}"
    )
    for file in tmp_path.glob("texts/*/*.jpg"):
        file.unlink()
    assert str(tmp_path / "texts") in refused(
        *sweep_arguments, "--dataset", f"folder:{tmp_path / 'texts'}"
    )


def test_a_parquet_file_without_labels(refused, sweep_arguments, tmp_path):
    file = tmp_path / "train.parquet"
    pq.write_table(pa.table({"image": [{"bytes": b"", "path": "a.png"}]}), file)
    message = refused(*sweep_arguments, "--dataset", f"parquet:{file}")
    assert "label" in message
    assert str(file) in message


def test_a_name_that_is_taken(refused, sweep_arguments, tmp_path):
    run_folder(tmp_path / "results", "mine").mkdir(parents=True)
    message = refused(*sweep_arguments, "--name", "mine")
    assert message.startswith("--name mine: a sweep of this name is in")
    assert message.endswith("take another name, or `delete mine` first.")


def test_results_that_cannot_be_written(refused, sweep_arguments, tmp_path):
    (tmp_path / "file").touch()
    below = tmp_path / "file" / "results"
    message = refused(*sweep_arguments, "--results", below)
    assert message == (
        f"--results {below} cannot be written (Not a directory); give a folder that can."
    )


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_results_that_may_not_be_written(refused, sweep_arguments, tmp_path):
    (tmp_path / "closed").mkdir(mode=0o500)
    assert "Permission denied" in refused(*sweep_arguments, "--results", tmp_path / "closed")
