"""Modules that a sweep's files import and that take seconds: known before the files are run."""

import ast
import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import search_spaces
from sweep.options.sweep_options import SweepOptions

SLOW = ("timm",)
"""Packages that are looked for: imported, or before a backbone's name, as in `timm:NAME`."""


def imports_of(options: SweepOptions, folder: Path = Path()) -> list[str]:
    """Those of the slow packages that the sweep may need; its paths lead from `folder`."""
    text = repr(options)
    named = {name for name in SLOW if f"{name}:" in text}
    for file in _files(options, folder):
        with contextlib.suppress(Exception):  # what is wrong with it is said where it is loaded
            if file.is_file():
                named |= set(_slow(ast.walk(ast.parse(file.read_text(encoding="utf-8")))))
    return sorted(named)


def _files(options: SweepOptions, folder: Path) -> list[Path]:
    builtin = Path(search_spaces.__path__[0]) / f"{options.space}.py"
    return [builtin, *(folder / file for file in (options.space, *options.imports))]


def _slow(nodes: Iterable[ast.AST]) -> Iterator[str]:
    for node in nodes:
        found = []
        if isinstance(node, ast.Import):
            found = [alias.name.split(".")[0] for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            found = [(node.module or "").split(".")[0]]
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found = [node.value.partition(":")[0]]
        yield from (name for name in found if name in SLOW)
