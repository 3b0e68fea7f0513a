"""Checkpoints: whole or absent, loaded without running code, generators included."""

import os
import pickle
import random
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from tl_core.errors import BadInput
from tl_core.train.checkpoint import (
    load_checkpoint,
    rng_state,
    save_checkpoint,
    seed_everything,
    set_rng_state,
)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "runs" / "last.pt"  # its folder does not exist yet


def test_what_is_saved_is_loaded(path):
    weight = torch.arange(6.0).reshape(2, 3)
    save_checkpoint(path, {"model": {"weight": weight}, "epoch": 3, "best": (0.5, None, "x")})
    state = load_checkpoint(path)
    assert torch.equal(state["model"]["weight"], weight)
    assert (state["epoch"], state["best"]) == (3, (0.5, None, "x"))
    assert os.listdir(path.parent) == ["last.pt"]


def test_a_newer_one_replaces_the_older(path):
    for epoch in (1, 2):
        save_checkpoint(path, {"model": {}, "epoch": epoch})
    assert load_checkpoint(path)["epoch"] == 2
    assert os.listdir(path.parent) == ["last.pt"]


@pytest.mark.parametrize("failing", ["save", "replace"])
def test_a_failure_leaves_the_old_file_and_nothing_else(path, monkeypatch, failing):
    save_checkpoint(path, {"model": {}, "epoch": 1})

    def write_half(state, target):
        Path(target).write_bytes(b"half of it")
        raise OSError("no space left on device")

    def refuse(source, target):
        raise OSError("no space left on device")

    if failing == "save":
        monkeypatch.setattr(torch, "save", write_half)
    else:
        monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(OSError, match="no space left"):
        save_checkpoint(path, {"model": {}, "epoch": 2})
    assert load_checkpoint(path)["epoch"] == 1
    assert os.listdir(path.parent) == ["last.pt"]


@pytest.mark.parametrize("share", [0.0, 0.3, 0.99])
def test_a_truncated_file_is_refused(path, share):
    save_checkpoint(path, {"model": {"weight": torch.zeros(100)}})
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(
        BadInput, match=r"last\.pt is no readable checkpoint .*; delete it"
    ) as seen:
        load_checkpoint(path)
    assert "\n" not in str(seen.value)


def test_a_file_with_other_bits_is_refused(path):
    save_checkpoint(path, {"model": {"weight": torch.zeros(1000)}})
    content = bytearray(path.read_bytes())
    content[2000] ^= 1  # in the weights
    path.write_bytes(content)
    with pytest.raises(BadInput, match=r"no readable checkpoint \(.* is damaged\); delete it"):
        load_checkpoint(path)


def test_a_byte_changed_anywhere_is_refused_or_changes_nothing(path):
    save_checkpoint(path, {"model": {"weight": torch.zeros(3)}})
    whole = path.read_bytes()
    refused = []
    for place in range(0, len(whole), 7):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        try:
            state = load_checkpoint(path)
        except BadInput as error:
            refused.append(str(error))
        else:
            assert torch.equal(state["model"]["weight"], torch.zeros(3))
    assert len(refused) > 30
    assert not any("\n" in why for why in refused)


def test_weights_that_say_they_are_a_folder_are_refused(path):
    """From such an entry torch reads nothing, and gives what lay in memory."""
    save_checkpoint(path, {"model": {"weight": torch.zeros(3)}})
    content = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as file:
        (name,) = (name for name in file.namelist() if name.endswith("data/0"))
    content[content.rindex(name.encode()) - 8] |= 0x10
    path.write_bytes(content)
    with pytest.raises(BadInput, match=r"data/0 is damaged"):
        load_checkpoint(path)


class Touch:
    """Unpickled, it makes a file."""

    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return Path.touch, (self.target,)


@pytest.mark.parametrize("write", ["torch", "pickle"])
def test_code_in_a_file_is_refused_and_not_run(path, tmp_path, write):
    path.parent.mkdir()
    state = {"model": {}, "epoch": Touch(tmp_path / "touched")}
    if write == "torch":
        torch.save(state, path)
    else:
        path.write_bytes(pickle.dumps(state, protocol=2))
    with pytest.raises(BadInput, match="is no readable checkpoint") as seen:
        load_checkpoint(path)
    assert "\n" not in str(seen.value)
    assert not (tmp_path / "touched").exists()
    pickle.loads(pickle.dumps(state))  # the code would have run
    assert (tmp_path / "touched").exists()


def test_a_missing_file_is_named(path):
    with pytest.raises(BadInput, match=r"no checkpoint at .*last\.pt"):
        load_checkpoint(path)


@pytest.mark.parametrize("state", [{"weights": 1}, [1, 2]])
def test_a_file_of_something_else_is_refused(path, state):
    save_checkpoint(path, state)
    with pytest.raises(BadInput, match="is no training checkpoint: it has no entry 'model'"):
        load_checkpoint(path)


def draws():
    """Some of each global generator; the normal ones leave half a pair behind."""
    return [
        torch.rand(3).tolist(),
        torch.randn(1).item(),
        random.random(),
        random.gauss(0, 1),
        np.random.random(3).tolist(),  # noqa: NPY002
        np.random.normal(),  # noqa: NPY002
    ]


def test_generators_go_on_where_they_were_saved(path):
    seed_everything(5)
    draws()
    save_checkpoint(path, {"model": {}, "rng": rng_state()})
    expected = [draws(), draws()]
    seed_everything(6)
    assert draws() not in expected
    set_rng_state(load_checkpoint(path)["rng"])
    assert [draws(), draws()] == expected


@pytest.mark.parametrize("seed", [0, 2**40])
def test_a_seed_fixes_every_generator(seed):
    seed_everything(seed)
    first = draws()
    seed_everything(seed)
    again = draws()
    seed_everything(seed + 1)
    other = draws()
    assert first == again
    assert all(one != two for one, two in zip(first, other, strict=True))
