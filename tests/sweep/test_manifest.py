import os
import socket

import pytest

from sweep.manifest import all_manifests, read_manifest, run_folder, write_manifest
from tl_core.errors import BadInput

NOBODY = 2**22 + 1
"""A process number beyond Linux's largest."""


@pytest.fixture
def keep(tmp_path, manifest):
    """keep(**fields) writes a manifest and returns it."""

    def write(**fields):
        made = manifest(**fields)
        run_folder(tmp_path, made.name).mkdir(parents=True, exist_ok=True)
        write_manifest(tmp_path, made)
        return made

    return write


def test_what_was_written_is_read_back(tmp_path, keep):
    made = keep(winner={"trial_id": "s1_00001", "values": {"lr": 0.1}}, notes=["A note."])
    assert read_manifest(tmp_path, "s1") == made


def test_levels_that_are_tuples_come_back_as_lists(tmp_path, keep):
    keep(fields={"channels": [(8, 16), (16, 32)]})
    assert read_manifest(tmp_path, "s1").fields == {"channels": [[8, 16], [16, 32]]}


def test_a_second_writing_replaces_the_first_whole(tmp_path, keep):
    keep(notes=["x" * 1000])
    made = keep(status="interrupted")
    assert read_manifest(tmp_path, "s1") == made
    assert [path.name for path in run_folder(tmp_path, "s1").iterdir()] == ["sweep.json"]


def test_a_failed_writing_leaves_what_there_was(tmp_path, keep, monkeypatch):
    made = keep()

    def fail(source, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="No space"):
        keep(status="interrupted")
    assert read_manifest(tmp_path, "s1") == made
    assert len(all_manifests(tmp_path)) == 1


def test_sweeps_come_oldest_first(tmp_path, keep):
    for name, day in (("a", 3), ("b", 1), ("c", 2)):
        keep(name=name, started_at=f"2026-01-0{day}T00:00:00+00:00")
    (tmp_path / "runs" / "no-sweep").mkdir()
    assert [made.name for made in all_manifests(tmp_path)] == ["b", "c", "a"]
    assert all_manifests(tmp_path / "none") == []


def test_an_unknown_sweep_is_refused_with_what_there_is(tmp_path, keep):
    with pytest.raises(BadInput, match=r"no sweep 's2' in .*: there are none yet"):
        read_manifest(tmp_path, "s2")
    keep()
    with pytest.raises(BadInput, match="there are s1"):
        read_manifest(tmp_path, "s2")
    with pytest.raises(BadInput, match="no sweep"):
        read_manifest(tmp_path, "")


STATES = {
    "here": ({"status": "running"}, "running"),
    "gone": ({"status": "running", "pid": NOBODY}, "died"),
    "elsewhere": ({"status": "running", "pid": NOBODY, "host": "another"}, "running"),
    "finished": ({"status": "finished", "pid": NOBODY}, "finished"),
    "interrupted": ({"status": "interrupted", "pid": NOBODY}, "interrupted"),
}


@pytest.mark.parametrize("case", STATES)
def test_a_sweep_whose_driver_is_gone_has_died(manifest, case):
    fields, state = STATES[case]
    assert manifest(**fields).state() == state
    assert manifest().host == socket.gethostname()
