"""One contract for every kind of store: files whole or absent, by names."""

import io

import pytest

from sweep.store.remote import BLOCK, open_store
from tl_core.errors import BadInput


def put(remote, name, content):
    return remote.put(name, io.BytesIO(content), len(content))


def test_files_are_put_listed_read_copied_and_removed(remote, machine):
    results = machine("a")
    assert remote.files() == {}
    assert remote.folders("runs") == []
    stored = put(remote, "runs/s1/a.gz", b"12")
    put(remote, "runs/s1/deep/er/b", b"")
    put(remote, "runs/s2/a.gz", b"x" * (2 * BLOCK + 1))
    assert set(remote.files("runs")) == {"runs/s1/a.gz", "runs/s1/deep/er/b", "runs/s2/a.gz"}
    assert remote.files("runs/s1", deep=False) == {"runs/s1/a.gz": stored}
    assert remote.find("runs/s1/a.gz") == stored
    assert (remote.find("runs/s1/none"), remote.find("runs/s1")) == (None, None)
    assert remote.folders("runs") == ["s1", "s2"]
    assert remote.read("runs/s1/a.gz") == b"12"
    assert not stored.is_like(results / "runs/s1/a.gz")
    remote.get("runs/s1/a.gz", stored, results)
    assert (results / "runs/s1/a.gz").read_bytes() == b"12"
    assert stored.is_like(results / "runs/s1/a.gz")
    remote.remove("runs/s1/a.gz")
    remote.remove("runs/s1/a.gz")
    remote.remove_folder("runs/s2")
    remote.remove_folder("runs/s2")
    assert set(remote.files("runs")) == {"runs/s1/deep/er/b"}


def test_a_file_is_replaced_whole(remote):
    first = put(remote, "sweep.json", b"long content")
    second = put(remote, "sweep.json", b"short")
    assert remote.read("sweep.json") == b"short"
    assert first != second
    assert set(remote.files()) == {"sweep.json"}


@pytest.mark.parametrize("length", [3, BLOCK + 3])
def test_a_file_that_could_not_be_read_whole_is_absent(remote, length):
    with pytest.raises(EOFError):
        remote.put("a", io.BytesIO(b"x" * length), length + 1)
    assert remote.files() == {}


def test_names_that_lead_out_of_a_folder_are_no_files(remote, tmp_path):
    found = remote._sound([(f"{remote.base}/a/../../x", None), (f"{remote.base}/a/b", None)])
    assert set(found) == {"a/b"}


@pytest.mark.parametrize(
    ("url", "line"),
    [
        ("nosuch://bucket/x", "Protocol not known: nosuch"),
        ("oss://bucket/x", r"needs the package ossfs, not installed; `pip install ossfs`"),
        ("s3://bucket/x?colour=red", "colour"),
    ],
)
def test_a_store_that_cannot_be_opened_is_refused_in_one_line(url, line):
    with pytest.raises(BadInput, match=line) as caught:
        open_store(url)
    assert "\n" not in str(caught.value)


def test_without_fsspec_its_package_is_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "fsspec.core", None)
    with pytest.raises(BadInput, match="`pip install fsspec`"):
        open_store("nosuch2://bucket/x")
