"""What a sweep may be called, and which of two drivers gets a name."""

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

import pytest

from sweep.plan import names
from sweep.plan.names import claim_name, sweep_name
from sweep.results.manifest import run_folder
from sweep.results.tables import write_rows
from tl_core.errors import BadInput

NOW = datetime(2026, 1, 2, 3, 4, 5)
STEM = "ablation-20260102-030405"


class Clock(datetime):
    @classmethod
    def now(cls, tz=None):
        return NOW


@pytest.fixture
def claim(manifest):
    """claim(plan) → the name that a driver gets for it."""
    return lambda made: (
        claim_name(made, made.options.results, lambda name: manifest(name=name)).name
    )


@pytest.mark.parametrize("table", ["trials", "epochs", "predictions"])
def test_rows_that_are_left_take_a_name(plan, table):
    made = plan(name="mine")
    write_rows(made.options.results, table, "mine", [])
    assert not run_folder(made.options.results, "mine").with_name("other").exists()
    (run_folder(made.options.results, "mine")).rmdir()
    with pytest.raises(BadInput, match=r"--name mine: a sweep of this name.*`delete mine` first"):
        sweep_name(made, NOW)


def test_rows_that_are_left_take_a_made_up_name(plan):
    made = plan()
    write_rows(made.options.results, "trials", STEM, [])
    run_folder(made.options.results, STEM).rmdir()
    assert sweep_name(made, NOW) == f"{STEM}-2"


@pytest.mark.parametrize(
    ("there", "asked"), [("Mine", "mine"), ("mine", "MINE"), ("caf\u00e9", "cafe\u0301")]
)
def test_names_that_some_disks_do_not_tell_apart(plan, there, asked):
    made = plan(name=asked)
    run_folder(made.options.results, there).mkdir(parents=True)
    with pytest.raises(BadInput, match=f"`delete {there}` first" if asked.isascii() else "--name"):
        sweep_name(made, NOW)


def test_a_name_that_no_disk_takes(plan):
    with pytest.raises(BadInput, match="at most 200 bytes"):
        sweep_name(plan(name="a" * 201), NOW)
    assert sweep_name(plan(name="a" * 200), NOW)


def test_one_of_several_drivers_gets_a_name_and_the_others_a_line(plan, claim, monkeypatch):
    made = plan(name="mine")
    monkeypatch.setattr(names, "sweep_name", lambda plan, now: "mine")  # all looked before

    def claim_it(_):
        try:
            return claim(made)
        except BadInput as error:
            return str(error)

    with ThreadPoolExecutor(4) as drivers:
        got = sorted(drivers.map(claim_it, range(4)), key=len)
    assert got[0] == "mine"
    assert all(line.startswith("--name mine: a sweep of this name is in") for line in got[1:])
    assert len(got) == 4


def test_several_drivers_get_names_of_their_own_where_these_are_made_up(plan, claim, monkeypatch):
    monkeypatch.setattr(names, "datetime", Clock)
    made = plan()
    with ThreadPoolExecutor(4) as drivers:
        got = set(drivers.map(lambda _: claim(made), range(4)))
    assert got == {STEM, f"{STEM}-2", f"{STEM}-3", f"{STEM}-4"}
    assert all(run_folder(made.options.results, name).is_dir() for name in got)


def test_sweeps_are_named_by_space_and_time(plan):
    made = plan()
    runs = made.options.results / "runs"
    given = []
    for _ in range(3):
        given.append(sweep_name(made, NOW))
        (runs / given[-1]).mkdir(parents=True)
    assert given == [STEM, f"{STEM}-2", f"{STEM}-3"]


@pytest.mark.parametrize("name", ["1st", "a b", "a/b", "", "a.b", "-a", "a\n", "_a"])
def test_a_bad_name_is_refused(plan, name):
    with pytest.raises(BadInput, match="a letter, then letters"):
        sweep_name(plan(name=name), NOW)


def test_a_taken_name_is_refused(plan):
    made = plan(name="my-Sweep_2")
    assert sweep_name(made, NOW) == "my-Sweep_2"
    (made.options.results / "runs" / "my-Sweep_2").mkdir(parents=True)
    with pytest.raises(BadInput, match=r"my-Sweep_2.*delete my-Sweep_2"):
        sweep_name(made, NOW)


@pytest.mark.parametrize("name", ["list", "settings", "ablation"])
def test_command_names_are_reserved(plan, name):
    with pytest.raises(BadInput, match=f"--name {name}: this is the name of a command"):
        sweep_name(plan(name=name), NOW)
