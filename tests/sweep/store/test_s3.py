"""An S3 server on this machine: a whole sweep, and one whose driver is killed."""

import json
import urllib.request

import pandas as pd
import pytest

from sweep import resume, run
from sweep.cli.main import main
from sweep.report.summary import load_result
from sweep.results.folders import run_folder
from sweep.results.stored import claim_in_store, fetch_to_resume, mirrored
from sweep.store.location import url_within
from sweep.store.remote import open_store
from tl_core.errors import BadInput

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("ray_of_one_cpu")]
SMALL = {"width": 4, "batch_size": 128, "precision": "fp32", "eval_precision": "fp32"}
KEYS = {
    "AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret",
    "AWS_EC2_METADATA_DISABLED": "true",
}  # fmt: skip


@pytest.fixture(scope="module")
def server():
    """The address of a server with the bucket `sweeps`."""
    moto = pytest.importorskip("moto.server")
    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    bucket = urllib.request.Request(f"http://{host}:{port}/sweeps", method="PUT")
    urllib.request.urlopen(bucket).close()
    yield f"{host}:{port}"
    server.stop()


@pytest.fixture
def url(server, monkeypatch):
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    return f"s3://sweeps/ours?endpoint_override={server}&scheme=http&region=us-east-1"


def test_a_sweep_lies_in_the_bucket_as_in_a_folder_and_goes_on_elsewhere(url, machine, capsys):
    results = machine("a")
    result = run(
        "ablation", dataset="digits", epochs=1, seeds=1, set=SMALL,
        trials=2, search="random", confirm="0", cpus=1, name="far", results=url, quiet=True,
    )  # fmt: skip
    assert (result.exit_code, result.manifest.errors) == (0, [])
    keys = set(open_store(url).files())
    assert "runs/far/winner.safetensors" in keys
    assert not [k for k in keys if "/engine/" in k or "/checkpoints/" in k or k.endswith("alive")]
    rows = pd.read_parquet(url_within(results / "trials"), filters=[("sweep", "==", "far")])
    assert sorted(rows["trial_id"]) == sorted(result.trials["trial_id"])
    there = machine("b")
    with pytest.raises(SystemExit):
        main(["list", "--json", "--results", url])
    (entry,) = json.loads(capsys.readouterr().out)
    assert (entry["name"], entry["state"], entry["trials"]) == ("far", "finished", 2)
    again = load_result(url, "far")
    pd.testing.assert_frame_equal(again.trials, result.trials)
    assert again.folder == there
    with pytest.raises(BadInput, match="--name far: a sweep of this name is in s3://sweeps/ours"):
        run("ablation", dataset="digits", name="far", results=url, quiet=True)
    more = resume("far", results=url, more_trials=1, cpus=1, quiet=True)
    assert (more.exit_code, more.folder, len(more.trials)) == (0, there, 3)
    machine("a")
    pd.testing.assert_frame_equal(load_result(url, "far").trials, more.trials)


def test_what_a_killed_driver_uploaded_is_whole_elsewhere(url, machine):
    results = machine("a")
    assert claim_in_store(results, "cut")
    folder = run_folder(results, "cut")
    folder.mkdir(parents=True)
    (folder / "sweep.json").write_text("{}")
    journal = folder / "journal.jsonl"
    with mirrored(results, "cut", print) as uploads:
        uploads.work.send(whole=False)
        for number in range(3):
            with journal.open("a") as file:
                file.write(f'"b": {number}}}\n' * (number > 0) + f'{{"a": {number}, ')
            uploads.work.send(whole=False)
        uploads.lost = True  # ends without its last upload
    pieces = [name for name in open_store(url).files() if "/cut/journal/" in name]
    assert pieces == [f"runs/cut/journal/00000{n}.jsonl" for n in (1, 2)]
    there = machine("b")
    fetch_to_resume(there, "cut")
    lines = (run_folder(there, "cut") / "journal.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == [{"a": 0, "b": 1}, {"a": 1, "b": 2}]


def test_a_bucket_that_is_not_there_is_one_line(url):
    with pytest.raises(BadInput, match=r"cannot be (read|written) .*bucket.*; check the address"):
        run("ablation", dataset="digits", results=url.replace("sweeps", "other"), quiet=True)
