"""What stays of a sweep that breaks off, before its first trial and after it."""

import contextlib
from io import StringIO
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.console import Console

from sweep.driver import one_sweep, runner
from sweep.driver.run_plan import new_manifest, run_plan
from sweep.driver.taken_up import STUDY, Past, unchanged_until
from sweep.journal.journal import Journal
from sweep.plan.make_plan import make_plan
from sweep.results import liveness
from sweep.results.catalog import list_sweeps
from sweep.results.manifest import read_manifest, write_manifest
from sweep.results.tables import read_table, write_rows
from tl_core.errors import BadInput


@pytest.fixture
def sweep(options, tmp_path, monkeypatch, request):
    """sweep(run_on_ray) → a sweep whose trials are what that function does with it."""
    monkeypatch.setattr(one_sweep, "ray_cluster", lambda **how: contextlib.nullcontext())

    def make(run_on_ray, past=None):
        plan = make_plan(options(space="ablation", dataset="digits", cpus=1, gpus=0))
        monkeypatch.setattr(
            one_sweep.OneSweep, "run_on_ray", lambda run, engine, joined: run_on_ray(run)
        )
        (tmp_path / "runs" / "s1").mkdir(parents=True, exist_ok=True)
        manifest = new_manifest(plan, "s1")
        journal = Journal(tmp_path / "journal.jsonl")
        request.addfinalizer(journal.close)
        console = Console(file=StringIO())
        return one_sweep.OneSweep(plan, [], manifest, tmp_path, console, journal, past)

    return make


def test_a_refusal_before_the_first_trial_leaves_nothing_behind(sweep, tmp_path):
    def refuse(run):
        write_rows(tmp_path, "trials", "s1", [])
        raise BadInput("threads=9: there are 2 CPUs")

    with pytest.raises(BadInput, match="threads=9"):
        sweep(refuse).run()
    assert not (tmp_path / "runs" / "s1").exists()
    assert not (tmp_path / "trials" / "sweep=s1").exists()


@pytest.mark.parametrize("kind", [BadInput, KeyboardInterrupt, SystemExit, OSError, RuntimeError])
def test_where_going_on_ends_before_its_trials_all_of_the_sweep_stays(
    sweep, tmp_path, trial_row, kind
):
    """A refusal, Ctrl-C while the journal is replayed, a Ray that does not start."""

    def refuse(run):
        run.take_count(99)
        (run.folder / STUDY).unlink()
        raise kind("resume: trial 3 was proposed otherwise")

    write_rows(tmp_path, "trials", "s1", [trial_row(0, 0.5)])
    run = sweep(refuse, Past(new_manifest(sweep(None).plan, "s1"), []))
    (run.folder / STUDY).write_text("told")
    run.manifest.status, planned = "finished", run.manifest.trials_planned
    write_manifest(tmp_path, run.manifest)
    with pytest.raises(kind, match="trial 3"), unchanged_until(run.folder, lambda: run.began):
        run.run()
    assert len(read_table(tmp_path, "trials", "s1")) == 1
    kept = read_manifest(tmp_path, "s1")
    assert (kept.status, kept.trials_planned) == ("finished", planned)
    assert (run.folder / STUDY).read_text() == "told"
    assert not (tmp_path / "journal.jsonl").read_text()


def test_a_study_that_was_not_there_is_gone_after_a_refusal(tmp_path):
    def refuse():
        (tmp_path / STUDY).write_text("told")
        raise BadInput("resume: trial 3 was proposed otherwise")

    with pytest.raises(BadInput), unchanged_until(tmp_path, lambda: False):
        refuse()
    assert not (tmp_path / STUDY).exists()


def test_what_went_on_is_not_put_back(tmp_path):
    def end():
        (tmp_path / STUDY).write_text("told more")
        raise SystemExit

    (tmp_path / STUDY).write_text("told")
    with pytest.raises(SystemExit), unchanged_until(tmp_path, lambda: True):
        end()
    assert (tmp_path / STUDY).read_text() == "told more"


@pytest.mark.parametrize("kind", [BadInput, ValueError, OSError])
def test_after_the_first_trial_everything_stays(sweep, tmp_path, trial_row, kind):
    def trial_and_error(run):
        run.began = True
        write_rows(tmp_path, "trials", "s1", [trial_row(0, 0.5)])
        raise kind("the weights are gone")

    result = sweep(trial_and_error).run()
    assert (tmp_path / "runs" / "s1" / "sweep.json").is_file()
    assert len(read_table(tmp_path, "trials", "s1")) == len(result.trials) == 1
    assert (result.manifest.status, result.exit_code) == ("failed", 1)
    assert result.manifest.ended_at is not None
    assert result.manifest.errors == [
        f"Error while running the sweep: {kind.__name__}: the weights are gone"
    ]


def test_an_interrupt_is_no_error(sweep):
    def interrupt(run):
        raise KeyboardInterrupt

    result = sweep(interrupt).run()
    assert (result.manifest.status, result.exit_code) == ("interrupted", 130)


def test_an_interrupt_after_all_was_done_leaves_a_finished_sweep(sweep, tmp_path):
    """As Ctrl-C does while Ray ends."""

    def finish(run):
        run.began = run.whole = True
        run.manifest.status = "finished"
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sweep(finish).run()
    assert read_manifest(tmp_path, "s1").status == "finished"


def test_an_error_of_ours_before_the_first_trial_is_raised_and_kept(sweep, tmp_path):
    def fail(run):
        raise RuntimeError("Ray did not start")

    run = sweep(fail)
    with pytest.raises(RuntimeError, match="Ray did not start"):
        run.run()
    assert run.manifest.status == "failed"
    assert (tmp_path / "runs" / "s1" / "sweep.json").is_file()


@pytest.fixture
def mine(options, tmp_path, monkeypatch):
    """Options of a small sweep that is called mine, with results in tmp_path."""
    monkeypatch.setattr(runner, "prepare_environment", lambda address: None)
    return options(
        dataset="digits", settings=("width=4",), results=tmp_path, name="mine", cpus=1,
        cache_dir=str(tmp_path / "cache"),
    )  # fmt: skip


def test_the_driver_beats_in_a_folder_that_it_made(tmp_path, monkeypatch, mine, page):
    found = {}

    def run(self):
        found.update(folder=self.folder, beat=liveness.last_beat(self.folder))

    monkeypatch.setattr(one_sweep.OneSweep, "run", run)
    runner.run_sweep(mine, page)
    assert found["folder"] == tmp_path / "runs" / "mine"
    assert liveness.beats(found["beat"])
    assert liveness.last_beat(found["folder"]) is None


def test_a_finished_sweep_stays_so_where_its_plan_is_refused(tmp_path, monkeypatch, mine, page):
    def finish(self):
        self.manifest.status = "finished"
        write_manifest(self.results, self.manifest)

    def refuse(self):
        write_manifest(self.results, self.manifest)
        assert read_manifest(tmp_path, "mine").status == "running"
        raise BadInput("resume: trial 3 was proposed otherwise")

    monkeypatch.setattr(one_sweep.OneSweep, "run", finish)
    runner.run_sweep(mine, page)
    monkeypatch.setattr(one_sweep.OneSweep, "run", refuse)
    past = Past(read_manifest(tmp_path, "mine"), [])
    with pytest.raises(BadInput, match="trial 3"):
        run_plan(make_plan(mine), page, past)
    assert read_manifest(tmp_path, "mine").status == "finished"


def test_a_sweep_that_starts_is_running_from_its_first_moment(tmp_path, monkeypatch, mine, page):
    """What `list` says at the moments when a folder was made and no file written to it."""
    seen = []

    def look():
        if (tmp_path / "runs").is_dir():
            seen.extend(entry.state for entry in list_sweeps(tmp_path))

    def watched(name):
        make = getattr(Path, name)

        def call(path, *args, **named):
            made = make(path, *args, **named)
            look()
            return made

        monkeypatch.setattr(Path, name, call)

    for name in ("mkdir", "touch", "rename", "replace", "write_text"):
        watched(name)
    monkeypatch.setattr(one_sweep.OneSweep, "run", lambda self: look())
    runner.run_sweep(mine, page)
    assert set(seen) == {"running"}


def test_notes_are_shown_as_they_are_and_kept(sweep):
    run = sweep(lambda run: None)
    run.note("The precision of a[b] could not be measured (OSError: [Errno 28] full): fp32.")
    assert "a[b]" in run.console.file.getvalue()
    assert "[Errno 28]" in run.console.file.getvalue()
    assert run.manifest.notes[-1].startswith("The precision of a[b]")


def test_the_number_of_trials_is_corrected_when_the_search_has_decided_it(sweep, tmp_path):
    run = sweep(None)
    run.view = SimpleNamespace(trials=run.plan.trials)
    run.take_count(5)
    seeds = len(run.plan.search.seeds)
    assert run.view.trials == 5 * seeds
    assert read_manifest(tmp_path, "s1").trials_planned == 5 * seeds


def test_while_its_trials_run_a_sweep_is_running(sweep, tmp_path, monkeypatch):
    """Also for `list` and `delete`, which read what is written as the numbers become known."""
    seen = []

    class Trials:
        notes, job, searcher = (), None, SimpleNamespace()

        def __init__(self, plan, job, proposer, ledger, engine, planned, begins, *more):
            self.begins = begins

        def run(self, folder, began):
            for tell, number in ((run.take_count, 5), (self.begins, 7)):
                tell(number)
                written = read_manifest(tmp_path, "s1")
                seen.append((written.state(), written.trials_planned))
            return "finished"

    monkeypatch.setattr("sweep.tuning.all_trials.AllTrials", Trials)
    run = sweep(None)
    view = SimpleNamespace(begin_confirmation=lambda trials: None)
    run.run_trials(run.all_trials(None, None, None, SimpleNamespace(config_id=str), view))
    seeds = len(run.plan.search.seeds)
    assert seen == [("running", 5 * seeds), ("running", 7)]
    assert run.manifest.status == "finished"


def test_trials_that_raise_leave_a_failed_sweep(sweep, monkeypatch):
    class Trials:
        def __init__(self, *about):
            pass

        def run(self, folder, began):
            raise RuntimeError("Tune is gone")

    monkeypatch.setattr("sweep.tuning.all_trials.AllTrials", Trials)
    run = sweep(None)
    with pytest.raises(RuntimeError, match="Tune is gone"):
        run.run_trials(run.all_trials(None, None, None, SimpleNamespace(config_id=str), None))
    assert run.manifest.status == "failed"


@pytest.fixture
def damaged(sweep, tmp_path, monkeypatch):
    """A sweep that is resumed with a damaged file of rows, and all_trials() of it."""

    class Trials:
        def __init__(self, *about):
            pass

        def go_on_after(self, past):
            pass

    monkeypatch.setattr("sweep.tuning.all_trials.AllTrials", Trials)
    run = sweep(None, Past(new_manifest(sweep(None).plan, "s1"), []))
    write_rows(tmp_path, "trials", "s1", [])
    (tmp_path / "trials" / "sweep=s1" / "part-00000.parquet").write_bytes(b"")
    ledger = SimpleNamespace(files=SimpleNamespace(remove_unfinished=lambda folder: None))
    identifier = SimpleNamespace(config_id=str)
    return run, lambda: run.all_trials(None, ledger, None, identifier, None)


def test_a_damaged_file_of_rows_is_noted_before_trials_begin(damaged, tmp_path):
    run, all_trials = damaged
    all_trials()
    aside = "runs/s1/damaged/trials-part-00000.parquet"
    assert (tmp_path / aside).exists()
    assert [aside in line for line in run.manifest.notes] == [True]
    assert not run.began


def test_a_damaged_file_that_cannot_be_moved_is_a_refusal(damaged, tmp_path):
    run, all_trials = damaged
    (run.folder / "damaged").write_text("in the way")
    with pytest.raises(BadInput, match="nor moved"):
        all_trials()
    assert (tmp_path / "trials" / "sweep=s1" / "part-00000.parquet").exists()
    assert not run.began
