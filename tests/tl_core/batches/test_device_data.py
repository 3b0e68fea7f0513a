"""Arrays that live on a GPU: here on torch's `meta` device, which takes copies as a GPU does."""

import gc
import weakref

import numpy as np
import pytest
import torch

from tl_core.batches import device_data
from tl_core.batches.device_data import on_device

ARRAY = np.arange(24, dtype=np.uint8).reshape(4, 6)
ELSEWHERE = torch.device("meta")


class Owner:
    """What an array belongs to, such as a store of images."""


@pytest.fixture
def room(monkeypatch):
    """room(bytes): so much is free there."""

    def set_free(size_bytes):
        monkeypatch.setattr(device_data, "free_bytes", lambda device: size_bytes)

    set_free(1000)
    return set_free


def test_on_a_cpu_batches_come_from_the_map_itself():
    assert on_device(Owner(), ARRAY, torch.device("cpu")) is None


def test_the_whole_array_is_copied_once(room):
    owner = Owner()
    copy = on_device(owner, ARRAY, ELSEWHERE)
    assert copy.device == ELSEWHERE
    assert copy.shape == (4, 6)
    room(0)
    assert on_device(owner, ARRAY, ELSEWHERE) is copy


def test_what_takes_more_than_a_quarter_of_the_free_memory_stays(room):
    room(4 * ARRAY.nbytes - 1)
    assert on_device(Owner(), ARRAY, ELSEWHERE) is None
    room(4 * ARRAY.nbytes)
    assert on_device(Owner(), ARRAY, ELSEWHERE) is not None


def test_images_that_are_streamed_stay(room):
    assert on_device(Owner(), None, ELSEWHERE) is None


def test_the_copy_goes_with_its_owner(room):
    owner = Owner()
    copy = weakref.ref(on_device(owner, ARRAY, ELSEWHERE))
    gc.collect()
    assert copy() is not None
    del owner
    gc.collect()
    assert copy() is None
