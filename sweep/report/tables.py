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
    """Counts, top configurations, effects, winner, where the numbers are, what to type next."""
    console.print(f"\n[bold]{result.name}[/bold]  {escape(result.manifest.question)}")
    _print_counts(result, console)
    print_top(result, console)
    print_effects(result, console)
    print_importance(result, console)
    print_strategies(result, console)
    print_winner(result, console)
    print_where(result, console)


def _print_counts(result: SweepResult, console: Console) -> None:
    """How many trials ended how, the commonest errors, and what went wrong beside the trials."""
    counts = {str(status): n for status, n in result.trials["status"].value_counts().items()}
    parts = [
        f"[{STATUS_STYLE.get(status, 'red')}]{n} {escape(status.replace('_', ' '))}[/]"
        for status, n in counts.items()
    ]
    console.print(f"{len(result.trials)} trials: {', '.join(parts) or 'none yet'}")
    state = STILL.get(result.manifest.state())
    if state is not None:
        console.print(f"The sweep {state}; these are the trials so far.")
    for text, number in result.trials["error"].value_counts().head(ERRORS_SHOWN).items():
        console.print(f"  {number} × {escape(str(text))}", style="red", highlight=False)
    for line in result.manifest.errors:
        console.print(escape(line), style="bold red", highlight=False)
