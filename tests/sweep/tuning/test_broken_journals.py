"""A journal with edited, doubled, missing or misplaced lines: one line names the place, or it is
replayed to its end.
"""

import copy
import json
import random

import pytest
from killed_simulation import BEGIN, KilledSweep, KnownWorld, in_one_go

from benchmarks.simulated_sweep import Settings
from sweep.journal.entries import FIELDS
from sweep.journal.journal import FILE, check_order, read_journal
from tl_core.errors import BadInput

WORLD = KnownWorld(2, epochs=3)
SETTINGS = Settings(
    search="random", scheduler="asha", trials=6, seeds=2, confirm=(1, 2), concurrent=2, seed=5
)
ODD = (None, [], {}, "x", -1, 1.5, True, 10**400, [1], float("nan"))


@pytest.fixture(scope="module")
def journal(tmp_path_factory):
    """Entries of a sweep that finished and then ran a trial again."""
    folder = tmp_path_factory.mktemp("sweep") / "whole"
    entries = in_one_go(WORLD, SETTINGS, folder)[1]
    ended = [entry["number"] for entry in entries if entry["kind"] == "end"]
    entries += [
        {"kind": "close", "time": entries[-1]["time"], "status": "finished"},
        {"kind": "again", "time": entries[-1]["time"], "numbers": ended[:1]},
    ]
    KilledSweep(WORLD, SETTINGS, folder, entries).run()
    for entry in entries:
        if entry["kind"] == "session":
            entry["precisions"] = {}
    return [BEGIN, *entries]


@pytest.fixture
def resumed(tmp_path):
    """resumed(lines) → what is refused of a journal of these, None where it is replayed."""

    def resume(lines):
        path = tmp_path / FILE
        path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
        before = path.read_bytes()
        try:
            entries = read_journal(path, mend=True)
            check_order(path, entries)
            KilledSweep(WORLD, SETTINGS, tmp_path, entries[1:], None, random.Random(0))
        except BadInput as error:
            said = str(error)
        else:
            return None
        assert "\n" not in said
        assert path.read_bytes() == before
        return said

    return resume


def place(entries, kind, which=0):
    return [index for index, entry in enumerate(entries) if entry["kind"] == kind][which]


def test_a_journal_that_nobody_touched_is_replayed(resumed, journal):
    assert resumed(journal) is None


@pytest.mark.parametrize("kind", ["begin", "propose", "result", "end", "again"])
def test_a_doubled_line_is_named(resumed, journal, kind):
    at = place(journal, kind)
    said = resumed([*journal[: at + 1], *journal[at:]])
    assert f"{FILE}, line {at + 2}: " in said
    assert said.endswith("Repair or remove the line; nothing is started over.")


@pytest.mark.parametrize("kind", ["begin", "propose", "result"])
def test_where_a_line_is_missing_the_next_of_the_trial_is_named(resumed, journal, kind):
    at = place(journal, kind)
    number = journal[at].get("number")
    left = [*journal[:at], *journal[at + 1 :]]
    following = (i for i in range(at, len(left)) if left[i].get("number") == number)
    line = 1 if number is None else next(following) + 1
    assert f"{FILE}, line {line}: " in resumed(left)


def test_two_lines_in_each_others_place_are_named(resumed, journal):
    at = place(journal, "propose")
    journal = copy.deepcopy(journal)
    journal[at], journal[at + 1] = journal[at + 1], journal[at]
    assert f"{FILE}, line {at + 1}: " in resumed(journal)


@pytest.mark.parametrize("seed", range(150))
def test_no_journal_leads_to_another_error(resumed, journal, seed):
    """Lines are edited, doubled, left out, and put elsewhere at random."""
    rng = random.Random(seed)
    lines = copy.deepcopy(journal)
    for _ in range(rng.choice([1, 1, 2, 5])):
        at, to = rng.randrange(len(lines)), rng.randrange(len(lines))
        change = rng.choice(["edit", "edit", "edit", "double", "drop", "swap", "move"])
        if change == "edit":
            entry = lines[at] = copy.deepcopy(lines[at])
            field = rng.choice(["kind", "time", *FIELDS.get(entry.get("kind"), ())])
            outer, _, name = field.rpartition(".")
            inside = entry.get(outer) if outer else entry
            if isinstance(inside, dict):
                inside[name] = rng.choice(ODD)
                if rng.random() < 0.3:
                    del inside[name]
        elif change == "double":
            lines.insert(to, lines[at])
        elif change == "drop":
            del lines[at]
        elif change == "swap":
            lines[at], lines[to] = lines[to], lines[at]
        else:
            lines.insert(to, lines.pop(at))
    resumed(lines)
