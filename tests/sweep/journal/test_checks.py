"""Fields of each kind of entry, and the order of entries: what is wrong is told in words."""

import json
import math
import os

import pytest

from sweep.journal.checks import out_of_order, wrong_fields
from sweep.journal.entries import FIELDS
from sweep.journal.journal import FILE, check_order, read_journal
from tl_core.errors import BadInput

BEGIN = {
    "kind": "begin", "time": 1.0, "version": 1, "sweep": "s1", "folder": "/",
    "options": {"space": "ablation"}, "space": "ablation", "of_source": False, "kept_as": None,
    "settled": {"search": "random", "scheduler": "asha", "trials": 6, "grace_period": 1},
    "replaced": {}, "made_of": {"setting": {}},
}  # fmt: skip
REPORT = {
    "epoch": 1, "val_accuracy": 0.5, "best_val_accuracy": 0.5, "train_seconds": 1.0,
    "eval_seconds": 1, "images_per_second": math.nan, "host_memory_bytes": 0, "status": "running",
    "error": None, "done": False,
}  # fmt: skip


def entry(kind, **fields):
    return {"kind": kind, "time": 2.0, **fields}


def propose(number):
    return entry("propose", number=number, configuration=0, values={}, config_id="a")


def result(number, epoch=1, said="go", **report):
    return entry("result", number=number, said=said, report={**REPORT, "epoch": epoch, **report})


def end(number):
    return entry("end", number=number, error=None)


MEASURED = {"residual": {"precision": "bf16", "eval_precision": "fp32"}}
WHOLE = {
    "begin": BEGIN, "session": entry("session", precisions=MEASURED),
    "propose": propose(0), "start": entry("start", number=0), "result": result(0), "end": end(0),
    "over": entry("over"), "reopen": entry("reopen"), "more": entry("more", options={"trials": 9}),
    "again": entry("again", numbers=[0]), "longer": entry("longer", numbers=[0], epochs=9),
    "close": entry("close", status="finished"),
}  # fmt: skip


def write(path, *entries):
    path.write_text("".join(f"{json.dumps(one)}\n" for one in entries))
    return path


@pytest.mark.parametrize("kind", FIELDS)
def test_an_entry_of_each_kind_has_what_it_needs(kind):
    assert wrong_fields(WHOLE[kind]) is None


NO_JSON = object()
CASES = [(kind, field) for kind, fields in FIELDS.items() for field in fields]


@pytest.mark.parametrize(("kind", "field"), CASES)
def test_another_type_is_named_with_kind_and_field(kind, field):
    changed = json.loads(json.dumps(WHOLE[kind]))
    outer, _, name = field.rpartition(".")
    inside = changed[outer] if outer else changed
    if isinstance(inside, list):
        inside.append(NO_JSON)
    else:
        inside[name] = NO_JSON
    found = wrong_fields(changed)
    assert f"`{kind}` has " in found
    assert found.endswith(f"as `{field}`")


@pytest.mark.parametrize(
    ("kind", "field"),
    [("begin", "made_of"), ("begin", "settled"), ("propose", "config_id"), ("start", "number"),
     ("result", "report"), ("end", "error"), ("more", "options"), ("close", "status")],
)  # fmt: skip
def test_a_missing_field_is_named(kind, field):
    changed = {name: value for name, value in WHOLE[kind].items() if name != field}
    assert wrong_fields(changed) == f"its entry `{kind}` has no `{field}`"


@pytest.mark.parametrize("value", [True, 1.0, 2**63, -(10**400)])
def test_a_number_is_whole_and_fits_a_table(value):
    assert "as `number`" in wrong_fields(entry("start", number=value))


@pytest.mark.parametrize(
    "value", [None, "1", True, math.nan, math.inf, -math.inf, -1, 1e300, 10**400]
)
def test_a_time_is_a_moment_that_can_be_told(value):
    assert "is no `time`" in wrong_fields({"kind": "over", "time": value})


@pytest.mark.parametrize("kind", ["other", 1, None, []])
def test_an_unknown_kind_is_named(kind):
    assert wrong_fields({"kind": kind, "time": 1.0}) == f"there is no kind of entry {kind!r}"


def test_a_sweep_that_goes_on_several_times_is_in_order():
    first = [propose(0), entry("start", number=0), result(0), end(0)]
    asked = [WHOLE["session"], WHOLE["longer"], result(0, 2), end(0)]
    repeated = [WHOLE["session"], WHOLE["again"], entry("start", number=0), result(0), end(0)]
    more = [WHOLE["more"], propose(3), result(3, 0, error="no memory", done=True), end(3)]
    close = WHOLE["close"]
    entries = [BEGIN, *first, close, *asked, close, *repeated, *repeated, close, *more, close]
    assert out_of_order(entries) is None


def test_a_search_that_the_time_ended_goes_on_in_order():
    """Trial 0 was cut off, trial 1 never proposed; trial 2 confirmed what there was."""
    first = [propose(0), result(0, said="cut"), end(0), WHOLE["over"], propose(2), end(2)]
    again = [entry("start", number=0), result(0), end(0), entry("start", number=1), result(1)]
    entries = [BEGIN, *first, WHOLE["close"], WHOLE["reopen"], *again, end(1), propose(3)]
    assert out_of_order(entries) is None
    ended = [BEGIN, *first, WHOLE["reopen"], end(2)]
    assert out_of_order(ended) == (8, "`end` of trial 2, but it has ended before")


@pytest.mark.parametrize(
    ("entries", "reason"),
    [
        ([end(0)], "`end` of trial 0, but it was not proposed before"),
        ([propose(0), end(0), end(0)], "`end` of trial 0, but it has ended before"),
        ([propose(0), end(0), WHOLE["start"]], "`start` of trial 0, but it has ended before"),
        ([propose(0), result(1)], "`result` of trial 1, but it was not proposed before"),
        ([propose(0), propose(0)], "trial 0 is proposed after trial 0"),
        ([propose(-1)], "trial -1 is proposed after trial -1"),
        ([propose(0), result(0), result(0)], "epoch 1 of trial 0 follows its epoch 1"),
        ([propose(0), result(0, 2)], "epoch 2 of trial 0 follows its epoch 0"),
        ([propose(0), result(0, said="stop"), result(0, 2)],
         "`result` of trial 0, but it had its last before"),
        ([propose(0), WHOLE["again"]], "`again` of trial 0, but it has not ended before"),
        ([propose(0), end(0), entry("again", numbers=[0, 0])],
         "`again` of trial 0, but it has not ended before"),
        ([WHOLE["longer"]], "`longer` of trial 0, but it has not ended before"),
        ([WHOLE["over"], BEGIN], "a journal has one `begin`, as its first entry"),
    ],
)  # fmt: skip
def test_what_cannot_follow_is_told_with_its_line(tmp_path, entries, reason):
    assert out_of_order([BEGIN, *entries]) == (len(entries), reason)
    path = write(tmp_path / FILE, BEGIN, *entries)
    with pytest.raises(BadInput, match=f"{FILE}, line {len(entries) + 1}: .*Repair or remove"):
        check_order(path, read_journal(path))


def test_a_journal_without_its_beginning_is_refused():
    assert out_of_order([propose(0)]) == (0, "a journal has one `begin`, as its first entry")


def test_more_trials_need_the_number_there_were():
    design = {**BEGIN, "settled": {"scheduler": "none"}}
    assert out_of_order([design]) is None
    assert out_of_order([design, WHOLE["more"]])[0] == 1
    assert out_of_order([{**BEGIN, "settled": {"search": "random", "scheduler": "none"}}])[0] == 0


def test_a_wrong_last_line_was_not_cut_off_and_stays(tmp_path):
    path = write(tmp_path / FILE, BEGIN, entry("end", number=[1], error=None))
    before = path.read_bytes()
    with pytest.raises(BadInput, match=rf"{FILE}, line 2: .*`end` has \[1\] as `number`"):
        read_journal(path, mend=True)
    assert path.read_bytes() == before


def test_another_version_is_named_whatever_it_has_besides(tmp_path):
    path = write(tmp_path / FILE, {"kind": "begin", "time": 1.0, "version": 2}, {"kind": "new"})
    with pytest.raises(BadInput, match="is of another version of tl-sweep; resume it there"):
        read_journal(path)


def test_a_pipe_in_its_place_is_no_journal(tmp_path):
    os.mkfifo(tmp_path / FILE)
    with pytest.raises(BadInput, match=r"cannot be read \(it is a pipe or a device, no file\)"):
        read_journal(tmp_path / FILE)
