"""Saved models and their predictions on files."""

import dataclasses

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from tl_core import BadInput, Predictor, TrainConfig, Trainer, load_model
from tl_core.models import build_model
from tl_core.weights.weights_file import read_metadata, save_weights


@pytest.fixture(scope="module")
def trained(digits, tmp_path_factory):
    """A residual CNN that knows the digits, and its file."""
    config = TrainConfig(width=8, epochs=3, threads=1, precision="fp32", eval_precision="fp32")
    run = Trainer(config, digits)
    while run.stop_reason is None:
        run.run_epoch()
    path = tmp_path_factory.mktemp("model") / "digits.safetensors"
    mean, std = run.images.mean.tolist(), run.images.std.tolist()
    save_weights(
        path, run.model, config=config, classes=digits.classes, mean=mean, std=std,
        image_size=digits.image_size, accuracy=0.5,
    )  # fmt: skip
    return run, path


@pytest.fixture
def files(digits, tmp_path):
    """The test split as PNG files."""
    paths = []
    for n in range(len(digits.test)):
        pixels = digits.test.batch(np.array([n]))[0, 0].numpy()
        paths.append(tmp_path / f"{n:04d}.png")
        Image.fromarray(pixels).save(paths[-1])
    return paths


def test_a_saved_model_says_what_it_is(trained, digits):
    _, path = trained
    saved = load_model(path)
    assert (saved.classes, saved.image_size, saved.channels) == (digits.classes, 8, 1)
    assert (saved.config.width, saved.accuracy, saved.path) == (8, 0.5, path)
    assert not saved.model.training


def test_predictions_on_files_are_those_of_the_trainer(trained, digits, files):
    run, path = trained
    logits, labels = run.predict(digits.test)
    found = list(Predictor(path, device="cpu", top=3)(files))
    assert [f.path for f in found] == files
    expected = logits.softmax(1).topk(3)
    names = [tuple(digits.classes[i] for i in row) for row in expected.indices.tolist()]
    assert [f.classes for f in found] == names
    confidences = torch.tensor([f.confidences for f in found])
    torch.testing.assert_close(confidences, expected.values, rtol=1e-4, atol=1e-5)
    right = sum(f.classes[0] == digits.classes[n] for f, n in zip(found, labels, strict=True))
    assert right == (logits.argmax(1) == labels).sum().item() > 0.7 * len(found)


def answering(path, logits):
    """A predictor of five classes to name, whose model gives logits (K,) for every image."""
    predictor = Predictor(path, device="cpu", top=5)
    model = predictor.models[0].model
    model.forward = lambda images: torch.tensor(logits).expand(len(images), -1)
    return predictor


def test_equally_probable_classes_come_in_their_order(trained, digits, files):
    _, path = trained
    (even,) = answering(path, [0.0] * 10)(files[:1])
    assert even.classes == digits.classes[:5]
    (tied,) = answering(path, [0.0] * 7 + [1.0, 0.0, 1.0])(files[:1])
    assert tied.classes == ("7", "9", "0", "1", "2")


def test_an_answer_that_is_no_number_is_an_error(trained, files):
    _, path = trained
    (found,) = answering(path, [float("nan")] * 10)(files[:1])
    assert (found.classes, found.confidences) == ((), ())
    assert found.error == "the model gives no probabilities (NaN) for it"


def test_files_that_are_no_images_are_reported_and_the_rest_done(trained, files, tmp_path):
    _, path = trained
    (tmp_path / "text.png").write_text("no image")
    (tmp_path / "cut.png").write_bytes(files[0].read_bytes()[:40])
    bad = [tmp_path / name for name in ("text.png", "absent.png", "cut.png")]
    asked = [files[0], *bad, files[1]]
    found = list(Predictor(path, device="cpu")(asked))
    assert [f.path for f in found] == asked
    assert [f.error is None for f in found] == [True, False, False, False, True]
    assert "no readable image" in found[1].error
    assert found[2].error == "cannot be read: No such file or directory"
    assert found[1].classes == ()
    assert all("\n" not in f.error for f in found if f.error)


def test_colours_and_other_sizes_are_brought_to_the_models(trained, files, tmp_path):
    _, path = trained
    large = Image.open(files[0]).convert("RGB").resize((64, 64), Image.Resampling.NEAREST)
    large.save(tmp_path / "large.png")
    one, two = Predictor(path, device="cpu")([files[0], tmp_path / "large.png"])
    assert one.classes == two.classes


def test_several_models_vote_by_their_mean(trained, digits, files, tmp_path):
    run, path = trained
    torch.manual_seed(1)
    other = build_model(run.config, channels=1, num_classes=10, image_size=8)
    second = tmp_path / "other.safetensors"
    save_weights(
        second, other, config=run.config, classes=digits.classes, mean=[0.5], std=[0.25],
        image_size=8,
    )  # fmt: skip
    both = list(Predictor(path, second, device="cpu", top=10)(files[:5]))
    alone = [list(Predictor(p, device="cpu", top=10)(files[:5])) for p in (path, second)]
    for n, found in enumerate(both):
        shares = [dict(zip(a[n].classes, a[n].confidences, strict=True)) for a in alone]
        for name, share in zip(found.classes, found.confidences, strict=True):
            assert share == pytest.approx((shares[0][name] + shares[1][name]) / 2, abs=1e-6)


def test_a_model_predicts_in_the_precision_that_it_was_judged_in(trained, files, tmp_path):
    run, path = trained
    config = dataclasses.replace(run.config, eval_precision="bf16")
    about = read_metadata(path)
    rounded = tmp_path / "rounded.safetensors"
    save_weights(
        rounded, load_model(path).model, config=config, classes=about.classes, mean=about.mean,
        std=about.std, image_size=8,
    )  # fmt: skip
    exact, found = (list(Predictor(p, device="cpu")(files[:20])) for p in (path, rounded))
    assert [f.confidences for f in exact] != [f.confidences for f in found]
    sure = [f.confidences[0] for f in exact]
    assert [f.confidences[0] for f in found] == pytest.approx(sure, abs=0.05)


def test_models_of_other_classes_do_not_vote_together(trained, tmp_path):
    run, path = trained
    model = build_model(run.config, channels=1, num_classes=2, image_size=8)
    other = tmp_path / "other.safetensors"
    save_weights(
        other, model, config=run.config, classes="ab", mean=[0.5], std=[0.2], image_size=8
    )
    with pytest.raises(BadInput, match="must know the same classes"):
        Predictor(path, other)


@pytest.mark.parametrize(("kind", "high"), [("tif", 1.0), ("png", 4095), ("png", 255)])
def test_images_of_more_than_eight_bits_are_read_as_in_training(tmp_path, kind, high):
    rng = np.random.default_rng(0)
    for name, low in (("dark", 0.0), ("bright", 0.5)):
        (tmp_path / "set" / name).mkdir(parents=True)
        for i in range(30):
            values = rng.uniform(low, low + 0.5, (8, 8)) * high
            save_wide(tmp_path / "set" / name / f"{i:02}.{kind}", values)
    path = tmp_path / "set"
    config = TrainConfig(
        dataset=f"folder:{path}", width=4, epochs=2, threads=1, precision="fp32",
        eval_precision="fp32", cache_dir=str(tmp_path / "cache"),
    )  # fmt: skip
    run = Trainer(config)
    while run.stop_reason is None:
        run.run_epoch()
    weights, data = tmp_path / "w.safetensors", run.data
    save_weights(
        weights, run.model, config=config, classes=data.classes, mean=run.images.mean.tolist(),
        std=run.images.std.tolist(), image_size=8,
        white_levels=dataclasses.asdict(data.white_levels),
    )  # fmt: skip
    files = sorted(path.rglob(f"*.{kind}"))
    found = list(Predictor(weights, device="cpu", top=2)([files[i] for i in data.test.indices]))
    expected, _ = run.predict(data.test)
    shares = [dict(zip(f.classes, f.confidences, strict=True)) for f in found]
    torch.testing.assert_close(
        torch.tensor([[share[name] for name in data.classes] for share in shares]),
        expected.softmax(1), rtol=1e-4, atol=1e-5,
    )  # fmt: skip
    assert all(f.remark is None for f in found)
    save_wide(tmp_path / f"over.{kind}", np.full((8, 8), high * 3))
    (over,) = Predictor(weights, device="cpu")([tmp_path / f"over.{kind}"])
    assert "are cut off at" in over.remark


def save_wide(path, values):
    Image.fromarray(values.astype(np.float32 if path.suffix == ".tif" else np.uint16)).save(path)


def test_wide_files_for_a_model_of_eight_bit_images(trained, files, tmp_path):
    run, path = trained
    levels = tmp_path / "levels.safetensors"
    about = read_metadata(path)
    save_weights(
        levels, run.model, config=run.config, classes=about.classes, mean=about.mean,
        std=about.std, image_size=8, white_levels={"integers": None, "floats": None},
    )  # fmt: skip
    pixels = np.asarray(Image.open(files[0])).astype(np.float32)
    wide = {"8in16.png": pixels, "16.png": pixels * 257, "1.tif": pixels / 255}
    for name, values in wide.items():
        save_wide(tmp_path / name, values)
    asked = [files[0], *(tmp_path / name for name in wide)]
    eight, *others = Predictor(levels, device="cpu")(asked)
    assert [f.confidences for f in others] == [eight.confidences] * 3
    assert eight.remark is None
    assert all("as no training image is" in f.remark for f in others)
    assert "scaled by 255 after its own largest value" in others[0].remark
    # A file that does not say how: 16 bits mean 65,535, as when it was written.
    eight, narrow, full, _ = Predictor(path, device="cpu")(asked)
    assert full.confidences == eight.confidences != narrow.confidences
    assert load_model(path).white_levels.integers == 65535


def test_what_pillow_warns_of_is_a_remark(trained, files, tmp_path, recwarn, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    Image.new("L", (11, 11)).save(tmp_path / "large.png")
    Image.new("L", (15, 15)).save(tmp_path / "larger.png")
    asked = [files[0], tmp_path / "large.png", tmp_path / "larger.png"]
    first, large, larger = Predictor(trained[1], device="cpu")(asked)
    assert (first.remark, large.error) == (None, None)
    assert "Image size (121 pixels) exceeds limit of 100 pixels" in large.remark
    assert larger.error.startswith("no readable image: Image size (225 pixels) exceeds limit")
    assert len(recwarn) == 0


def test_a_file_that_says_too_little_is_refused(trained, tmp_path):
    _, path = trained
    bare = tmp_path / "bare.safetensors"
    save_file(load_file(path), bare)
    with pytest.raises(BadInput, match=r"does not say how it was made \(config, classes, mean"):
        load_model(bare)


def test_a_file_that_does_not_fill_its_model_is_refused(trained, tmp_path):
    from safetensors import safe_open

    _, path = trained
    with safe_open(path, framework="pt") as file:
        about = file.metadata()
    tensors = {n: t for n, t in load_file(path).items() if n != "stem.0.weight"}
    save_file(tensors, tmp_path / "less.safetensors", metadata=about)
    with pytest.raises(BadInput, match=r"does not fill residual \(stem.0.weight\)"):
        load_model(tmp_path / "less.safetensors")


def test_loading_a_model_leaves_the_generators_alone(trained):
    torch.manual_seed(3)
    expected = torch.rand(3)
    torch.manual_seed(3)
    load_model(trained[1])
    assert torch.equal(torch.rand(3), expected)
