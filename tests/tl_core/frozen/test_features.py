"""Training on kept activations gives the numbers of training on images; none is out of date."""

import dataclasses

import numpy as np
import pytest
import torch
from filelock import FileLock, Timeout

from tl_core import TrainConfig, Trainer
from tl_core.augment import AUGMENTATIONS
from tl_core.batches.batches import Batches
from tl_core.datasets.images.white_levels import WhiteLevels
from tl_core.frozen import features
from tl_core.frozen.cut import cut_model
from tl_core.frozen.feature_cache import BUDGET_VARIABLE
from tl_core.frozen.features import FeatureBatches
from tl_core.train import trainer

FIELDS = {
    "width": 4, "depth": 1, "freeze_depth": 3, "epochs": 3, "threads": 1, "device": "cpu",
    "precision": "fp32", "eval_precision": "fp32", "augmentation": "none", "lr": 0.02,
    "dropout": 0.1,
}  # fmt: skip


@pytest.fixture
def digits(few_digits):
    """As many as these tests need."""
    return few_digits


@pytest.fixture
def run(digits, tmp_path):
    """run(**fields) → Trainer on the digits with a feature cache of this test's own."""

    def make(**fields):
        return Trainer(TrainConfig(**{**FIELDS, "cache_dir": str(tmp_path), **fields}), digits)

    return make


def numbers(run):
    found = []
    while run.stop_reason is None:
        metrics = run.run_epoch()
        found.append((metrics.train_loss, metrics.train_accuracy, metrics.val_loss))
    return found


def on_images(monkeypatch):
    monkeypatch.setattr(trainer, "feature_batches", lambda *arguments: None)


def kept(tmp_path):
    return sorted(path.name for path in (tmp_path / "features").glob("*.npy"))


@pytest.fixture
def images_seen(monkeypatch):
    """Sizes of the batches that went through frozen stages; one or two images are a try."""
    sizes = []

    def counted(model):
        cut = cut_model(model)
        cut.prefix.register_forward_pre_hook(lambda _, images: sizes.append(len(images[0])))
        return cut

    monkeypatch.setattr(features, "cut_model", counted)
    return sizes


def leave_no_room_for_the_test_split(monkeypatch, run):
    """Only the activations of training and validation fit the cache."""
    own = run.batches.probe.size_bytes * (len(run.data.train) + len(run.data.val))
    monkeypatch.setenv(BUDGET_VARIABLE, str(1.5 * own / 2**30))


@pytest.mark.parametrize("depth", [2, 3, 4])
@pytest.mark.parametrize(
    "fields",
    [
        {"augmentation": "none"},
        {"augmentation": "light", "cached_views": 2},
        {"channels_last": False},
    ],
)
def test_a_cached_run_equals_one_on_images_that_draws_the_same_views(
    run, monkeypatch, depth, fields
):
    cached = run(freeze_depth=depth, **fields)
    assert isinstance(cached.batches, FeatureBatches)
    found = numbers(cached)
    on_images(monkeypatch)
    uncached = run(freeze_depth=depth, **fields)
    assert isinstance(uncached.batches, Batches)
    np.testing.assert_allclose(found, numbers(uncached), rtol=2e-4)
    assert found[0] != found[1]


def test_views_come_back_and_differ(run):
    batches = run(freeze_depth=0, augmentation="light", cached_views=2).batches
    seen = []
    for epoch in range(3):
        batches.start_epoch(epoch)
        seen.append(batches.train(np.arange(20), torch.Generator())[0])
    assert torch.equal(seen[0], seen[2])
    assert not torch.equal(seen[0], seen[1])


def test_another_trial_with_the_same_prefix_computes_nothing(run, images_seen):
    numbers(run(augmentation="light", cached_views=2))
    assert images_seen
    images_seen.clear()
    assert len(numbers(run(augmentation="light", cached_views=2, lr=0.1, seed=0))) == 3
    assert images_seen == []


def test_the_test_split_is_judged_through_the_pieces_too(run, digits, monkeypatch):
    cached = run()
    logits, labels = cached.predict(digits.test)
    on_images(monkeypatch)
    expected, _ = run().predict(digits.test)
    torch.testing.assert_close(logits, expected, rtol=1e-4, atol=1e-5)
    assert len(labels) == len(digits.test)


@pytest.mark.parametrize(
    "fields",
    [{}, {"freeze_depth": 4}, {"freeze_depth": 4, "channels_last": False}]
    + [{"eval_precision": precision} for precision in ("bf16", "fp16")],
)
def test_kept_activations_of_the_test_split_give_its_numbers_to_the_bit(
    run, digits, monkeypatch, images_seen, fields
):
    first = run(**fields)
    with monkeypatch.context() as patch:
        leave_no_room_for_the_test_split(patch, first)
        expected, _ = first.predict(digits.test)
    images_seen.clear()
    for lr in (0.02, 0.1, 0.5):  # equal heads, since no epoch was trained
        logits, labels = run(**fields, lr=lr).predict(digits.test)
        assert torch.equal(logits, expected)
        assert torch.equal(labels, torch.from_numpy(digits.test.labels))
    assert sum(images_seen) == len(digits.test)


@pytest.mark.parametrize("fields", [{"unfreeze_epochs": 1}, {}], ids=["body", "budget"])
def test_activations_of_the_test_split_that_serve_none_are_not_kept(
    run, digits, monkeypatch, tmp_path, images_seen, fields
):
    """Each run trains its body in the end, or the run's own would be thrown out."""
    runs = [run(**fields), run(**fields)]
    if not fields:
        leave_no_room_for_the_test_split(monkeypatch, runs[0])
    images_seen.clear()
    for one in runs:
        one.predict(digits.test)
    assert sum(images_seen) == 2 * len(digits.test)
    assert kept(tmp_path) == []


@pytest.mark.parametrize(
    "fields",
    [
        {"freeze_depth": 0},
        {"augmentation": "light"},  # a new view in every epoch
        {"mixup": 0.2},
        {"cutmix": 1.0},
        {"freeze_depth": 1},  # the stem's activations are cheaper to compute than to read
    ],
)
def test_where_activations_would_not_serve_it_trains_on_images(run, tmp_path, fields):
    assert isinstance(run(**fields).batches, Batches)
    assert kept(tmp_path) == []


def test_what_does_not_fit_the_budget_is_not_kept(run, monkeypatch, tmp_path):
    monkeypatch.setenv(BUDGET_VARIABLE, "0.00001")
    assert isinstance(run().batches, Batches)
    assert kept(tmp_path) == []


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("seed", {"seed": 1}),  # other weights in the frozen stages
        ("width", {"width": 5}),
        ("activation", {"activation": "relu"}),
        ("mean", {"mean": (0.2,), "std": (0.3,)}),
        ("layout", {"channels_last": False}),
        ("precision", {"eval_precision": "bf16"}),
        ("views", {"augmentation": "light", "cached_views": 1}),
        ("split", {"validation_fraction": 0.2}),
    ],
)
def test_what_changes_the_activations_changes_their_key(run, tmp_path, name, fields):
    numbers(run(epochs=1))
    before = kept(tmp_path)
    data = {} if name != "split" else fields
    if data:
        numbers(
            Trainer(TrainConfig(**{**FIELDS, "cache_dir": str(tmp_path), "epochs": 1, **data}))
        )
    else:
        numbers(run(epochs=1, **fields))
    assert len(before) == 2
    fresh = set(kept(tmp_path)) - set(before)
    assert len(fresh) == (1 if name == "views" else 2)  # the validation images have no views


def test_other_white_levels_are_other_activations(run, digits, tmp_path):
    numbers(run(epochs=1))
    before = kept(tmp_path)
    scaled = dataclasses.replace(digits, white_levels=WhiteLevels(integers=4095.0))
    numbers(Trainer(TrainConfig(**{**FIELDS, "cache_dir": str(tmp_path), "epochs": 1}), scaled))
    assert len(set(kept(tmp_path)) - set(before)) == 2


@pytest.mark.parametrize("fields", [{"lr": 0.5}, {"optimizer": "adam"}, {"batch_size": 64}])
def test_what_changes_none_of_them_shares_them(run, tmp_path, fields):
    numbers(run(epochs=1))
    before = kept(tmp_path)
    numbers(run(epochs=1, **fields))
    assert kept(tmp_path) == before


def test_a_policy_of_ones_own_is_known_by_its_code(run, tmp_path, monkeypatch):
    file = tmp_path / "policy.py"

    def policy_of(text):
        import importlib.util

        file.write_text(text)
        spec = importlib.util.spec_from_file_location("policy", file)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        monkeypatch.setitem(__import__("sys").modules, "policy", module)
        monkeypatch.setitem(AUGMENTATIONS, "mine", module.policy)

    policy_of("def policy(images, generator, flip):\n    return images.flip(3)\n")
    numbers(run(epochs=1, augmentation="mine", cached_views=1))
    before = kept(tmp_path)
    policy_of("def policy(images, generator, flip):\n    return images.flip(2)  # other code\n")
    numbers(run(epochs=1, augmentation="mine", cached_views=1))
    assert len(kept(tmp_path)) == len(before) + 1


def test_bf16_activations_are_kept_as_they_are(run, tmp_path):
    reduced = run(eval_precision="bf16")
    loss = numbers(reduced)[-1][0]
    sizes = [path.stat().st_size for path in (tmp_path / "features").glob("*.npy")]
    numbers(run(eval_precision="fp32"))
    full = [path.stat().st_size for path in (tmp_path / "features").glob("*.npy")]
    assert sum(full) - sum(sizes) == pytest.approx(2 * sum(sizes), rel=0.01)
    assert loss == pytest.approx(numbers(run(eval_precision="fp32"))[-1][0], rel=0.05)


def test_the_frozen_part_is_not_saved_with_every_best_epoch(run):
    trial = run(freeze_depth=4)
    numbers(trial)
    assert set(trial.best_weights) == {"head.weight", "head.bias"}
    best = trial.best_weights["head.weight"].clone()
    torch.nn.init.zeros_(trial.model.head.weight)
    trial.restore_best()
    assert torch.equal(trial.model.head.weight, best)


def test_a_disagreement_between_pieces_and_whole_falls_back_to_images(run, monkeypatch):
    monkeypatch.setattr(features, "agrees", lambda *arguments: False)
    assert isinstance(run(width=13).batches, Batches)  # not tried before in this process


def test_the_same_stages_at_another_image_size_are_measured_anew(run):
    small = run(image_size=None).batches.probe
    large = Trainer(
        TrainConfig(**{**FIELDS, "image_size": 16, "cache_dir": run().config.cache_dir})
    ).batches.probe
    assert large.flops == pytest.approx(4 * small.flops, rel=0.01)


@pytest.mark.parametrize("depth", [0, 3])
def test_batches_from_arrays_that_live_on_a_device_are_the_same(run, monkeypatch, depth):
    """As on a GPU, whose copy of an array stands here in this machine's memory."""
    fields = {"freeze_depth": depth, "epochs": 2}
    expected = numbers(run(**fields))
    asked = []

    def resident(owner, array, device):
        asked.append(array.shape)
        return torch.from_numpy(array)

    monkeypatch.setattr("tl_core.batches.batches.on_device", resident)
    monkeypatch.setattr("tl_core.frozen.features.on_device", resident)
    assert numbers(run(**fields)) == expected
    assert asked


def test_while_another_process_computes_the_training_images_validation_is_done(
    run, monkeypatch, images_seen
):
    waited, acquire = [], FileLock.acquire

    def taken_at_first(lock, timeout=None, **options):
        if timeout == 0 and not waited:
            waited.append(lock)
            raise Timeout(lock.lock_file)
        return acquire(lock, timeout=timeout, **options)

    monkeypatch.setattr(FileLock, "acquire", taken_at_first)
    trainer = run(eval_batch_size=500)
    images_seen.clear()
    trainer.run_epoch()
    assert images_seen == [len(trainer.data.val), len(trainer.data.train)]


def test_settings_that_no_tensor_holds_make_another_prefix(by_hand, tmp_path):
    """Heads of attention divide the same weights otherwise."""
    images = np.random.default_rng(0).integers(256, size=(4, 3, 160, 160), dtype=np.uint8)
    data, found = by_hand(images, [0, 1, 0, 1]), []
    for heads in (2, 4):
        model = {"backbone": "timm:test_vit", "model_args": f"num_heads={heads}"}
        fields = {"freeze_depth": 7, "epochs": 1, "cache_dir": str(tmp_path), **model}
        found.append(numbers(Trainer(TrainConfig(**{**FIELDS, **fields}), data)))
    assert len(kept(tmp_path)) == 2  # the same images train and validate
    assert found[0] != found[1]


@pytest.mark.parametrize("augmentation", ["none", "light"])
def test_images_go_through_the_frozen_stages_a_few_at_a_time(run, images_seen, augmentation):
    run(augmentation=augmentation, cached_views=1, eval_batch_size=50).run_epoch()
    assert max(images_seen) == 50


def test_a_body_that_is_replaced_during_a_run_leaves_nothing_false_behind(run, digits, tmp_path):
    """The test split is judged last, after the user's code may have changed the model."""
    changed = run()
    changed.run_epoch()
    changed.model.load_state_dict(run(seed=5).model.state_dict())
    tested = [changed.evaluate(digits.test)]
    for cache in (tmp_path, tmp_path / "another"):
        sound = run(cache_dir=str(cache))
        sound.run_epoch()
        tested.append(sound.evaluate(digits.test))
    assert tested[0] != tested[1] == tested[2]
