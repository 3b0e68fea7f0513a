"""Batches that are prepared in advance: the same as one at a time, in the same order."""

import threading

import numpy as np
import pytest
import torch

from tests.tl_core.no_waits import NoTransfers
from tl_core import TrainConfig
from tl_core.augment import AUGMENTATIONS
from tl_core.batches import device_data, drawn
from tl_core.batches.ahead import one_ahead
from tl_core.batches.batches import Batches
from tl_core.batches.device_data import moved
from tl_core.batches.drawn import draw_ahead

CPU, ELSEWHERE = torch.device("cpu"), torch.device("meta")


def test_the_next_item_is_made_while_the_present_one_is_used():
    made = [threading.Event() for _ in range(3)]

    def items():
        for n, event in enumerate(made):
            event.set()
            yield n

    found = one_ahead(items())
    assert next(found) == 0
    assert made[1].wait(timeout=10)
    assert not made[2].is_set()
    assert list(found) == [1, 2]


def test_an_error_comes_in_the_place_of_its_item():
    def items():
        yield 1
        raise OSError("a damaged file")

    found = one_ahead(items())
    assert next(found) == 1
    with pytest.raises(OSError, match="damaged"):
        next(found)


def test_an_epoch_that_is_left_ends_its_thread():
    before = threading.active_count()
    found = one_ahead(iter(range(1, 9)))
    next(found)
    found.close()
    assert threading.active_count() == before


def test_tensors_of_any_type_share_a_copy(monkeypatch):
    """To the `meta` device, which holds no values, and with its copies kept in this memory."""
    given = [
        torch.arange(5), torch.rand(3, 1, 2), torch.tensor([True, False]), torch.zeros(0, 3),
        torch.arange(7, dtype=torch.uint8), torch.tensor(2.5),
    ]  # fmt: skip
    copies, to = [], torch.Tensor.to

    def kept_here(tensor, device, **options):
        copies.append(options)
        return tensor.clone()

    there = moved(given, ELSEWHERE)
    assert [(t.dtype, t.shape, t.device) for t in there] == [
        (t.dtype, t.shape, ELSEWHERE) for t in given
    ]
    monkeypatch.setattr(torch.Tensor, "to", kept_here)
    there = moved(given, ELSEWHERE)
    monkeypatch.setattr(torch.Tensor, "to", to)
    assert all(torch.equal(*pair) for pair in zip(given, there, strict=True))
    assert copies == [{"non_blocking": True}]
    assert all(one is other for one, other in zip(given, moved(given, CPU), strict=True))


@pytest.fixture
def make(few_digits):
    def batches(**fields):
        config = TrainConfig(**{"device": "cpu", "threads": 1, "seed": 3, **fields})
        return Batches(config, few_digits, CPU)

    return batches


def epoch(batches, size=16):
    """All batches of an epoch, and the generator's state after it."""
    generator = torch.Generator().manual_seed(5)
    order = np.random.default_rng(0).permutation(len(batches.data.train))
    batches.start_epoch(0)
    return [*batches.epoch(order, size, generator)], generator.get_state(), order


def assert_equal(found, expected):
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert all(torch.equal(*pair) for pair in zip(one, other, strict=True))


@pytest.mark.parametrize("augmentation", AUGMENTATIONS)
@pytest.mark.parametrize("mixing", [{}, {"mixup": 0.2, "cutmix": 1.0}], ids=["plain", "mixed"])
def test_an_epoch_is_its_batches_one_by_one(make, augmentation, mixing):
    batches = make(augmentation=augmentation, flip=True, **mixing)
    found, state, order = epoch(batches)
    assert len(found) == len(order) // 16
    generator = torch.Generator().manual_seed(5)
    alone = [batches.train(order[at : at + 16], generator) for at in range(0, 16 * len(found), 16)]
    assert_equal(found, alone)
    assert torch.equal(state, generator.get_state())


@pytest.mark.parametrize("limit", ["BLOCK_BATCHES", "BLOCK_BYTES"])
def test_blocks_that_a_thread_draws_for_a_gpu_are_the_same(make, monkeypatch, limit):
    """The copies of a GPU stand here in this machine's memory."""
    fields = {"augmentation": "standard", "mixup": 0.2, "cutmix": 1.0}
    expected, state, _ = epoch(make(**fields))
    sizes = []

    def copied(tensors, device):
        sizes.append(len(tensors))
        return [tensor.clone() for tensor in tensors]

    monkeypatch.setattr(drawn, "moved", copied)
    monkeypatch.setattr(drawn, limit, 2 if limit == "BLOCK_BATCHES" else 9_000)
    monkeypatch.setattr(
        "tl_core.batches.batches.draw_ahead",
        lambda draw, count, device: draw_ahead(draw, count, ELSEWHERE),
    )
    found, state_after, _ = epoch(make(**fields))
    assert_equal(found, expected)
    assert torch.equal(state, state_after)
    assert 1 < len(sizes) < len(found)


@pytest.mark.parametrize("mixing", [{}, {"mixup": 0.2}], ids=["plain", "mixed"])
def test_a_policy_that_is_a_plain_function_draws_in_its_step(make, monkeypatch, mixing):
    for name in ("standard", "light"):
        fields = {"augmentation": name, "flip": True, **mixing}
        expected = epoch(make(**fields))
        policy = AUGMENTATIONS[name]
        monkeypatch.setitem(AUGMENTATIONS, name, lambda *given, policy=policy: policy(*given))
        found = epoch(make(**fields))
        assert_equal(found[0], expected[0])
        assert torch.equal(found[1], expected[1])


def test_streamed_images_are_decoded_by_a_thread_a_batch_ahead(make, monkeypatch):
    expected, *_ = epoch(make())
    batches, decoded = make(), []
    store = batches.data.train.images
    whole = store.mapped

    def watched(indices):
        decoded.append(threading.current_thread())
        return whole[indices]

    monkeypatch.setattr(store, "mapped", None)
    monkeypatch.setattr(store, "take", watched)
    found, *_ = epoch(batches)
    assert_equal(found, expected)
    assert threading.main_thread() not in decoded
    seen = [labels for _, labels in batches.evaluation(batches.data.val)]
    assert torch.cat(seen).tolist() == batches.data.val.labels.tolist()
    assert threading.main_thread() not in decoded


@pytest.fixture
def elsewhere(few_digits, monkeypatch):
    """elsewhere(**fields) → batches of a run on the device that holds no values."""
    monkeypatch.setattr(device_data, "free_bytes", lambda device: 2**30)

    def batches(**fields):
        config = TrainConfig(**{"threads": 1, "eval_batch_size": 32, **fields})
        return Batches(config, few_digits, ELSEWHERE)

    return batches


@pytest.mark.parametrize("augmentation", AUGMENTATIONS)
@pytest.mark.parametrize("mixing", [{}, {"mixup": 0.2, "cutmix": 1.0}], ids=["plain", "mixed"])
def test_a_step_copies_nothing_to_its_device(elsewhere, augmentation, mixing):
    batches = elsewhere(augmentation=augmentation, flip=True, **mixing)
    order, generator = np.arange(len(batches.data.train)), torch.Generator().manual_seed(0)
    epoch = batches.epoch(order, 8, generator)
    next(epoch)  # the epoch's labels and positions are sent with the first batch
    with NoTransfers():
        for images, labels, targets in epoch:
            assert images.device == labels.device == targets.device == ELSEWHERE


def test_validation_copies_nothing_between_its_batches(elsewhere):
    batches = elsewhere(augmentation="none")
    found = batches.evaluation(batches.data.val)
    next(found)
    with NoTransfers():
        assert all(images.device == ELSEWHERE for images, _ in found)


def test_copies_and_values_read_are_seen():
    with NoTransfers(), pytest.raises(AssertionError, match="another device"):
        torch.zeros(2).to("meta", non_blocking=True)
    with NoTransfers(), pytest.raises(AssertionError, match="read back"):
        torch.zeros(2).sum().item()
