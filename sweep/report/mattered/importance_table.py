"""Importance of the fields of a search in the terminal."""

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from search_spaces.designs import DESIGNS
from sweep.report.importance import Importance
from sweep.report.summary import SweepResult
from sweep.search.searchers import SEARCHERS, learns
from sweep.terminal.values import field_name

BEYOND_CHANCE = 0.05
"""p up to which a field counts as more than chance."""
LEARNED = (
    "The search tried good values more often than others, which lowers their importance here."
)


def print_importance(result: SweepResult, console: Console) -> None:
    """Print which fields matter in a searched space, or why that is not known."""
    found = result.ranking
    if found.refused:
        console.print(f"\nImportance of the fields: {escape(found.refused)}", highlight=False)
    if found.table.empty:
        return
    console.print("\n[bold]Importance of the fields[/bold], shares, by PED-ANOVA", highlight=False)
    how = f"How the best {found.best} of {found.of} configurations differ from all of them."
    console.print(how, style="dim", highlight=False)
    console.print(importance_table(found))
    console.print(escape(sentence(found)), highlight=False)
    search = result.manifest.search
    # The proposals of an unknown searcher may depend on earlier results.
    may_learn = learns(search) or not (search in SEARCHERS or search in DESIGNS)
    for line in ([LEARNED] if may_learn else []) + found.notes:
        console.print(escape(line), style="yellow", highlight=False)


def importance_table(found: Importance) -> Table:
    """One row a field; bold where it is more than chance gives."""
    table = Table("field", box=None, header_style="dim")
    for name in ("importance", "p", "configurations"):
        table.add_column(name, justify="right")
    for _, row in found.table.iterrows():
        share = f"{row['importance']:.0%}"
        table.add_row(
            escape(field_name(row["field"])),
            f"[bold]{share}[/bold]" if row["p"] <= BEYOND_CHANCE else share,
            f"{row['p']:.2f}",
            str(row["configurations"]),
        )
    return table


def sentence(found: Importance) -> str:
    """Which fields matter more than chance gives."""
    table = found.table
    names = table.loc[table["p"] <= BEYOND_CHANCE, "field"].map(field_name)
    how = "(p: all fields at once, by shuffling)"
    if names.empty:
        return f"No field is beyond what chance gives {how}; more trials may tell."
    verb = "is" if len(names) == 1 else "are"
    rest = "; of the others these trials do not tell" if len(names) < len(table) else ""
    return f"Beyond what chance gives {verb} {', '.join(names)} {how}{rest}."
