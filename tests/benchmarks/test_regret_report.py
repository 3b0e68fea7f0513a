"""Rows, tables and the page of benchmarks/search.py."""

import math
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from benchmarks.regret.docs import BEGIN, END, write_docs
from benchmarks.regret.measure import FACTS, KEYS, MARKS, Job, RowFile, code_digest
from benchmarks.regret.methods import REFERENCE
from benchmarks.regret.report import markdown

ROOT = Path(__file__).parent.parent.parent
OTHER = "optuna + asha"


def row(repeat, method, regret, **changes):
    """A row with the same regret at every mark, and twice as much at 2%."""
    values = dict.fromkeys(RowFile.columns, 0.0)
    values |= {f"regret_{mark:g}": regret for mark in MARKS}
    values |= {"regret_2": 2 * regret, "code": code_digest(method)}
    keys = dict(zip(KEYS, ("synthetic", repeat, 4, 1, method), strict=True))
    return {**values, **keys, **changes}


ROWS = [
    row(0, REFERENCE, 1.0), row(1, REFERENCE, 2.0), row(2, REFERENCE, 3.0),
    row(0, OTHER, 0.5), row(1, OTHER, 2.0), row(2, OTHER, 2.0),
]  # fmt: skip


def frame(rows=ROWS):
    return pd.DataFrame(rows)


def test_tables_have_means_errors_and_differences_in_pairs():
    lines = markdown(frame()).splitlines()
    assert lines[0] == "### 4 workers"
    assert lines[2] == "| regret in points | synthetic (3) |"
    assert lines[4] == f"| {REFERENCE} | 4.00 / 2.00 / 2.00 ± {1 / math.sqrt(3):.2f} |"
    error = pd.Series([-0.5, 0, -1]).sem()
    twice, once = f"-1.00 ± {2 * error:.2f}", f"-0.50 ± {error:.2f}"
    assert f"| {OTHER} | {twice} / {once} / {once} |" in lines


def test_a_method_that_has_seen_fewer_tables_says_so():
    lines = markdown(frame(ROWS[:5])).splitlines()
    assert f"| {OTHER} | 2.50 / 1.25 / 1.25 ± 0.75 (2) |" in lines


def test_workers_and_seeds_have_tables_of_their_own():
    rows = [row(0, REFERENCE, 1.0), row(0, REFERENCE, 2.0, workers=16, seeds=3)]
    titles = [line for line in markdown(frame(rows)).splitlines() if line.startswith("#")]
    assert titles == ["### 4 workers", "### 16 workers, 3 seeds a configuration"]


def test_a_file_goes_on_from_the_rows_of_the_same_code(tmp_path):
    path = tmp_path / "rows" / "search.csv"
    jobs = [Job(repeat, "synthetic", 4, 1, REFERENCE) for repeat in (2, 1, 0)]
    file = RowFile(path)
    assert file.missing(jobs) == sorted(jobs)
    file.add(row(0, REFERENCE, 1.0))
    file.add(row(1, REFERENCE, 1.0, code="other"))
    with path.open("a") as cut_off:
        cut_off.write("synthetic,2,4,1")
    again = RowFile(path)
    assert again.missing(jobs) == jobs[:2][::-1]
    assert again.read()["repeat"].tolist() == [0]
    assert set(again.read().columns) >= {*KEYS, *FACTS, "regret_0.5"}


def test_the_page_keeps_what_is_around_its_marks(tmp_path):
    page = tmp_path / "search.md"
    page.write_text(f"# Search\n\nwhy\n\n{BEGIN}\nold\n{END}\n\nlimits\n")
    assert write_docs(frame(), page) == [page, tmp_path / "search.svg"]
    first = page.read_text()
    assert first.startswith(f"# Search\n\nwhy\n\n{BEGIN}\n")
    assert first.endswith(f"{END}\n\nlimits\n")
    assert "old" not in first
    assert markdown(frame()) in first
    picture = (tmp_path / "search.svg").read_text()
    assert REFERENCE in picture
    write_docs(frame(), page)
    assert page.read_text() == first
    assert (tmp_path / "search.svg").read_text() == picture


def test_a_page_without_marks_is_refused(tmp_path):
    page = tmp_path / "search.md"
    page.write_text("# Search\n")
    with pytest.raises(ValueError, match=END):
        write_docs(frame(), page)


def test_the_page_of_the_project_has_its_marks():
    text = (ROOT / "docs" / "search.md").read_text()
    assert text.index(BEGIN) < text.index(END)


@pytest.mark.slow
def test_the_command_measures_shows_and_goes_on(tmp_path):
    out = tmp_path / "search.csv"
    command = [
        sys.executable, "benchmarks/search.py", "--families", "synthetic", "--repeats", "1",
        "--methods", REFERENCE, "--workers", "2,4", "--jobs", "1", "--out", str(out),
    ]  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "120"}
    first, second = (
        subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
        for _ in range(2)
    )
    assert first.returncode == 0, first.stderr
    assert "2/2" in first.stdout
    assert "2 / 5 / 10% of the grid's epochs, 2 workers" in first.stdout
    assert out.with_suffix(".md").read_text().count("### ") == 2
    assert second.returncode == 0, second.stderr
    assert "0/0" in second.stdout
    assert len(pd.read_csv(out)) == 2
