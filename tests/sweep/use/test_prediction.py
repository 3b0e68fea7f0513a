"""Names of models, and images on the command line."""

import os
import shutil
from pathlib import Path

import pytest
from PIL import Image

from sweep.cli.main import main
from sweep.results.folders import run_folder, weights_file
from sweep.results.manifest import write_manifest
from sweep.results.sources import weights_of
from sweep.use.prediction import image_files, model_files, predict
from tl_core import models
from tl_core.config import TrainConfig
from tl_core.errors import BadInput
from tl_core.models import build_model
from tl_core.weights.weights_file import save_weights


@pytest.fixture
def keep(tmp_path):
    """keep(path, **fields) writes a small model of classes a and b."""

    def write(path, **fields):
        config = TrainConfig(width=4, **fields)
        model = build_model(config, channels=1, num_classes=2, image_size=8)
        save_weights(path, model, config=config, classes="ab", mean=[0.5], std=[0.2], image_size=8)
        return path

    return write


@pytest.fixture
def sweep(tmp_path, manifest):
    """The run folder of the sweep s1."""
    folder = run_folder(tmp_path, "s1")
    folder.mkdir(parents=True)
    write_manifest(tmp_path, manifest())
    return folder


def test_a_sweep_stands_for_its_winner_and_its_best_few(tmp_path, keep, sweep):
    files = [keep(weights_file(sweep, place)) for place in range(2)]
    assert model_files(tmp_path, "s1") == files[:1]
    assert model_files(tmp_path, "s1", 2) == files
    with pytest.raises(BadInput, match=r"--top 3: s1 kept the weights of 2; .*--keep-top 3"):
        model_files(tmp_path, "s1", 3)


def test_a_sweep_without_a_winner(tmp_path, sweep):
    with pytest.raises(BadInput, match="s1 has no winner's weights; `show s1` tells"):
        model_files(tmp_path, "s1")


def test_a_named_model_and_a_file(tmp_path, keep):
    kept = keep(weights_of(tmp_path, "mine"))
    assert model_files(tmp_path, "mine") == model_files(tmp_path, str(kept)) == [kept]
    with pytest.raises(BadInput, match="--top 2: mine is one model"):
        model_files(tmp_path, "mine", 2)
    with pytest.raises(BadInput, match="other: no sweep, model"):
        model_files(tmp_path, "other")


@pytest.fixture
def pictures(tmp_path):
    """A folder with two pictures, one of them deeper, and a text."""
    folder = tmp_path / "pictures"
    (folder / "deeper").mkdir(parents=True)
    paths = [folder / "b.png", folder / "deeper" / "a.JPG"]
    for path in paths:
        Image.new("L", (9, 9), 100).save(path, "png")
    (folder / "notes.txt").write_text("no picture")
    return folder, paths


def test_folders_globs_and_files_each_once(pictures):
    folder, (one, two) = pictures
    assert image_files([folder]) == [one, two]
    assert image_files([one, f"{folder}/*.png", folder]) == [one, two]
    assert image_files([f"{folder}/**/*.JPG"]) == [two]
    assert image_files([folder / "absent.png"]) == [folder / "absent.png"]
    with pytest.raises(BadInput, match=r"no images in .*; give files"):
        image_files([f"{folder}/*.gif"])


def test_folders_are_read_as_data_sets_are(pictures):
    folder, (one, two) = pictures
    for name in ("@eaDir", ".ipynb_checkpoints"):
        (folder / name).mkdir()
        shutil.copy(one, folder / name / "b.png")
    os.symlink("..", folder / "deeper" / "up")
    os.symlink("b.png", folder / "c.png")
    os.link(one, folder / "deeper" / "hard.png")
    os.symlink("gone.png", folder / "broken.png")
    for images in ([folder], [f"{folder}/**"], [folder, f"{folder}/**/*.png"]):
        said = []
        assert image_files(images, said.append) == [one, two]
    assert image_files([folder / "@eaDir" / "b.png"]) == [folder / "@eaDir" / "b.png"]
    said = []
    image_files([folder], said.append)
    assert said == [
        "left aside: further names of files that are used: 2, such as " + str(folder / "c.png"),
        "left aside: hidden or thumbnail names: 2, such as .ipynb_checkpoints",
        "left aside: broken links: 1, such as broken.png",
        "left aside: links to a folder above them: 1, such as deeper/up",
        "left aside: files that are no images by their suffix .txt: 1, such as notes.txt",
    ]
    with pytest.warns(UserWarning, match=r"left aside: further names of files that are used: 2"):
        image_files([folder])


def test_what_holds_no_image_is_said(pictures):
    folder, (one, two) = pictures
    (folder / "none").mkdir()
    for nothing in (folder / "none", f"{folder}/*.gif", f"{folder}/**/*.gif", "gone/**/*.png"):
        said = []
        assert image_files([folder, nothing], said.append) == [one, two]
        assert f"left aside: folders and globs without an image: 1, such as {nothing}" in said


def test_one_file_or_folder_needs_no_list(pictures):
    folder, (one, two) = pictures
    assert image_files(folder) == image_files(str(folder)) == [one, two]
    assert image_files(one) == [one]


@pytest.mark.parametrize(
    "name", ["~.png", "~no-such-user/a.png", "x" * 300, "x" * 300 + "*", "a\0b"]
)
def test_names_that_no_file_has_are_rows(tmp_path, keep, pictures, monkeypatch, name):
    monkeypatch.chdir(pictures[0])
    keep(weights_of(tmp_path, "mine"))
    names = ["b.png", name] if "*" not in name else ["b.png"]
    frame = predict("mine", ["b.png", name], results=tmp_path, device="cpu", note=str)
    assert frame["path"].tolist() == names
    assert frame["error"].notna().tolist() == [False, True][: len(names)]


def test_a_tilde_that_starts_a_name(pictures, monkeypatch):
    monkeypatch.chdir(pictures[0])
    Path("b.png").rename("~b.png")
    assert image_files(["~b.png"]) == [Path("~b.png")]


def test_names_that_are_no_text_are_predicted_and_stored(tmp_path, keep, pictures):
    folder, (one, two) = pictures
    keep(weights_of(tmp_path, "mine"))
    shutil.copy(one, os.fsencode(folder) + b"/\xe9.png")
    os.link(one, os.fsencode(folder) + b"/z\xe9.png")
    said = []
    frame = predict("mine", folder, results=tmp_path, device="cpu", note=said.append)
    assert frame["path"].tolist() == [str(one), str(two), f"{folder}/\\xe9.png"]
    assert frame["class"].notna().all()
    frame.to_parquet(tmp_path / "found.parquet")
    assert said[0].endswith("z\\xe9.png")


def test_a_frame_with_what_could_not_be_read(tmp_path, keep, pictures):
    folder, (one, two) = pictures
    keep(weights_of(tmp_path, "mine"))
    done = []
    frame = predict(
        "mine", [folder, folder / "notes.txt"], results=tmp_path, top_k=2, device="cpu",
        progress=lambda *step: done.append(step),
    )  # fmt: skip
    assert frame["path"].tolist() == [str(one), str(two), str(folder / "notes.txt")]
    assert frame["error"].isna().tolist() == [True, True, False]
    for _, row in frame[:2].iterrows():
        assert set(row["top_classes"]) == {"a", "b"}
        assert row["class"] == row["top_classes"][0]
        assert sum(row["top_confidences"]) == pytest.approx(1)
    assert done == [(1, 3), (2, 3), (3, 3)]
    assert [frame["error"][0], frame["class"][2]] == [None, None]  # not NaN


def test_the_table_marks_what_could_not_be_read_and_only_that(
    tmp_path, keep, pictures, capsys, monkeypatch
):
    monkeypatch.chdir(pictures[0])
    keep(weights_of(tmp_path, "mine"))
    Path("[x].png").write_text("no picture")
    with pytest.raises(SystemExit):
        main(["predict", "mine", "b.png", "[x].png", "--results", str(tmp_path)])
    said = " ".join(capsys.readouterr().out.split())
    assert said.count("unreadable") == 1
    assert "[x].png unreadable" in said
    assert "[x].png: no readable image: damaged, or in no format that is known" in said


def test_doubtful_files_are_one_line_with_a_count(tmp_path, keep, capsys, monkeypatch):
    kept = keep(weights_of(tmp_path, "mine"))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    for name in ("a.png", "b.png"):
        Image.new("L", (11, 11), 100).save(tmp_path / name)
    with pytest.raises(SystemExit) as caught:
        main(["predict", str(kept), f"{tmp_path}/*.png"])
    assert caught.value.code == 0
    said = capsys.readouterr()
    words = " ".join(said.out.split())
    assert words.count("Image size") == 1
    assert f"2 files, such as {tmp_path}/a.png: Image size (121 pixels) exceeds limit" in words
    assert "site-packages" not in said.out + said.err


@pytest.mark.parametrize("command", [["predict", "b.png"], ["export"]])
def test_a_folder_that_cannot_be_made_is_refused_first(tmp_path, keep, capsys, command):
    (tmp_path / "file").touch()
    keep(tmp_path / "mine.safetensors")
    name, *more = command
    out = tmp_path / "file" / "found.csv"
    with pytest.raises(SystemExit) as caught:
        main([name, str(tmp_path / "mine.safetensors"), *more, "--out", str(out)])
    assert caught.value.code == 2
    said = capsys.readouterr().err
    assert "cannot be written" in " ".join(said.split())


OWN = """
from tl_core.models import MODELS
MODELS["mine"] = MODELS["residual"]
"""


@pytest.mark.parametrize("command", [["predict"], ["export", "--out", "out"]])
def test_a_model_of_ones_own_is_imported(tmp_path, keep, pictures, monkeypatch, capsys, command):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(models, "MODELS", dict(models.MODELS))
    (tmp_path / "own.py").write_text(OWN)
    models.MODELS["mine"] = models.MODELS["residual"]
    keep("mine.safetensors", backbone="mine")
    arguments = [command[0], "mine.safetensors", *command[1:]]
    arguments += [str(pictures[0])] if command[0] == "predict" else []
    codes = []
    for more in ([], ["--import", "own.py"]):
        models.MODELS.pop("mine", None)
        with pytest.raises(SystemExit) as caught:
            main([*arguments, *more])
        codes.append(caught.value.code)
    assert codes == [2, 0]
    assert "backbone='mine': no such model" in capsys.readouterr().err
