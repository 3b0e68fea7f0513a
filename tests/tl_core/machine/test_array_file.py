"""Files of arrays written in blocks; a full disk is an error and no signal."""

import contextlib
import resource
import sys

import numpy as np
import pytest
import torch

from tl_core import BadInput, TrainConfig
from tl_core.datasets import load_data
from tl_core.frozen.feature_cache import FeatureCache
from tl_core.machine.array_file import array_writer


@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32"])
def test_blocks_are_read_back_as_one_array(tmp_path, dtype):
    rows = np.arange(24).reshape(4, 3, 2).astype(dtype)
    with array_writer(tmp_path / "a.npy", (4, 3, 2), rows.dtype) as write:
        write(rows[:3])
        write(rows[3:])
    found = np.load(tmp_path / "a.npy", mmap_mode="r")
    np.testing.assert_array_equal(found, rows)
    assert found.dtype == rows.dtype


def test_a_file_has_its_length_from_the_start_and_ends_with_what_was_written(tmp_path):
    file = tmp_path / "a.npy"
    with array_writer(file, (1000, 8), np.dtype("float32")) as write:
        assert file.stat().st_size == 128 + 32_000
        write(np.ones((5, 8), "float32"))
    assert file.stat().st_size == 128 + 160
    assert np.load(file).shape == (5, 8)


def test_blocks_that_are_not_contiguous_keep_their_order(tmp_path):
    rows = np.arange(6.0).reshape(2, 3).T
    with array_writer(tmp_path / "a.npy", (3, 2), rows.dtype) as write:
        write(rows)
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), rows)


@contextlib.contextmanager
def full_disk():
    """A limit on the size of files stands for it; no compiled modules are left in halves."""
    writes, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2048, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        sys.dont_write_bytecode = writes


def test_activations_that_the_disk_has_no_room_for_are_not_kept(tmp_path):
    with contextlib.ExitStack() as later:

        def parts():
            yield torch.ones(32, 64)
            later.enter_context(full_disk())  # after the file was made
            yield torch.ones(32, 64)

        found = FeatureCache(tmp_path).open_or_build("key", 64, parts)
    assert found is None
    assert [p.name for p in tmp_path.rglob("*key*") if p.suffix != ".lock"] == []


def test_images_that_the_disk_has_no_room_for_are_refused_in_one_line(tmp_path):
    fields = {"dataset": "digits", "cache_dir": str(tmp_path)}
    with pytest.raises(BadInput, match=f"The disk of {tmp_path} is full"), full_disk():
        load_data(TrainConfig(**fields))
    assert len(load_data(TrainConfig(**fields)).train) == 1294
