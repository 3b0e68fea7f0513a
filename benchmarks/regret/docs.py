"""The tables and the picture of docs/search.md."""

from pathlib import Path

import matplotlib as mpl
import pandas as pd
from matplotlib.figure import Figure

from .families import FAMILIES
from .measure import MARKS
from .methods import METHODS
from .report import Part, markdown, parts

PAGE = Path(__file__).parent.parent.parent / "docs" / "search.md"
BEGIN, END = "<!-- begin: measured -->", "<!-- end: measured -->"
PICTURE = "search.svg"


def write_docs(rows: pd.DataFrame, page: Path = PAGE) -> list[Path]:
    """Replace what stands between BEGIN and END in the page, and draw its picture.

    Args:
        rows: as `RowFile.read` gives them.
        page: has both marks, each on a line of its own.

    Returns:
        The files that were written.

    Raises:
        ValueError: the page lacks a mark.
    """
    text = page.read_text()
    if BEGIN not in text or END not in text:
        raise ValueError(f"{page}: the lines {BEGIN} and {END} say where the tables go.")
    before, after = text.split(BEGIN)[0], text.split(END)[1]
    picture = page.with_name(PICTURE)
    draw(next(parts(rows)), picture)
    shown = f"![Regret over epochs]({PICTURE})\n\n{markdown(rows)}"
    page.write_text(f"{before}{BEGIN}\n\n{shown}\n\n{END}{after}")
    return [page, picture]


def draw(part: Part, path: Path) -> None:
    """Mean regret of the drawn methods over the epochs, one panel a family.

    Args:
        part: rows of one number of workers and seeds.
        path: of an SVG file.
    """
    families = part.families
    with mpl.rc_context({"svg.hashsalt": "search", "svg.fonttype": "none", "font.size": 9}):
        figure = Figure(figsize=(3.6 * len(families), 3.2), layout="constrained")
        panels = figure.subplots(1, len(families), squeeze=False)[0]
        for panel, family in zip(panels, families, strict=True):
            for method in [name for name in part.methods if METHODS[name].drawn]:
                panel.plot(MARKS, _means(part, family, method), label=method, linewidth=1.4)
            panel.set_title(f"{FAMILIES[family].title}, {part.title}")
            panel.set_xlabel("% of the grid's epochs")
            panel.set_ylim(bottom=0)
            panel.grid(alpha=0.3)
        panels[0].set_ylabel("regret in points")
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False)
        figure.savefig(path, metadata={"Date": None})


def _means(part: Part, family: str, method: str) -> list[float]:
    rows = part.rows
    rows = rows[(rows["family"] == family) & (rows["method"] == method)]
    return [rows[f"regret_{mark:g}"].mean() for mark in MARKS]
