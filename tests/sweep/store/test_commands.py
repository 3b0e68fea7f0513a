"""The commands on sweeps and models of another machine."""

import json

import pytest

from sweep.results import liveness
from sweep.results.folders import model_folder, run_folder
from sweep.results.manifest import write_manifest
from sweep.results.sources import find_source
from sweep.results.stored import fetch_models, mirrored, send_folder
from sweep.results.tables import read_table, write_rows
from tl_core.config import TrainConfig


@pytest.fixture
def url(tmp_path):
    return f"file://{tmp_path}/store"


@pytest.fixture
def finished(machine, begun, manifest, trial_row):
    """The finished sweep s1 of two trials, which ran on machine a."""
    results = machine("a")
    begun(results)
    weights = run_folder(results, "s1") / "winner.safetensors"
    winner = {"trial_id": "s1_00001", "weights": str(weights), "values": {}}
    write_manifest(results, manifest(winner=winner))
    weights.write_bytes(b"weights")
    write_rows(results, "trials", "s1", [trial_row(n, 0.9 + n / 100) for n in range(2)])
    with mirrored(results, "s1", print):
        pass
    return results


def test_list_show_and_delete(finished, call, refused, machine, url, remote):
    there = machine("b")
    code, out, _ = call("list", "--json", "--results", url)
    (entry,) = json.loads(out)
    assert (code, entry["name"], entry["state"], entry["trials"]) == (0, "s1", "finished", 2)
    assert entry["disk_bytes"] > sum(f.size for f in remote.files("trials").values())
    assert not (run_folder(there, "s1") / "winner.safetensors").exists(), "not asked for"
    code, out, _ = call("show", "s1", "--results", url)
    assert code == 0
    assert "2 trials" in out
    plain = " ".join(out.split())
    assert f'pd.read_parquet("{url}/trials"' in plain
    assert f"--results {url}" in plain
    assert f"weights: {url}/runs/s1/winner.safetensors" in plain
    code, out, _ = call("delete", "s1", "--yes", "--results", url)
    assert code == 0
    assert out.startswith("Deleted s1: ")
    assert not any("s1" in name for name in remote.files())
    machine("a")
    assert f"no sweep 's1' in {url}" in refused("show", "s1", "--results", url)
    assert read_table(finished, "trials", "s1").empty


def test_nothing_is_copied_twice(finished, call, machine, url, remote, monkeypatch):
    machine("b")
    call("show", "s1", "--results", url)
    get, names = remote.get, []
    monkeypatch.setattr(remote, "get", lambda name, *a: (names.append(name), get(name, *a))[1])
    call("show", "s1", "--results", url)
    call("list", "--results", url)
    assert names == []


def test_a_sweep_that_runs_elsewhere_is_running_until_its_heart_stops(
    finished, call, machine, url, manifest, monkeypatch
):
    write_manifest(finished, manifest(status="running", host="elsewhere", winner=None))
    with mirrored(finished, "s1", print), liveness.heartbeat(run_folder(finished, "s1")):
        pass
    state = lambda: json.loads(call("list", "--json", "--results", url)[1])[0]["state"]  # noqa: E731
    with mirrored(finished, "s1", print) as uploads:
        (run_folder(finished, "s1") / liveness.FILE).touch()
        uploads.work.send(whole=True)
        machine("b")
        assert state() == "running"
        monkeypatch.setattr(liveness, "SILENT_SECONDS", -1)
        assert state() == "silent"


def test_a_source_of_the_store_serves_by_name(call, machine, url):
    results = machine("a")
    folder = model_folder(results, "mine")
    folder.mkdir(parents=True)
    about = {
        "config": TrainConfig().to_dict(), "classes": ["a"], "mean": [0.5], "std": [0.5],
        "image_size": 8, "val_accuracy": 0.5,
    }  # fmt: skip
    (folder / "model.json").write_text(json.dumps(about))
    (folder / "weights.safetensors").write_bytes(b"weights")
    send_folder(results, folder)
    there = machine("b")
    code, out, _ = call("sources", "--results", url)
    assert code == 0
    assert "mine" in out
    assert not (model_folder(there, "mine") / "weights.safetensors").exists(), "only described"
    source = find_source("mine", there)
    assert source == str((model_folder(there, "mine") / "weights.safetensors").resolve())
    assert (model_folder(there, "mine") / "weights.safetensors").read_bytes() == b"weights"
    assert fetch_models(there) == {"models/mine/model.json", "models/mine/weights.safetensors"}


def test_a_store_that_does_not_answer_is_one_line(refused, machine, remote, url, monkeypatch):
    machine("a")

    def away(*arguments, **named):
        raise OSError("no route to host")

    for name in ("files", "folders"):
        monkeypatch.setattr(remote, name, away)
    for command in (["list"], ["show", "s1"], ["delete", "s1"], ["sources"]):
        line = refused(*command, "--results", url)
        assert f"--results {url} cannot be read (no route to host)" in " ".join(line.split())
