"""Which local folder belongs to what `--results` says."""

from pathlib import Path

import pytest

from sweep.options.sweep_options import SweepOptions, space_command
from sweep.store.location import relocated, results_folder, shown_results, url_of, url_within
from tl_core.errors import BadInput


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TL_SWEEP_CACHE", str(tmp_path / "cache"))


def test_a_path_is_a_folder_as_before():
    assert results_folder("~/x") == Path.home() / "x"  # no shell expands it in --results=~/x
    for path in ("results", "/data/x", Path("a/b"), "a:b/c", "C:/x"):
        assert results_folder(path) == Path(path)
        assert url_of(Path(path)) is None
        assert shown_results(Path(path)) == str(path)


@pytest.mark.parametrize(
    "url", ["s3://bucket/x", "gs://b", "s3://b/x?endpoint_override=http://h:9000&scheme=http"]
)
def test_a_url_has_a_working_folder_that_knows_it(url, tmp_path):
    folder = results_folder(url)
    assert folder.parent == tmp_path / "cache" / "stores"
    assert url_of(folder) == shown_results(folder) == url
    assert results_folder(folder) == results_folder(str(folder)) == folder
    place, mark, query = url.partition("?")
    assert url_within(folder / "runs" / "s1") == f"{place}/runs/s1{mark}{query}"
    assert results_folder(f"{place}/{mark}{query}") == folder


def test_different_stores_have_different_folders():
    urls = ["s3://b/x", "gs://b/x", "s3://b/x/y", "s3://b-x", "s3://b/x?region=eu-west-1"]
    assert len({results_folder(url) for url in urls}) == len(urls)


@pytest.mark.parametrize(
    ("given", "line"),
    [
        (Path("s3://bucket/x"), "a URL has two slashes, as s3://bucket/x"),
        ("s3://key:secret@bucket/x", "leave out the password"),
        ("s3://", "name a bucket"),
        ("x" * 300, "cannot be the path of a file"),
        ("a\0b", "no path can hold a NUL"),
        ("~no-such-user/results", "there is no home folder"),
    ],
)
def test_what_is_no_folder_and_no_url_of_a_store_is_refused(given, line):
    with pytest.raises(BadInput, match=line) as caught:
        results_folder(given)
    assert "secret" not in str(caught.value)


def test_the_command_that_is_kept_with_a_sweep_names_the_store():
    options = SweepOptions(space="ablation", results="s3://bucket/x?region=eu-west-1")
    assert options.results.is_absolute()
    command = space_command(options)
    assert command == "python -m sweep ablation --results 's3://bucket/x?region=eu-west-1'"


def test_a_path_of_another_machine_is_found_on_this_one(tmp_path, monkeypatch):
    there = results_folder("s3://bucket/x") / "runs" / "s1" / "winner.safetensors"
    monkeypatch.setenv("TL_SWEEP_CACHE", str(tmp_path / "other"))
    assert relocated(str(there)) == str(there)  # this store was not used here
    here = results_folder("s3://bucket/x") / "runs" / "s1" / "winner.safetensors"
    assert relocated(str(there)) == str(here) != str(there)
    assert relocated("/data/stores/mine/w.pt") == "/data/stores/mine/w.pt"
