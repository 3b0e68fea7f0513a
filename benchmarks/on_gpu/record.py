"""Settings of a run of gpu.py, and its figures: rows in a file, a table, JSON and Markdown."""

import dataclasses
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Row = dict[str, Any]


@dataclass(frozen=True)
class Settings:
    """What every part of a run is told.

    Attributes:
        device: cuda or cpu.
        tiny: sizes that take seconds on a CPU.
        dataset: parquet:PATH or another data set of 32-pixel colour images.
        weights: safetensors of mobilenetv1_025; None where there are none.
        work: folder for results, caches and logs.
        log: file for the output of everything that is started.
        rows: file of this part's rows, one JSON object a line.
        ends_at: when the part is ended, in seconds since the epoch.
    """

    device: str
    tiny: bool
    dataset: str
    weights: str | None
    work: str
    log: str
    rows: str = ""
    ends_at: float = 0.0

    @property
    def cache(self) -> str:
        """Folder of decoded images."""
        return str(Path(self.work) / "cache")

    @property
    def threads(self) -> int | None:
        """Of torch: one on a CPU, where sizes are small and the machine may be busy."""
        return 1 if self.device == "cpu" else None

    def seconds_left(self, reserve: float = 0.0) -> float:
        """Until the part is ended, less what is to be kept in reserve."""
        return self.ends_at - time.time() - reserve

    def write(self, path: Path) -> None:
        """Write the settings for another process."""
        path.write_text(json.dumps(dataclasses.asdict(self)))

    @classmethod
    def read(cls, path: Path) -> "Settings":
        """The settings that were written."""
        return cls(**json.loads(path.read_text()))


class Rows:
    """The rows of one part: printed as a table and appended to its file at once.

    Args:
        part: its name, in front of each line.
        path: of the file.
    """

    def __init__(self, part: str, path: str) -> None:
        self.part = part
        self.path = Path(path)
        self.columns: list[str] = []
        self.widths: list[int] = []

    def add(self, **row: Any) -> None:
        """Keep one row; its columns keep their order."""
        row = {name: _rounded(value) for name, value in row.items()}
        with self.path.open("a") as file:
            file.write(json.dumps(row) + "\n")
        if list(row) != self.columns:
            self.columns, self.widths = list(row), [7] * len(row)
            self._print(self.columns)
        self._print([_text(value) for value in row.values()])

    def _print(self, cells: list[str]) -> None:
        pairs = zip(cells, self.widths, strict=True)
        self.widths = [max(width, len(cell)) for cell, width in pairs]
        padded = (c.rjust(width) for c, width in zip(cells, self.widths, strict=True))
        print(f"{self.part:9}", "  ".join(padded), flush=True)


def read_rows(path: Path) -> list[Row]:
    """The rows of a file; a last line that was cut off is left out."""
    found = []
    for line in path.read_text().splitlines() if path.exists() else ():
        try:
            found.append(json.loads(line))
        except ValueError:
            continue
    return found


def markdown(parts: dict[str, dict[str, Any]]) -> str:
    """A heading and tables for each part; rows of equal columns make one table."""
    lines = ["# Measured on one device", ""]
    for name, part in parts.items():
        lines += [f"## {name}", "", f"{part['state']}, {part['seconds']:.0f} s", ""]
        columns: list[str] = []
        for row in part["rows"]:
            if list(row) != columns:
                columns = list(row)
                lines += [""] if lines[-1].startswith("|") else []
                lines += [_line(columns), "|" + "---|" * len(columns)]
            lines.append(_line([_text(value) for value in row.values()]))
        lines += [""] if lines[-1] else []
    return "\n".join(lines)


def write_report(out: Path, about: Row, parts: dict[str, dict[str, Any]]) -> None:
    """Write gpu.json and gpu.md, each whole or not at all."""
    texts = {"gpu.json": json.dumps({**about, "parts": parts}, indent=1)}
    texts["gpu.md"] = markdown(parts)
    for name, text in texts.items():
        partial = out / f".{name}"
        partial.write_text(text)
        partial.replace(out / name)


def _line(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _rounded(value: Any) -> Any:
    return float(f"{value:.4g}") if isinstance(value, float) else value


def _text(value: Any) -> str:
    return "-" if value is None else str(value)
