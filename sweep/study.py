"""Studies of several sweeps: a source that is trained first, and runs that share a file.

The source is trained once, kept among the named models, and found again by what it was made of.
"""

import dataclasses
import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from sweep.at_source import source_options
from sweep.options import SweepOptions
from sweep.sources import keep_model, weights_of
from sweep.spaces import SearchSpace, load_space
from tl_core.datasets import load_data
from tl_core.errors import BadInput

if TYPE_CHECKING:
    from sweep.plan import Plan
    from sweep.report.summary import SweepResult


def run_study(options: SweepOptions, console: Console) -> Iterator["SweepResult"]:
    """Run every sweep that the options' space asks for; one, unless its file has RUNS.

    Raises:
        BadInput: as `run_sweep`.
    """
    from sweep.runner import run_sweep

    for own, space in sweeps_of(options):
        yield run_sweep(own, console, space)


def sweeps_of(options: SweepOptions) -> list[tuple[SweepOptions, SearchSpace]]:
    """Options and space of every sweep that the options' space asks for.

    `--dataset` and `--backbone` leave out the runs that differ from others in these alone, and
    the rest are named after what they still differ in.

    Raises:
        BadInput: there is no such space, or it is none.
    """
    space = load_space(options.space)
    found = []
    for name, changed in _distinct(space, options).items():
        run = dataclasses.replace(space.with_fields(changed), name=_joined(space.name, name))
        named = _joined(options.name, name) if options.name else None
        found.append((dataclasses.replace(options, name=named), run))
    return found


def _distinct(space: SearchSpace, options: SweepOptions) -> dict[str, dict[str, object]]:
    """The runs that are still different once the options have fixed their fields.

    Returns:
        Name → {field: value}; the only one needs no name.
    """
    fixed = [name for name in ("dataset", "backbone") if getattr(options, name) is not None]
    left: list[dict[str, object]] = []
    for changed in space.runs.values() or [{}]:
        rest = {field: value for field, value in changed.items() if field not in fixed}
        left += [rest] if rest not in left else []
    if len(left) == 1:
        return {"": left[0]}
    if len(left) == len(space.runs):
        return dict(zip(space.runs, left, strict=True))
    return {re.sub(r"\W+", "-", "-".join(map(str, rest.values()))): rest for rest in left}


def _joined(stem: str, name: str) -> str:
    return f"{stem}-{name}" if name else stem


def trained_source(plan: "Plan", console: Console) -> Path:
    """The weights that a plan's transfers start from; trained now unless they are kept already.

    Raises:
        BadInput: the source cannot be trained as asked, or no trial of it ended with a model.
    """
    from sweep.runner import run_sweep

    options = source_options(plan.options)
    wanted = source_plan(plan)
    results = options.results.expanduser().resolve()
    name = f"{wanted.space.name}-{_digest(wanted)}"
    kept = weights_of(results, name)
    if kept.is_file():
        console.print(f"Source: {name}, trained before.", highlight=False)
        return kept
    console.print(f"[bold]First the source[/bold]: {name}", highlight=False)
    result = run_sweep(options, console, plan.space.origin)
    winner = result.manifest.winner
    if winner is None or winner["weights"] is None:
        raise BadInput(f"{result.name}: no trial of the source ended with a model; see `show`.")
    keep_model(
        results,
        name,
        Path(winner["weights"]),
        val_accuracy=winner["val_accuracy"],
        test_accuracy=winner["test_accuracy"],
        sweep=result.name,
    )
    return kept


def source_plan(plan: "Plan") -> "Plan":
    """The plan of the sweep that makes a plan's source.

    Raises:
        BadInput: the source cannot be trained as asked.
    """
    from sweep.plan import make_plan

    assert plan.space.origin is not None
    return make_plan(source_options(plan.options), plan.space.origin)


def _digest(plan: "Plan") -> str:
    """Hash of all that decides what comes out of the source's sweep, data by content."""
    about = {
        **plan.base.to_dict(),
        "dataset": load_data(plan.base).fingerprint,
        "space": {name: repr(domain) for name, domain in plan.free.items()},
        "seed": plan.options.seed,
    }
    for place in ("data_dir", "cache_dir", "device", "threads"):
        del about[place]
    text = json.dumps(about, sort_keys=True, default=list)
    return hashlib.blake2b(text.encode(), digest_size=4).hexdigest()
