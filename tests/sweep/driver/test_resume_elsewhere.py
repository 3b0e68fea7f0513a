"""A sweep whose driver was lost with its machine is resumed from another only by force."""

import errno
import os

import pytest

from sweep.driver.resuming import taken
from sweep.results.manifest import begin_sweep
from tl_core.errors import BadInput


@pytest.fixture
def lost(manifest, tmp_path):
    """The results folder of a sweep whose driver, on another machine, has no heartbeat."""
    made = manifest(status="running", host="node-7", machine="another", pid=1)
    begin_sweep(tmp_path, made)
    (tmp_path / "runs" / made.name / "alive").unlink()
    return tmp_path


def test_a_silent_driver_elsewhere_may_be_alive(lost):
    with (
        pytest.raises(BadInput, match=r"process 1 on node-7, .* or use --force where it is gone"),
        taken(lost, "s1"),
    ):
        pass


def test_force_says_that_it_is_gone(lost):
    with taken(lost, "s1", force=True) as manifest:
        assert manifest.state() == "silent"


def test_force_does_not_take_a_sweep_that_gives_signs_of_life(lost):
    (lost / "runs" / "s1" / "alive").touch()
    with pytest.raises(BadInput, match="is running"), taken(lost, "s1", force=True):
        pass


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES])
@pytest.mark.parametrize("command", ["resume", "retry"])
def test_a_folder_that_cannot_be_written_is_one_line(
    tmp_path, manifest, refused, monkeypatch, command, number
):
    begin_sweep(tmp_path, manifest())
    opened = os.open

    def denied(path, *arguments, **named):
        if str(path).endswith("resume.lock"):
            raise OSError(number, os.strerror(number), path)
        return opened(path, *arguments, **named)

    monkeypatch.setattr(os, "open", denied)
    said = refused(command, "s1", "--results", tmp_path)
    folder = tmp_path / "runs" / "s1"
    assert said.startswith(f"s1: {folder} cannot be written ({os.strerror(number)}), ")
    assert said.endswith(" name the copy with --results.")
