"""Where the cache lies."""

from pathlib import Path

import pytest

from tl_core.errors import BadInput
from tl_core.machine.cache_folder import cache_folder


def test_the_folder_given_comes_first_and_is_absolute(monkeypatch, tmp_path):
    monkeypatch.setenv("TL_SWEEP_CACHE", str(tmp_path / "set"))
    assert cache_folder(None) == tmp_path / "set"
    monkeypatch.chdir(tmp_path)
    assert cache_folder("given") == tmp_path / "given"
    monkeypatch.delenv("TL_SWEEP_CACHE")
    assert cache_folder(None) == Path.home() / ".cache" / "tl-sweep"


@pytest.mark.parametrize("name", ["9" * 300, "a/" * 2000, "a/" * 1950])
def test_a_path_that_no_file_can_have_is_one_line(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BadInput, match="cannot be the path of a file") as caught:
        cache_folder(name)
    assert len(str(caught.value)) < 200
    assert "\n" not in str(caught.value)


def test_a_folder_that_cannot_be_looked_at_is_left_to_whoever_writes(tmp_path):
    (tmp_path / "file").touch()
    assert cache_folder(str(tmp_path / "file" / "in it")) == tmp_path / "file" / "in it"
