"""A sweep whose `sweep.json` is lost is resumed by its journal, unless its driver lives.

And a journal whose first line was edited ends `resume` in one line.
"""

import copy
import json
import os
import time
from io import StringIO

import pytest
from rich.console import Console

from sweep.driver import resuming
from sweep.driver.resuming import resume_sweep, taken
from sweep.driver.run_plan import beginning, new_manifest
from sweep.driver.study import sweeps_of
from sweep.journal.entries import FIELDS
from sweep.journal.journal import FILE, Journal
from sweep.options.sweep_options import SweepOptions
from sweep.plan.make_plan import make_plan
from sweep.results.catalog import list_sweeps
from sweep.results.folders import run_folder
from sweep.results.manifest import read_manifest, write_manifest
from tl_core.errors import BadInput


class Planned(Exception):
    """`resume` has come to the plan that it would run."""


@pytest.fixture
def plan(tmp_path, write_file, tiny_confirmed):
    options = SweepOptions(space=write_file(tiny_confirmed), results=tmp_path, seed=1)
    ((own, space),) = sweeps_of(options)
    return make_plan(own, space)


@pytest.fixture
def begun(tmp_path, plan):
    """begun(*(kind, fields)) → the folder of a sweep without description, with a journal."""

    def make(*entries):
        folder = run_folder(tmp_path, "s1")
        folder.mkdir(parents=True, exist_ok=True)
        journal = Journal(folder / FILE)
        journal.add("begin", **beginning(plan, "s1"))
        for kind, fields in entries:
            journal.add(kind, **fields)
        journal.close()
        return folder

    return make


@pytest.fixture
def resume(tmp_path, monkeypatch):
    """resume(**how) → the past of the sweep that would go on, and what was printed."""
    ran = []

    def keep(plan, console, past):
        ran.append(past)
        raise Planned

    def go_on(**how):
        said = StringIO()
        with pytest.raises(Planned):
            resume_sweep(tmp_path, "s1", Console(file=said, width=200), **how)
        return ran[-1], said.getvalue()

    monkeypatch.setattr(resuming, "run_plan", keep)
    return go_on


CLOSED = ("close", {"status": "finished"})


@pytest.mark.parametrize("text", [None, "", '{"name": "s1", "spa', "[]"])
def test_a_lost_description_is_made_anew(begun, resume, plan, text):
    folder = begun()
    if text is not None:
        (folder / "sweep.json").write_text(text)
    past, said = resume()
    made, now = past.manifest, new_manifest(plan, "s1")
    assert said.splitlines()[0] == "s1: its sweep.json is lost, and made anew from the journal."
    for name in ("space", "command", "search", "scheduler", "seeds", "trials_planned", "fields",
                 "base"):  # fmt: skip
        assert getattr(made, name) == getattr(now, name)
    assert made.status == "interrupted"
    assert made.started_at < now.started_at


def test_a_sweep_with_its_description_keeps_it(begun, resume, tmp_path, plan):
    begun()
    about = new_manifest(plan, "s1")
    about.question, about.status = "Mine?", "interrupted"
    write_manifest(tmp_path, about)
    past, said = resume()
    assert past.manifest.question == "Mine?"
    assert "anew" not in said


def test_a_finished_sweep_is_judged_again_since_its_winner_is_lost(begun, resume):
    begun(CLOSED)
    past, _ = resume()
    assert (past.manifest.status, past.manifest.winner) == ("finished", None)


def test_a_finished_sweep_without_description_tries_more(begun, resume):
    begun(CLOSED)
    past, _ = resume(more_trials=2)
    assert [one["options"] for one in past.new] == [{"trials": 5}]


def test_failed_trials_run_again_without_a_description(begun, resume):
    begun(CLOSED)
    assert resume(again=True)[0].manifest.name == "s1"


def test_without_a_description_a_recent_heartbeat_keeps_others_away(begun, resume, tmp_path):
    alive = begun() / "alive"
    alive.touch()
    with pytest.raises(BadInput, match=r"s1 is running, .*not known.*wait that long"):
        resume_sweep(tmp_path, "s1", Console(file=StringIO()), force=True)
    os.utime(alive, (time.time() - 600,) * 2)
    assert resume()[0].manifest.name == "s1"


def test_what_is_shown_names_resume_before_delete(begun, tmp_path):
    folder = begun()
    for text in (None, ""):
        if text is not None:
            (folder / "sweep.json").write_text(text)
        with pytest.raises(BadInput, match=r"`resume s1` makes it anew.*`delete s1`") as caught:
            read_manifest(tmp_path, "s1")
        assert "\n" not in str(caught.value)
        (listed,) = list_sweeps(tmp_path)
        assert listed.problems[0] == str(caught.value)


def test_what_no_journal_tells_is_only_deleted(begun, tmp_path):
    (begun() / FILE).unlink()
    with (
        pytest.raises(BadInput, match=r"sweep.json is missing; `delete s1`"),
        taken(tmp_path, "s1"),
    ):
        pass


def test_a_description_that_may_not_be_read_is_not_replaced(begun, tmp_path):
    os.mkfifo(begun() / "sweep.json")
    with pytest.raises(BadInput, match="it is a pipe"), taken(tmp_path, "s1"):
        pass


OPTIONS = [f"options.{name}" for name in ("seed", "epochs", "set", "confirm", "name", "cpus")]
EDITED = [*FIELDS["begin"], *OPTIONS, "settled.results", "settled.unknown", "replaced.lr",
          "replaced.unknown", "made_of.field"]  # fmt: skip


@pytest.mark.parametrize("field", EDITED)
@pytest.mark.parametrize("value", ["x", "gone"])
def test_a_first_line_that_was_edited_ends_in_one_line(
    begun, tmp_path, plan, monkeypatch, field, value
):
    file = begun(CLOSED) / FILE
    first, last = map(json.loads, file.read_text().splitlines())
    edited = copy.deepcopy(first)
    outer, _, name = field.rpartition(".")
    inside = edited[outer] if outer else edited
    if value == "gone":
        inside.pop(name, None)
    else:
        inside[name] = value
    file.write_text(f"{json.dumps(edited)}\n{json.dumps(last)}\n")

    def stop(*arguments):
        raise Planned

    monkeypatch.setattr(resuming, "run_plan", stop)
    with pytest.raises((BadInput, Planned)) as caught:
        resume_sweep(tmp_path, "s1", Console(file=StringIO()), more_trials=1, again=True)
    assert "\n" not in str(caught.value)


def test_a_misplaced_line_ends_resume_with_its_number(begun, tmp_path):
    begun(("end", {"number": 0, "error": None}))
    with pytest.raises(BadInput, match=rf"{FILE}, line 2: `end` of trial 0, .* not proposed"):
        resume_sweep(tmp_path, "s1", Console(file=StringIO()))


def test_an_empty_journal_says_so(begun, tmp_path):
    (begun() / FILE).write_text("")
    with pytest.raises(BadInput, match="does not say how it began"):
        resume_sweep(tmp_path, "s1", Console(file=StringIO()))
