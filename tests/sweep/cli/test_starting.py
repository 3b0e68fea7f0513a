"""What `resume` and `retry` start before they have loaded what goes on with a sweep."""

import json
import os
import signal
from types import SimpleNamespace

import pytest

from sweep.cli import starting as module
from sweep.cli.starting import start_for, start_for_sweep
from sweep.journal.journal import FILE
from sweep.results.manifest import run_folder, write_manifest

BEGIN = {
    "kind": "begin", "time": 1.0, "version": 1, "sweep": "s1", "space": "ablation",
    "of_source": False, "kept_as": None, "settled": {"scheduler": "none"}, "replaced": {},
    "made_of": {"setting": {}},
}  # fmt: skip


@pytest.fixture
def started(tmp_path, manifest, monkeypatch):
    """started(status, …) → (options, packages) of what is started for a sweep of that status."""

    def of(status, changed=None, more=False, begin=BEGIN, **options):
        folder = run_folder(tmp_path, "s1")
        folder.mkdir(parents=True, exist_ok=True)
        made = manifest(status=status, host="elsewhere", machine="another")
        write_manifest(tmp_path, made)
        entry = {**begin, "folder": str(tmp_path), "options": {"space": "ablation", **options}}
        rest = "no entry" if status == "interrupted" else ""
        (folder / FILE).write_text(json.dumps(entry) + "\n" + rest)
        found.clear()
        start_for_sweep(tmp_path, "s1", changed or {}, SimpleNamespace(), more=more)
        return found

    found = []
    keep = lambda options, packages, alone: found.append((options, packages))  # noqa: E731
    monkeypatch.setattr(module, "start_early", keep)
    return of


def test_what_a_sweep_that_has_ended_will_need_is_started(started, tmp_path):
    for status in ("interrupted", "timed_out", "failed"):
        ((options, packages),) = started(status, cpus=2)
        assert (options.cpus, options.results, packages) == (2, tmp_path, [])
    (tmp_path / "mine.py").write_text("import timm")
    ((options, packages),) = started("interrupted", {"cpus": 1}, imports=["mine.py"], cpus=2)
    assert (options.cpus, packages) == (1, ["timm"])  # its paths lead from where it began


def test_nothing_is_started_for_a_sweep_that_may_run_or_has_nothing_left(started):
    assert not started("running")
    assert not started("finished")
    assert started("finished", more=True)


def test_nothing_is_started_where_going_on_will_be_refused(started, tmp_path):
    assert not started("interrupted", cpus="two")
    assert not started("interrupted", begin={**BEGIN, "version": 2})
    assert not started("interrupted", begin={"kind": "begin"})
    assert not started("interrupted", begin={"kind": "start", "time": 1.0, "number": 0})
    (run_folder(tmp_path, "s1") / FILE).unlink()
    start_for_sweep(tmp_path, "s1", {}, SimpleNamespace(), more=True)
    start_for_sweep(tmp_path, "none", {}, SimpleNamespace(), more=True)


def test_a_status_is_started_again_as_a_whole(options, monkeypatch):
    """A signal in the middle of it would leave what its end takes apart half made."""
    done = []

    def start():
        os.kill(os.getpid(), signal.SIGINT)
        done.append("started")

    status = SimpleNamespace(stop=lambda: done.append("stopped"), start=start)

    def start_early(options, packages, alone):
        with alone():
            done.append("alone")

    monkeypatch.setattr(module, "start_early", start_early)
    with pytest.raises(KeyboardInterrupt):
        start_for(options(), status)
    assert done == ["stopped", "alone", "started"]
