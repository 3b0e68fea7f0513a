import json
import os
import time
from dataclasses import asdict, replace
from datetime import UTC, datetime

import pytest

from sweep.results import liveness
from sweep.results.folders import run_folder, sweep_names, weights_file
from sweep.results.manifest import read_manifest, write_manifest
from tl_core.config import TrainConfig
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
    winner = {
        "trial_id": "s1_00001", "values": {"lr": 0.1}, "weights": None,
        "val_accuracy": 0.5, "test_accuracy": 0.25,
    }  # fmt: skip
    made = keep(winner=winner, notes=["A note."])
    found = read_manifest(tmp_path, "s1")
    assert found.winner.items() >= winner.items()
    assert replace(found, winner=winner) == made


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
    assert sweep_names(tmp_path) == ["s1"]


def test_an_unknown_sweep_is_refused_with_what_there_is(tmp_path, keep):
    with pytest.raises(BadInput, match=r"no sweep 's2' in .*: there are none yet; .*ablation") as caught:
        read_manifest(tmp_path, "s2")
    assert "`list`" not in str(caught.value)
    keep()
    with pytest.raises(BadInput, match="there are s1"):
        read_manifest(tmp_path, "s2")
    with pytest.raises(BadInput, match="no sweep"):
        read_manifest(tmp_path, "")


NOW = datetime.now(UTC).isoformat()
OLDER = {"machine": None, "pid_start": None}
"""What an earlier version knew of its driver."""
STATES = {
    "here": ({}, None, "running"),
    "here, no beat": ({}, 500, "running"),
    "gone": ({"pid": NOBODY}, None, "died"),
    "gone a moment ago": ({"pid": NOBODY}, 1, "died"),
    "its number in use again": ({"pid_start": 1.0}, 1, "died"),
    "its number and its machine's name in use again": ({"pid_start": 1.0}, None, "died"),
    "another host, alive": ({"host": "another"}, 1, "running"),
    "another host, silent": ({"host": "another"}, 500, "silent"),
    "another host, no beat at all": ({"host": "another", "pid": NOBODY}, None, "silent"),
    "another container, alive": ({"machine": "boot:2"}, 1, "running"),
    "this machine before it was started anew": ({"machine": "boot:2"}, 500, "died"),
    "earlier version": ({**OLDER, "started_at": NOW}, None, "running"),
    "earlier version, number in use again": ({**OLDER, "started_at": "2020-01-02T03:04:05+00:00"},
                                             None, "died"),
    "earlier version, gone": ({**OLDER, "pid": NOBODY}, None, "died"),
    "finished": ({"status": "finished", "pid": NOBODY}, None, "finished"),
    "interrupted": ({"status": "interrupted", "pid": NOBODY}, 1, "interrupted"),
}  # fmt: skip


@pytest.mark.parametrize("case", STATES)
def test_whether_a_driver_lives(tmp_path, keep, case):
    fields, seconds_ago, state = STATES[case]
    keep(**{"status": "running", **fields})
    if seconds_ago is not None:
        beat = run_folder(tmp_path, "s1") / liveness.FILE
        beat.touch()
        os.utime(beat, (time.time() - seconds_ago,) * 2)
    assert read_manifest(tmp_path, "s1").state() == state


def change(tmp_path, text):
    (run_folder(tmp_path, "s1") / "sweep.json").write_text(text)


def test_fields_of_a_later_version_are_left_aside(tmp_path, keep):
    made = keep()
    change(tmp_path, json.dumps({**asdict(made), "colour": "red"}))
    assert read_manifest(tmp_path, "s1") == made


def test_fields_that_an_earlier_version_did_not_write(tmp_path, keep):
    about = asdict(keep())
    for name in ("winner", "loaded", "host", "pid", "machine", "pid_start", "seen_at", "command",
                 "question", "notes", "seeds", "trials_planned"):  # fmt: skip
        del about[name]
    change(tmp_path, json.dumps(about))
    found = read_manifest(tmp_path, "s1")
    assert (found.notes, found.trials_planned, found.status) == ([], None, "finished")


def test_what_an_earlier_version_did_not_say_of_base_and_winner(tmp_path, keep):
    about = asdict(keep())
    about["base"] = {"dropout": 0.5}
    about["winner"] = {"trial_id": "s1_00001", "test_accuracy": 0.5}
    change(tmp_path, json.dumps(about))
    found = read_manifest(tmp_path, "s1")
    assert found.base == {**TrainConfig().to_dict(), "dropout": 0.5}
    known = {name: value for name, value in found.winner.items() if value is not None}
    assert known == {"trial_id": "s1_00001", "values": {}, "test_accuracy": 0.5}
    for name in ("weights", "val_accuracy", "test_low", "probability", "best_of"):
        assert found.winner[name] is None


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("winner", {}, "trial_id of the winner is None"),
        ("winner", {"trial_id": "t", "test_accuracy": "x"}, "test_accuracy of the winner is 'x'"),
        ("winner", {"trial_id": "t", "confirmed": "5"}, "confirmed of the winner is '5'"),
        ("errors", ["a line", 1], "errors is"),
        ("loaded", {"residual": None}, "loaded is"),
    ],
)
def test_what_lies_deeper_is_checked_too(tmp_path, keep, field, value, reason):
    about = asdict(keep())
    change(tmp_path, json.dumps({**about, field: value}))
    with pytest.raises(BadInput, match=f"is damaged .{reason}"):
        read_manifest(tmp_path, "s1")


def test_a_folder_that_was_renamed_is_a_sweep_of_that_name(tmp_path, keep):
    keep()
    run_folder(tmp_path, "s1").rename(run_folder(tmp_path, "s2"))
    assert read_manifest(tmp_path, "s2").name == "s2"


DAMAGED = {
    "half": ('{"name": "s1", "spa', "is damaged"),
    "empty": ("", "is damaged"),
    "nested without end": ("[" * 200_000, "is damaged"),
    "a list": ("[]", "it holds no object"),
    "another type": ('{"name": "s1", "fields": 5}', "fields is 5"),
    "missing": ('{"name": "s1", "fields": {}, "started_at": "2026-01-02"}', "it has no base"),
    "no date": ('{"name": "s1", "fields": {}, "base": {}, "started_at": "x"}', "is damaged"),
}


@pytest.mark.parametrize("case", DAMAGED)
def test_a_damaged_file_is_one_line_and_leaves_others_alone(tmp_path, keep, case):
    text, reason = DAMAGED[case]
    whole = keep(name="whole")
    keep()
    change(tmp_path, text)
    with pytest.raises(BadInput, match=reason) as caught:
        read_manifest(tmp_path, "s1")
    assert str(caught.value).startswith("s1: ")
    assert "`delete s1`" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert read_manifest(tmp_path, "whole") == whole


def test_bytes_that_are_no_text_are_damage(tmp_path, keep):
    keep()
    (run_folder(tmp_path, "s1") / "sweep.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BadInput, match="is damaged"):
        read_manifest(tmp_path, "s1")


def test_what_is_left_of_a_sweep_is_named(tmp_path, keep):
    keep()
    (run_folder(tmp_path, "s1") / "sweep.json").unlink()
    (tmp_path / "epochs" / "sweep=rows").mkdir(parents=True)
    assert sweep_names(tmp_path) == ["rows", "s1"]
    with pytest.raises(BadInput, match=r"s1: .*sweep.json is missing; `delete s1`"):
        read_manifest(tmp_path, "s1")
    with pytest.raises(BadInput, match=r"rows: .*sweep.json is gone, its rows are not; `delete"):
        read_manifest(tmp_path, "rows")


@pytest.mark.parametrize("name", ["..", ".", "../runs/s1", "s1/", ""])
def test_a_path_is_no_name(tmp_path, keep, name):
    keep()
    with pytest.raises(BadInput, match="no sweep"):
        read_manifest(tmp_path, name)


def weights(folder, name="s1"):
    file = weights_file(run_folder(folder, name), 0)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(b"weights")
    return file


def test_the_weights_of_a_folder_that_was_moved_are_where_it_is(tmp_path, keep):
    stored = weights(tmp_path)
    keep(winner={"trial_id": "s1_00001", "weights": str(stored)})
    assert read_manifest(tmp_path, "s1").winner["weights"] == str(stored)
    (tmp_path / "runs").rename(tmp_path / "moved")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "moved").rename(tmp_path / "elsewhere" / "runs")
    found = read_manifest(tmp_path / "elsewhere", "s1").winner["weights"]
    assert found == str(weights_file(run_folder(tmp_path / "elsewhere", "s1"), 0))


def test_a_renamed_sweep_has_its_own_weights(tmp_path, keep):
    stored = weights(tmp_path)
    keep(winner={"trial_id": "s1_00001", "weights": str(stored)})
    run_folder(tmp_path, "s1").rename(run_folder(tmp_path, "s2"))
    own = weights_file(run_folder(tmp_path, "s2"), 0)
    assert read_manifest(tmp_path, "s2").winner["weights"] == str(own)


def test_weights_that_are_nowhere_keep_the_path_that_was_stored(tmp_path, keep):
    gone = str(tmp_path / "gone.safetensors")
    keep(winner={"trial_id": "s1_00001", "weights": gone})
    assert read_manifest(tmp_path, "s1").winner["weights"] == gone


def test_weights_elsewhere_that_are_there_stay_the_winners(tmp_path, keep):
    weights(tmp_path)
    (tmp_path / "other.safetensors").write_bytes(b"other")
    stored = str(tmp_path / "other.safetensors")
    keep(winner={"trial_id": "s1_00001", "weights": stored})
    assert read_manifest(tmp_path, "s1").winner["weights"] == stored
