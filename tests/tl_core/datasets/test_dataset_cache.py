"""The decoded cache: used again, invalidated by content, rebuilt when damaged; and streaming."""

import errno
import multiprocessing
import os
import tracemalloc
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFile

from tl_core import BadInput, TrainConfig
from tl_core.datasets import ImageData, load_data
from tl_core.datasets.decoded import build, identity
from tl_core.datasets.decoded.identity import signature
from tl_core.datasets.decoded.store import MappedStore, StreamingStore
from tl_core.datasets.images import decode

Again = Callable[..., ImageData]
Write = Callable[..., Path]
SPLITS = ("train", "val", "test")


def everything(data: ImageData) -> list[np.ndarray]:
    parts = (getattr(data, split) for split in SPLITS)
    return [part.batch(np.arange(len(part))).numpy() for part in parts]


def refuse(*args: object) -> None:
    raise AssertionError("decoded or read again")


@pytest.fixture
def no_decoding(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    def forbid() -> None:
        monkeypatch.setattr(build, "decode_or_reason", refuse)
        monkeypatch.setattr(identity, "read_header", refuse)

    return forbid


@pytest.fixture
def dataset(write_folder: Write) -> str:
    return f"folder:{write_folder({'a': 100, 'b': 100}, shape=(9, 7, 3))}"


def test_second_process_decodes_nothing(
    dataset: str, open_again: Again, no_decoding: Callable[[], None]
) -> None:
    first = open_again(dataset=dataset, image_size=8)
    no_decoding()
    second = open_again(dataset=dataset, image_size=8)
    assert second is not first
    for one, other in zip(everything(first), everything(second), strict=True):
        np.testing.assert_array_equal(one, other)
    assert (second.mean, second.std) == (first.mean, first.std)
    with pytest.raises(AssertionError, match="decoded"):
        open_again(dataset=dataset, image_size=10)


def test_a_process_remembers(dataset: str) -> None:
    config = TrainConfig(dataset=dataset, image_size=8)
    assert load_data(config) is load_data(TrainConfig(dataset=dataset, image_size=8, lr=0.5))
    assert load_data(config) is not load_data(
        TrainConfig(dataset=dataset, image_size=8, limit_train=20)
    )


def test_progress_counts_to_the_end_once(dataset: str, open_again: Again) -> None:
    seen: list[tuple[str, int, int]] = []
    config = TrainConfig(dataset=dataset, image_size=8)
    load_data(config, progress=lambda *at: seen.append(at))
    assert [at for at in seen if at[1] == 200] == [
        ("read images", 200, 200),
        ("decode images", 200, 200),
    ]


def test_a_changed_file_makes_another_entry(dataset: str, open_again: Again) -> None:
    before = open_again(dataset=dataset, image_size=8)
    root = Path(dataset.removeprefix("folder:"))
    (root / "a" / "000.png").write_bytes((root / "b" / "000.png").read_bytes())
    after = open_again(dataset=dataset, image_size=8)
    assert after.fingerprint != before.fingerprint
    assert sum((x != y).any(axis=(1, 2, 3)).sum() for x, y in zip(
        everything(before), everything(after), strict=True)) == 1  # fmt: skip


def test_touched_files_are_read_but_not_decoded_again(
    dataset: str, open_again: Again, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = open_again(dataset=dataset, image_size=8)
    for path in Path(dataset.removeprefix("folder:")).rglob("*.png"):
        os.utime(path, ns=(1, 1))
    monkeypatch.setattr(build, "decode_or_reason", refuse)
    assert open_again(dataset=dataset, image_size=8).fingerprint == before.fingerprint


@pytest.mark.parametrize("name", ["images.npy", "index.npz", "info.json"])
@pytest.mark.parametrize("damage", ["cut", "empty", "gone"])
def test_a_damaged_entry_is_rebuilt(
    dataset: str, cache: Path, open_again: Again, name: str, damage: str
) -> None:
    before = everything(open_again(dataset=dataset, image_size=8))
    (path,) = cache.glob(f"decoded/*/{name}")
    content = path.read_bytes()
    path.unlink()
    if damage != "gone":
        path.write_bytes(content[: len(content) * 2 // 3] if damage == "cut" else b"")
    after = everything(open_again(dataset=dataset, image_size=8))
    for one, other in zip(before, after, strict=True):
        np.testing.assert_array_equal(one, other)
    assert path.stat().st_size == len(content)


def test_a_damaged_memory_of_signatures_is_ignored(
    dataset: str, cache: Path, open_again: Again
) -> None:
    before = open_again(dataset=dataset).fingerprint
    (path,) = cache.glob("known/*.json")
    path.write_text('{"finger')
    assert open_again(dataset=dataset).fingerprint == before


def test_a_failed_build_leaves_nothing_that_looks_whole(
    dataset: str, cache: Path, open_again: Again, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(build, "decode_or_reason", refuse)
        with pytest.raises(AssertionError):
            open_again(dataset=dataset, image_size=8)
    assert [p.name for p in cache.glob("decoded/*") if not p.name.startswith(".")] == []
    assert len(open_again(dataset=dataset, image_size=8).test) == 40


@pytest.mark.parametrize(
    "kind", ["folder", "parquet", pytest.param("shapes", marks=pytest.mark.slow)]
)
def test_streaming_equals_mapped(
    kind: str,
    tmp_path: Path,
    write_folder: Write,
    write_parquet: Write,
    open_again: Again,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if kind == "folder":
        root = write_folder({"a": 150, "b": 50}, shape=(20, 12, 3))
        (root / "a" / "note.png").write_text("skipped in both")
        name = f"folder:{root}"
    elif kind == "parquet":
        name = f"parquet:{write_parquet('all.parquet', [0, 1] * 60)}"
    else:
        name = "shapes"
    mapped = open_again(dataset=name, image_size=10, cache_dir=str(tmp_path / "one"))
    monkeypatch.setenv("TL_SWEEP_CACHE_BUDGET", "0")
    two = str(tmp_path / "two")
    for _ in range(2):  # built, then found
        streamed = open_again(dataset=name, image_size=10, cache_dir=two)
        assert isinstance(mapped.train.images, MappedStore)
        assert isinstance(streamed.train.images, StreamingStore)
        assert streamed.train.images.shape == mapped.train.images.shape
        for one, other in zip(everything(mapped), everything(streamed), strict=True):
            np.testing.assert_array_equal(one, other)
        assert (streamed.mean, streamed.std) == (mapped.mean, mapped.std)
    assert not list(Path(two).rglob("images.npy"))
    monkeypatch.delenv("TL_SWEEP_CACHE_BUDGET")
    later = open_again(dataset=name, image_size=10, cache_dir=two)
    assert isinstance(later.train.images, MappedStore)


def test_decoding_never_holds_all_images(
    write_folder: Write, open_again: Again, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decode, "BLOCK", 4)  # a few blocks of each thread are in memory
    root = write_folder({"a": 500, "b": 500}, shape=(2, 2, 3))
    tracemalloc.start()
    try:
        open_again(dataset=f"folder:{root}", image_size=128)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1000 * 128 * 128 * 3


def test_streaming_names_a_file_that_vanished(
    dataset: str, open_again: Again, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TL_SWEEP_CACHE_BUDGET", "0")
    data = open_again(dataset=dataset, image_size=8)
    for path in Path(dataset.removeprefix("folder:")).rglob("*.png"):
        path.unlink()
    with pytest.raises(BadInput, match=r"a/\d+\.png can no longer be read"):
        data.train.batch(np.arange(1))


def test_files_that_pillow_is_allowed_to_read_later_are_read_then(
    write_folder: Write, open_again: Again, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = write_folder({"a": 100, "b": 100})
    Image.effect_noise((90, 90), 50).convert("RGB").save(root / "a" / "large.png")
    Image.effect_noise((64, 64), 50).convert("RGB").save(root / "b" / "cut.jpg")
    whole = (root / "b" / "cut.jpg").read_bytes()
    (root / "b" / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 4000)

    def used() -> tuple[int, str]:
        data = open_again(dataset=f"folder:{root}", image_size=8)
        return sum(len(getattr(data, name)) for name in SPLITS), " ".join(data.notes)

    count, notes = used()
    assert count == 200
    assert "a/large.png" in notes
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    count, notes = used()
    assert count == 201
    assert "a/large.png" not in notes
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    assert used() == (202, "")


@pytest.mark.parametrize("value", ["much", "-1", "nan"])
def test_a_bad_budget_is_refused(
    value: str, open_again: Again, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TL_SWEEP_CACHE_BUDGET", value)
    with pytest.raises(BadInput, match=f"TL_SWEEP_CACHE_BUDGET='{value}'"):
        open_again(dataset="digits")


def test_a_cache_that_cannot_be_written_is_one_line(tmp_path: Path, open_again: Again) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(BadInput, match=r"cannot be written .* --cache-dir") as caught:
        open_again(dataset="digits", cache_dir=str(tmp_path / "file" / "cache"))
    assert "\n" not in str(caught.value)


def test_a_full_disk_is_one_line(
    dataset: str, open_again: Again, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*args: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(build, "array_writer", full)
    with pytest.raises(BadInput, match=r"disk of .* is full; give another --cache-dir"):
        open_again(dataset=dataset)


def test_mean_and_std_are_of_the_training_split_before_the_limit(dataset: str) -> None:
    whole = load_data(TrainConfig(dataset=dataset, image_size=8))
    pixels = whole.train.batch(np.arange(len(whole.train))).numpy() / 255
    np.testing.assert_allclose(whole.mean, pixels.mean(axis=(0, 2, 3)), rtol=1e-12)
    np.testing.assert_allclose(whole.std, pixels.std(axis=(0, 2, 3)), rtol=1e-9)
    limited = load_data(TrainConfig(dataset=dataset, image_size=8, limit_train=10))
    assert (limited.mean, limited.std) == (whole.mean, whole.std)
    assert len(limited.train) == 10
    assert set(limited.train.indices) <= set(whole.train.indices)


def test_batches_may_be_written_to_and_the_cache_stays(dataset: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # torch warns of memory it may not write to
        data = load_data(TrainConfig(dataset=dataset, image_size=8))
        batch = data.train.batch(np.array([3, 1]))
    before = batch.clone()
    batch.zero_()
    assert batch.is_contiguous()
    np.testing.assert_array_equal(data.train.batch(np.array([3, 1])), before)


def _load_in_process(fields: dict[str, object], out: "multiprocessing.Queue[object]") -> None:
    seen: list[str] = []
    data = load_data(TrainConfig(**fields), progress=lambda label, *_: seen.append(label))
    out.put((data.fingerprint, int(everything(data)[0].sum()), sorted(set(seen))))


@pytest.mark.slow
def test_two_processes_build_once(dataset: str, cache: Path) -> None:
    context = multiprocessing.get_context("spawn")
    out = context.Queue()
    fields = {"dataset": dataset, "image_size": 8, "cache_dir": str(cache)}
    workers = [context.Process(target=_load_in_process, args=(fields, out)) for _ in range(2)]
    for worker in workers:
        worker.start()
    results = [out.get(timeout=280) for _ in workers]
    for worker in workers:
        worker.join()
    assert results[0][:2] == results[1][:2]
    assert sorted(label for result in results for label in result[2]) == [
        "decode images",
        "read images",
    ]


def test_other_content_of_the_same_size_and_time_is_seen(tmp_path):
    file = tmp_path / "a.bmp"
    file.write_bytes(b"one")
    times = (file.stat().st_atime_ns, file.stat().st_mtime_ns)
    before = signature("folder", [file])
    file.write_bytes(b"two")
    os.utime(file, ns=times)
    assert file.stat().st_mtime_ns == times[1]
    assert signature("folder", [file]) != before
