"""What a sweep may be called."""

import re
import unicodedata
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from sweep.options.spaces import builtin_spaces
from sweep.plan.plan import Plan
from sweep.results.folders import check_length, sweep_names
from sweep.results.manifest import Manifest, begin_sweep
from sweep.results.stored import claim_in_store, fetch_names
from sweep.store.location import shown_results
from tl_core.errors import BadInput

RESERVED_NAMES = frozenset((
    *builtin_spaces(), "list", "show", "delete", "pretrain", "sources", "predict", "export",
    "pictures", "resume", "retry", "spaces", "settings", "datasets", "models",
))  # fmt: skip


def sweep_name(plan: Plan, now: datetime) -> str:
    """`--name`, or SPACE-YYYYMMDD-HHMMSS, with a number behind it where that is taken.

    A name is taken while anything of a sweep of that name is left, its rows too; so is one that
    differs in case or in the form of its accents alone, which some disks do not tell apart.

    Raises:
        BadInput: the name has other characters, or is that of a sweep in these results.
    """
    results = plan.options.results
    fetch_names(results)
    taken = {_folded(name): name for name in sweep_names(results)}
    name = plan.options.name
    if name is None:
        stem = f"{plan.space.name}-{now:%Y%m%d-%H%M%S}"
        others = (f"{stem}-{number}" for number in range(2, len(taken) + 3))
        return next(free for free in (stem, *others) if _folded(free) not in taken)
    if not re.fullmatch(r"[A-Za-z][\w-]*", name):
        raise BadInput(f"--name {name!r}: a letter, then letters, digits, - and _ only.")
    check_length(name)
    if name in RESERVED_NAMES:
        raise BadInput(f"--name {name}: this is the name of a command; take another.")
    if _folded(name) in taken:
        raise _taken(plan, name, taken[_folded(name)])
    return name


def claim_name(plan: Plan, results: Path, describe: Callable[[str], Manifest]) -> Manifest:
    """Make the sweep's folder, which no other driver can then make, and return its description.

    `describe` makes the description of a name. Raises BadInput as `sweep_name` does, and where
    another driver has just taken the name that the user gave.
    """
    while True:
        manifest = describe(sweep_name(plan, datetime.now()))
        try:
            if not claim_in_store(results, manifest.name):
                raise FileExistsError(manifest.name)
            begin_sweep(results, manifest)
            return manifest
        except FileExistsError:
            if plan.options.name is not None:
                raise _taken(plan, manifest.name, manifest.name) from None


def _taken(plan: Plan, name: str, other: str) -> BadInput:
    where = shown_results(plan.options.results)
    return BadInput(
        f"--name {name}: a sweep of this name is in {where}; take another name, or"
        f" `delete {other}` first."
    )


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()
