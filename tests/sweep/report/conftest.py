"""Sweeps written to disk and read back, and what they look like at 80 columns."""

import shutil
from collections.abc import Callable, Sequence
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console, RenderableType

from sweep.report.summary import SweepResult, load_result
from sweep.report.tables import print_result
from sweep.results.manifest import run_folder, write_manifest
from sweep.results.tables import write_rows

Trial = tuple[str, int, float | None, dict[str, Any]]
"""config_id, seed, accuracy, and other fields."""


@pytest.fixture
def keep(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, manifest: Callable, trial_row: Callable
) -> Callable[..., SweepResult]:
    """keep(trials, **manifest) → the sweep s1 in the folder `results` of the current directory."""
    monkeypatch.chdir(tmp_path)
    results = Path("results")

    def write(trials: Sequence[Trial] = (), **about: Any) -> SweepResult:
        shutil.rmtree(results, ignore_errors=True)
        run_folder(results, "s1").mkdir(parents=True)
        write_manifest(results, manifest(**about))
        rows = [
            trial_row(n, accuracy, config_id=identity, seed=seed, **more)
            for n, (identity, seed, accuracy, more) in enumerate(trials)
        ]
        write_rows(results, "trials", "s1", rows)
        return load_result(results, "s1")

    return write


@pytest.fixture
def ablation_trials() -> list[Trial]:
    """Dropout and batch size changed one at a time, two seeds each; b is the best, then a."""
    return [
        ("a", 0, 0.80, {"dropout": 0.0, "batch_size": 64}),
        ("a", 1, 0.90, {"dropout": 0.0, "batch_size": 64}),
        ("b", 0, 0.86, {"dropout": 0.2, "batch_size": 64}),
        ("b", 1, 0.96, {"dropout": 0.2, "batch_size": 64}),
        ("c", 0, 0.60, {"dropout": 0.0, "batch_size": 128}),
        ("c", 1, 0.71, {"dropout": 0.0, "batch_size": 128}),
    ]


@pytest.fixture
def text_of() -> Callable[[RenderableType], str]:
    """text_of(table) → its text, in which no line is longer than 80 columns."""

    def text(shown: RenderableType) -> str:
        console = Console(width=80, file=StringIO())
        console.print(shown)
        lines = console.file.getvalue().splitlines()
        assert max(map(len, lines)) <= 80
        return "\n".join(lines)

    return text


@pytest.fixture
def words(text_of: Callable[[RenderableType], str]) -> Callable[[RenderableType], list[list[str]]]:
    """words(table) → the words of each of its lines."""
    return lambda shown: [line.split() for line in text_of(shown).splitlines()]


@pytest.fixture
def printed() -> Callable[..., str]:
    """printed(result, show=print_result) → the text; only commands may be longer than a line."""

    def text(result: SweepResult, show: Callable = print_result) -> str:
        console = Console(width=80, file=StringIO())
        show(result, console)
        text = console.file.getvalue()
        long = [line for line in text.splitlines() if len(line) > 80]
        assert all("pd.read_parquet" in line or "python -m sweep" in line for line in long)
        return text

    return text
