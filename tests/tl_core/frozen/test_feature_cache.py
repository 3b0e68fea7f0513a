"""The files of activations: built once, whole or absent, within a budget."""

import os
import warnings

import pytest
import torch
from filelock import FileLock

from tl_core.errors import BadInput
from tl_core.frozen.feature_cache import BUDGET_VARIABLE, Activations, FeatureCache

PART = torch.arange(24.0).view(4, 6)


def build(cache, key, *, count=8, part=PART):
    return cache.open_or_build(key, count, lambda: iter([part] * (count // len(part))))


def names(cache):
    return sorted(path.name for path in cache.folder.glob("*.npy"))


def test_what_was_built_is_opened_and_not_built_again(tmp_path):
    cache = FeatureCache(tmp_path)
    build(cache, "one")

    def fail():
        raise AssertionError("built again")

    again = cache.open_or_build("one", 8, fail)
    assert len(again.stored) == 8
    assert torch.equal(again.take([1, 5, 2]), PART[[1, 1, 2]])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_values_survive_at_their_own_precision(tmp_path, dtype):
    part = (PART / 7).to(dtype)
    found = build(FeatureCache(tmp_path), "one", part=part).take(range(4))
    assert found.dtype == (torch.float32 if dtype == torch.float16 else dtype)
    assert torch.equal(found.to(dtype), part)


def test_a_build_that_fails_leaves_nothing(tmp_path):
    cache = FeatureCache(tmp_path)

    def parts():
        yield PART
        raise RuntimeError("a batch failed")

    with pytest.raises(RuntimeError, match="a batch failed"):
        cache.open_or_build("one", 8, parts)
    assert names(cache) == []
    assert cache.open("one") is None
    assert build(cache, "one") is not None


def test_the_longest_unused_goes_first(tmp_path, monkeypatch):
    cache = FeatureCache(tmp_path)
    size = 8 * 6 * 4
    monkeypatch.setenv(BUDGET_VARIABLE, str(2.5 * (size + 128) / 2**30))  # 128 bytes of header
    for age, key in enumerate(("a", "b")):
        build(cache, key)
        os.utime(cache.folder / f"{key}.npy", (1000 + age, 1000 + age))
    cache.open("a")  # now the newest
    held = cache.open("b")
    os.utime(cache.folder / "b.npy", (1, 1))
    build(cache, "c")
    assert names(cache) == ["a.npy", "c.npy"]
    assert torch.equal(held.take([0]), PART[:1])  # who has it mapped keeps it


def test_the_budget_is_the_users_or_a_share_of_the_disk(tmp_path, monkeypatch):
    cache = FeatureCache(tmp_path)
    assert cache.fits(1000)
    assert not cache.fits(2**60)
    monkeypatch.setenv(BUDGET_VARIABLE, "1")
    assert cache.fits(2**30)
    assert not cache.fits(2**30 + 1)
    monkeypatch.setenv(BUDGET_VARIABLE, "plenty")
    with pytest.raises(BadInput, match=r"TL_SWEEP_FEATURES_BUDGET='plenty': the value must be"):
        cache.fits(1)


def test_a_disk_that_cannot_be_written_is_no_error(tmp_path):
    (tmp_path / "features").write_text("a file where the folder should be")
    with pytest.warns(UserWarning, match=r"features takes no activations .* --cache-dir"):
        assert build(FeatureCache(tmp_path), "one") is None
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # it is said once
        assert build(FeatureCache(tmp_path), "two") is None


def test_a_damaged_file_is_built_again(tmp_path):
    cache = FeatureCache(tmp_path)
    build(cache, "one")
    (cache.folder / "one.npy").write_bytes(b"not an array")
    assert cache.open("one") is None
    assert torch.equal(build(cache, "one").take([2]), PART[2:3])


def test_activations_in_memory_serve_as_well():
    assert torch.equal(Activations.of(PART).take([3, 0]), PART[[3, 0]])


def test_a_file_that_another_process_throws_out_meanwhile_is_no_error(tmp_path, monkeypatch):
    cache = FeatureCache(tmp_path)
    build(cache, "one")
    gone = cache.folder / "gone.npy"
    monkeypatch.setattr(type(tmp_path), "glob", lambda *about: iter([gone]))
    assert cache.fits(1000)
    assert build(cache, "two") is not None


def test_who_has_to_wait_does_something_else_first(tmp_path):
    cache = FeatureCache(tmp_path)
    build(cache, "other")  # makes the folder
    done = []
    lock = FileLock(cache.folder / ".key.lock")
    lock.acquire()

    def meanwhile():
        done.append("something else")
        assert not (cache.folder / "key.npy").exists()
        lock.release()

    cache.open_or_build("key", len(PART), lambda: iter([PART]), meanwhile)
    cache.open_or_build("key", len(PART), lambda: iter([PART]), meanwhile)
    assert done == ["something else"]
    assert torch.equal(cache.open("key").take([0, 1]), PART[:2])


def test_what_others_are_building_counts_and_is_not_thrown_out(tmp_path, monkeypatch):
    cache = FeatureCache(tmp_path)
    one = PART.nbytes * 2
    monkeypatch.setenv(BUDGET_VARIABLE, str(3.5 * one / 2**30))

    def during():
        yield PART
        assert build(FeatureCache(tmp_path), "small") is not None
        assert build(FeatureCache(tmp_path), "large", count=16) is None
        yield PART

    assert cache.open_or_build("first", 8, during) is not None
    assert names(cache) == ["first.npy", "small.npy"]


def test_what_a_killed_process_left_is_removed(tmp_path):
    cache = FeatureCache(tmp_path)
    build(cache, "one")
    left = cache.folder / ".4711-other.npy"
    left.write_bytes(b"x" * 100)
    with FileLock(cache.folder / ".other.lock"):
        build(cache, "two")
        assert left.exists()  # whoever builds it lives
    build(cache, "three")
    assert not left.exists()
