"""Paths as users write them."""

import os
from pathlib import Path

import pytest

from sweep.options.sweep_options import SweepOptions
from tl_core import BadInput, TrainConfig
from tl_core.datasets import describe_dataset, load_data
from tl_core.machine.user_path import expanded, storable
from tl_core.weights.weights_file import weights_path

GONE = "~no-such-user/x"


def test_home_folders(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    assert expanded("~/a") == Path("/home/me/a")
    assert expanded("a~/b") == Path("a~/b")


@pytest.mark.parametrize("name", [f"folder:{GONE}", f"parquet:{GONE}"])
def test_a_home_folder_that_is_not_there(name: str) -> None:
    with pytest.raises(BadInput, match="there is no home folder ~no-such-user; write the whole"):
        describe_dataset(TrainConfig(dataset=name))
    with pytest.raises(BadInput, match="there is no home folder ~no-such-user"):
        _ = SweepOptions(space="ablation", settings=[f"dataset={name}"]).overrides


def test_a_weights_file_in_no_home_folder() -> None:
    with pytest.raises(BadInput, match="there is no home folder ~no-such-user"):
        weights_path(f"{GONE}.pth")


def test_a_name_that_is_too_long() -> None:
    with pytest.raises(BadInput, match=r"cannot be the path of a file .*; give a shorter one"):
        describe_dataset(TrainConfig(dataset="folder:" + "x" * 300))


def test_a_data_set_whose_path_is_no_text(tmp_path: Path) -> None:
    folder = os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9")
    os.mkdir(folder)
    with pytest.raises(BadInput, match=r"caf\\xe9 is no UTF-8 text; rename that file or folder"):
        load_data(TrainConfig(dataset=f"folder:{folder}"))


def test_names_that_can_be_stored() -> None:
    assert storable("caf\u00e9") == "caf\u00e9"
    assert storable(os.fsdecode(b"caf\xe9")) == r"caf\xe9"
