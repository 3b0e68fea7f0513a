"""What a driver that goes on counts as written: rows that can be read as their schema says."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sweep.results.folders import run_folder, table_folder
from sweep.results.schema import SCHEMAS
from sweep.results.tables import read_table, write_rows
from sweep.results.written import DAMAGED, find_written, keep_rows, set_aside
from tl_core.errors import BadInput

TRIALS = {("trials", f"s1_{n:05d}", 0) for n in range(3)}
EPOCHS = {("epochs", f"s1_{n:05d}", epoch) for n in range(3) for epoch in (1, 2)}


def epoch_rows():
    return [{"trial_id": t, "epoch": e, "val_accuracy": e / 8} for _, t, e in sorted(EPOCHS)]


@pytest.fixture
def results(tmp_path, trial_row):
    """Three trials of two epochs, in one file of each table."""
    write_rows(tmp_path, "trials", "s1", [trial_row(n, 0.5) for n in range(3)])
    write_rows(tmp_path, "epochs", "s1", epoch_rows())
    return tmp_path


def part(results, table, number=0):
    return table_folder(results, table, "s1") / f"part-{number:05d}.parquet"


def without(*names):
    def damage(path):
        pq.write_table(pq.read_table(path, partitioning=None).drop_columns(list(names)), path)

    return damage


def as_text(name):
    def damage(path):
        rows = pq.read_table(path, partitioning=None)
        text = pa.array(["much"] * len(rows))
        pq.write_table(rows.set_column(rows.schema.get_field_index(name), name, text), path)

    return damage


def torn(path):
    path.write_bytes(path.read_bytes()[:-9])


def a_folder(path):
    path.unlink()
    path.mkdir()


ANY_TABLE = {
    "empty": lambda path: path.write_bytes(b""), "torn": torn, "a folder": a_folder,
    "no trial_id": without("trial_id"), "a type": as_text("train_seconds"),
}  # fmt: skip
DAMAGES = {
    "trials": {**ANY_TABLE, "no status": without("status")},
    "epochs": {**ANY_TABLE, "no epoch": without("epoch"), "text for epoch": as_text("epoch")},
}


def test_rows_that_can_be_read_are_written(results):
    found = find_written(results, "s1")
    assert (found.keys, found.damaged) == (TRIALS | EPOCHS, {})


@pytest.mark.parametrize(("table", "kind"), [(t, kind) for t in DAMAGES for kind in DAMAGES[t]])
def test_rows_of_a_damaged_file_are_not_written_and_it_is_set_aside(results, table, kind):
    file = part(results, table)
    DAMAGES[table][kind](file)
    content = file.read_bytes() if file.is_file() else None
    found = find_written(results, "s1")
    assert found.keys == (EPOCHS if table == "trials" else TRIALS)
    assert list(found.damaged) == [file]
    assert file.exists()  # finding it changes nothing

    said = []
    set_aside(results, "s1", found.damaged, said.append)
    aside = run_folder(results, "s1") / DAMAGED / f"{table}-part-00000.parquet"
    (line,) = said
    assert str(aside.relative_to(results)) in line
    assert "\n" not in line
    assert content is None or aside.read_bytes() == content
    assert list(table_folder(results, table, "s1").iterdir()) == []
    assert find_written(results, "s1").damaged == {}


def test_a_column_that_readers_do_without_is_no_damage(results):
    without("phase", "device_name")(part(results, "trials"))
    without("phase", "lr")(part(results, "epochs"))
    found = find_written(results, "s1")
    assert (found.keys, found.damaged) == (TRIALS | EPOCHS, {})


def test_a_file_set_aside_takes_the_place_of_no_other(results):
    for content in (b"first", b"second"):
        part(results, "trials").write_bytes(content)
        set_aside(results, "s1", find_written(results, "s1").damaged, lambda line: None)
    folder = run_folder(results, "s1") / DAMAGED
    found = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert found == {
        "trials-part-00000.parquet": b"first", "trials-part-00000-2.parquet": b"second"
    }  # fmt: skip


def test_a_file_that_cannot_be_set_aside_is_one_line_with_a_way_out(results):
    part(results, "trials").write_bytes(b"")
    (run_folder(results, "s1") / DAMAGED).write_text("in the way")
    with pytest.raises(BadInput, match=r"nor moved to .* \(.*\); move it away") as caught:
        set_aside(results, "s1", find_written(results, "s1").damaged, lambda line: None)
    assert "\n" not in str(caught.value)
    assert part(results, "trials").exists()


def test_doubled_rows_are_kept_once_within_a_file_and_between_files(results):
    once = {t: read_table(results, t, "s1") for t in ("trials", "epochs")}
    kept = {trial for _, trial, _ in TRIALS}
    for table in ("trials", "epochs"):
        rows = pq.read_table(part(results, table), partitioning=None)
        pq.write_table(pa.concat_tables([rows, rows]), part(results, table))
        pq.write_table(rows, part(results, table, 1))
        said = []
        keep_rows(results, table, "s1", kept, said.append)
        several = [f"({len(rows)} of {2 * len(rows)})", f"({len(rows)} of {len(rows)})"]
        assert [count in line for count, line in zip(several, said, strict=True)] == [True] * 2
        assert read_table(results, table, "s1").equals(once[table])
        schema = pq.read_table(part(results, table), partitioning=None).schema
        assert schema.equals(SCHEMAS[table])


def test_rows_of_other_trials_go_and_nothing_is_said(results):
    keep_rows(results, "epochs", "s1", {"s1_00001"}, pytest.fail)
    assert read_table(results, "epochs", "s1")["trial_id"].tolist() == ["s1_00001"] * 2


@pytest.mark.parametrize("damage", [without("status"), as_text("train_seconds")])
def test_a_file_that_cannot_be_read_stays_as_it_is(results, damage):
    damage(part(results, "trials"))
    content = part(results, "trials").read_bytes()
    keep_rows(results, "trials", "s1", {"s1_00001"}, pytest.fail)
    assert part(results, "trials").read_bytes() == content


def test_a_file_that_cannot_be_replaced_is_an_error(results, monkeypatch):
    """Else rows that are to come again would be doubled."""

    def full(*arguments, **how):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pq, "write_table", full)
    with pytest.raises(OSError, match="No space"):
        keep_rows(results, "trials", "s1", {"s1_00001"}, pytest.fail)
