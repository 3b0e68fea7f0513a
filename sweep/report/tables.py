"""A sweep's outcome in the terminal, readable at 80 columns."""

from rich.console import Console
from rich.markup import escape

from sweep.report.mattered.effects_report import print_effects
from sweep.report.mattered.importance_table import print_importance
from sweep.report.next_commands import print_where
from sweep.report.strategy_tables import print_strategies
from sweep.report.summary import SweepResult
from sweep.report.top_table import print_top
from sweep.report.winner import print_winner
from sweep.terminal.values import STATUS_STYLE

ERRORS_SHOWN = 3
STILL = {
    "running": "is running",
    "died": "has died",
    "silent": "ran elsewhere and has given no sign of life for some time",
}
"""State of a sweep that has not come to its end → what is said of it."""


def print_result(result: SweepResult, console: Console) -> None:
    """Counts, top configurations, what mattered, winner, where the numbers are, what to type."""
    console.print(f"\n[bold]{escape(result.name)}[/bold]  {escape(result.manifest.question)}")
    for part in (
        _print_counts, print_top, print_effects, print_importance, print_strategies, print_winner,
        print_where,
    ):  # fmt: skip
        part(result, console)


def _print_counts(result: SweepResult, console: Console) -> None:
    """How many trials ended how, the commonest errors, and what went wrong beside the trials."""
    counts = result.trials["status"].value_counts()
    parts = [
        f"[{STATUS_STYLE.get(status, 'red')}]{n} {escape(status.replace('_', ' '))}[/]"
        for status, n in zip(map(str, counts.index), counts, strict=True)
    ]
    console.print(f"{len(result.trials)} trials: {', '.join(parts) or 'none yet'}")
    if state := STILL.get(result.manifest.state()):
        console.print(f"The sweep {state}; these are the trials so far.")
    for text, number in result.trials["error"].value_counts().head(ERRORS_SHOWN).items():
        console.print(f"  {number} × {escape(str(text))}", style="red", highlight=False)
    for line in result.manifest.errors:
        console.print(escape(line), style="bold red", highlight=False)
