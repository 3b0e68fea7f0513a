"""What goes to a store in which order, and what a reader finds whenever the driver is killed."""

import itertools
import json
import os

import pytest

from sweep.journal import journal
from sweep.results.folders import run_folder, table_folder
from sweep.results.stored import fetch_names, fetch_sweep, fetch_to_resume
from sweep.results.written import set_aside
from sweep.store import segments
from sweep.store.uploader import TakenOver, Uploader


class Killed(BaseException):
    """The driver's process ends here."""


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".1-{path.name}")
    partial.write_text(text)
    partial.rename(path)


class Driver:
    """Writes a sweep as a driver does: each event to the journal, then rows, at last the end."""

    def __init__(self, results):
        self.results, self.run = results, run_folder(results, "s1")
        self.events = 0
        self.describe("running")

    def describe(self, status):
        write(self.run / "sweep.json", json.dumps({"status": status, "rows": self.events}))

    def go_on(self):
        """One more trial; the last line of the journal is not whole."""
        self.events += 1
        with (self.run / "journal.jsonl").open("a") as events:
            events.write(f'{self.events - 1}"}}\n' * (self.events > 1) + '{"trial": "')
        write(table_folder(self.results, "trials", "s1") / f"part-{self.events}.parquet", "row")
        write(self.run / "states" / f"{self.events}.pt", "state")
        (self.run / "states" / f"{self.events - 1}.pt").unlink(missing_ok=True)
        self.describe("running")

    def end(self):
        with (self.run / "journal.jsonl").open("a") as events:
            events.write(f'{self.events}"}}\n')
        (self.run / "states" / f"{self.events}.pt").unlink()
        write(self.run / "winner.safetensors", "weights")
        self.describe("finished")


def content(folder, *but):
    files = (path for path in folder.rglob("*") if path.is_file() and ".store" not in path.parts)
    return {
        str(p.relative_to(folder)): p.read_bytes()
        for p in files
        if not p.name.startswith((".", "_")) and p.name not in but
    }


def test_a_sweep_is_the_same_elsewhere(begun, machine):
    results = machine("a")
    work = begun(results)
    driver = Driver(results)
    for _ in range(3):
        driver.go_on()
        work.send(whole=False)
    for aside in ("engine/x", "_draft", ".hidden/x", "pictures/.1-x.png"):
        write(driver.run / aside, "no other machine's")
    write(driver.run / "pictures" / "curves.png", "picture")
    driver.end()
    work.send(whole=True)
    there = machine("b")
    fetch_to_resume(there, "s1")
    assert content(there) == content(results, "x", "_draft")
    assert "runs/s1/journal.jsonl" in content(there)
    assert "runs/s1/states/2.pt" not in content(there)


def whole_lines(journal):
    return journal.read_text().splitlines() if journal.exists() else []


def killed_at(moment, driver, work, remote, monkeypatch):
    """Run a sweep to its end, but kill its driver at an operation on the store; whether it was."""
    operations = itertools.count()

    def counted(operation):
        def call(*arguments):
            if next(operations) == moment:
                raise Killed
            return operation(*arguments)

        return call

    with monkeypatch.context() as patch:
        for name in ("put", "remove"):
            patch.setattr(remote, name, counted(getattr(remote, name)))
        try:
            for _ in range(2):
                driver.go_on()
                work.send(whole=False)
            driver.end()
            work.send(whole=True)
        except Killed:
            return True
    return False


def test_whenever_a_driver_is_killed_what_is_in_the_store_fits_together(
    begun, machine, remote, monkeypatch
):
    for moment in itertools.count():
        remote.remove_folder("runs")
        remote.remove_folder("trials")
        results = machine(f"a{moment}")
        work = begun(results)
        driver = Driver(results)
        killed = killed_at(moment, driver, work, remote, monkeypatch)
        there = machine(f"b{moment}")
        fetch_to_resume(there, "s1")
        rows = len(list(table_folder(there, "trials", "s1").glob("*.parquet")))
        lines = whole_lines(run_folder(there, "s1") / "journal.jsonl")
        assert [json.loads(line) for line in lines] == [
            {"trial": str(n + 1)} for n in range(len(lines))
        ]
        assert rows <= len(lines) + 1, "a row whose event is neither whole nor the last"
        manifest = run_folder(there, "s1") / "sweep.json"
        if manifest.exists():
            said = json.loads(manifest.read_text())
            assert said["rows"] <= rows
            weights = run_folder(there, "s1") / "winner.safetensors"
            assert said["status"] == "running" or weights.exists()
        if not killed:
            assert said == {"status": "finished", "rows": 2}
            return


def test_the_description_says_no_more_than_is_there(begun, machine, remote, monkeypatch):
    results = machine("a")
    work, driver = begun(results), Driver(results)
    driver.go_on()
    put, ended = remote.put, []

    def end_meanwhile(name, *arguments):
        if not ended and name.endswith(".parquet"):
            ended.append(driver.go_on())
            driver.end()
        return put(name, *arguments)

    monkeypatch.setattr(remote, "put", end_meanwhile)
    work.send(whole=False)
    assert json.loads(remote.read("runs/s1/sweep.json")) == {"status": "running", "rows": 1}
    work.send(whole=True)
    assert json.loads(remote.read("runs/s1/sweep.json")) == {"status": "finished", "rows": 2}
    assert len(remote.files("trials/sweep=s1")) == 2


def test_only_what_changed_goes_up_again(begun, machine, remote, monkeypatch):
    results = machine("a")
    work, driver = begun(results), Driver(results)
    driver.go_on()
    write(driver.run / "ray.log", "a line")
    work.send(whole=True)
    put, names = remote.put, []
    monkeypatch.setattr(remote, "put", lambda name, *a: (names.append(name), put(name, *a))[1])
    again = Uploader(results, work.part, remote, work.writer)  # another process of this machine
    for uploader in (work, again):
        uploader.send(whole=True)
        assert names == []
    with (driver.run / "ray.log").open("a") as log:
        log.write("another")
    work.send(whole=True)
    assert names == ["runs/s1/ray.log"]
    work.due["runs/s1/ray.log"] = float("inf")  # it takes long
    with (driver.run / "ray.log").open("a") as log:
        log.write("a third")
    work.send(whole=False)
    assert names == ["runs/s1/ray.log"]
    work.send(whole=True)
    assert remote.read("runs/s1/ray.log") == b"a lineanothera third"


def test_rows_that_are_set_aside_are_no_rows_in_the_store_either(begun, machine):
    results = machine("a")
    work = begun(results)
    driver = Driver(results)
    for _ in range(2):
        driver.go_on()
    work.send(whole=False)
    folder = table_folder(results, "trials", "s1")
    set_aside(results, "s1", {folder / "part-1.parquet": "torn"}, lambda line: None)
    work.send(whole=False)
    there = machine("b")
    fetch_to_resume(there, "s1")
    rows = [path.name for path in table_folder(there, "trials", "s1").iterdir()]
    assert rows == ["part-2.parquet"]
    assert (run_folder(there, "s1") / "damaged" / "trials-part-1.parquet").read_text() == "row"


def test_a_file_that_cannot_be_put_holds_up_no_other(begun, machine, remote, monkeypatch):
    results = machine("a")
    work, driver = begun(results), Driver(results)
    driver.go_on()
    put = remote.put

    def refuse(name, *arguments):
        if name.endswith("part-1.parquet"):
            raise OSError("denied")
        return put(name, *arguments)

    monkeypatch.setattr(remote, "put", refuse)
    driver.go_on()
    with pytest.raises(OSError, match="denied"):
        work.send(whole=True)
    assert set(remote.files("trials")) == {"trials/sweep=s1/part-2.parquet"}
    assert remote.find("runs/s1/sweep.json") is None, "it would promise the missing rows"
    monkeypatch.setattr(remote, "put", put)
    work.send(whole=True)
    assert len(remote.files("trials")) == 2


def test_the_journal_is_the_one_that_a_driver_writes():
    assert segments.FILE == journal.FILE


def test_a_journal_that_was_begun_anew_replaces_the_pieces(begun, machine, remote):
    results = machine("a")
    work, driver = begun(results), Driver(results)
    file_of_it = driver.run / "journal.jsonl"
    for text in ("one\n", "two\nthr"):
        with file_of_it.open("a") as file:
            file.write(text)
        work.send(whole=False)
    assert [remote.read(n) for n in sorted(remote.files("runs/s1/journal"))] == [
        b"one\n",
        b"two\n",
    ]
    file_of_it.write_text("new\n")
    work.send(whole=False)
    assert [remote.read(n) for n in remote.files("runs/s1/journal")] == [b"new\n"]


def test_a_driver_whose_sweep_was_taken_over_writes_nothing_more(begun, machine, remote):
    results = machine("a")
    work, driver = begun(results), Driver(results)
    driver.go_on()
    work.send(whole=False)
    fetch_to_resume(machine("b"), "s1")
    driver.go_on()
    before = remote.files()
    with pytest.raises(TakenOver):
        work.send(whole=True)
    assert remote.files() == before


def test_what_a_killed_driver_left_is_uploaded_by_the_next_command(begun, machine, remote):
    results = machine("a")
    work, driver = begun(results), Driver(results)
    driver.go_on()
    work.send(whole=False)
    driver.go_on()  # and killed
    fetch_names(results)
    fetch_sweep(results, "s1")
    assert len(remote.files("trials")) == 2
    there = machine("b")
    fetch_sweep(there, "s1")
    assert len(list(table_folder(there, "trials", "s1").iterdir())) == 2


def test_a_sweep_that_went_on_elsewhere_replaces_what_was_left_here(begun, machine, remote):
    here = machine("a")
    work, driver = begun(here), Driver(here)
    driver.go_on()
    work.send(whole=False)
    driver.go_on()  # and killed
    there = machine("b")
    fetch_to_resume(there, "s1")
    other = Uploader(there, work.part, remote, work.writer.__class__(there, work.part))
    write(table_folder(there, "trials", "s1") / "part-9.parquet", "its own")
    other.send(whole=True)
    machine("a")
    fetch_to_resume(here, "s1")
    assert content(here) == content(there)


def test_a_sweep_that_runs_here_is_left_alone(begun, machine, remote):
    results = machine("a")
    work, driver = begun(results), Driver(results)
    work.send(whole=False)
    with work.writer.driving():
        driver.go_on()
        before = content(results)
        for fetch in (fetch_sweep, fetch_to_resume):
            fetch(results, "s1")
        assert content(results) == before
    assert remote.files("trials") == {}


def test_times_of_change_survive_a_copy(begun, machine, remote):
    results = machine("a")
    work, driver = begun(results), Driver(results)
    (driver.run / "alive").touch()
    work.send(whole=False)
    there = machine("b")
    fetch_sweep(there, "s1")
    seen = os.stat(run_folder(there, "s1") / "alive").st_mtime
    assert abs(seen - os.stat(driver.run / "alive").st_mtime) < 5
    (driver.run / "alive").unlink()
    work.send(whole=True)
    fetch_sweep(there, "s1")
    assert not (run_folder(there, "s1") / "alive").exists()
