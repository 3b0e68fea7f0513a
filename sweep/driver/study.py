"""Studies: the sweeps that share a file, one after another."""

import re
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

from rich.console import Console

from sweep.options.spaces import SearchSpace, load_space
from sweep.options.sweep_options import SweepOptions
from tl_core.config import config_from_dict

if TYPE_CHECKING:
    from sweep.report.summary import SweepResult


class Study:
    """The sweeps that the options' space asks for; one, unless its file has RUNS.

    All of them and their sources share the time budget. After an interrupt, or when the budget is
    over, no other sweep starts; a line names those that are `left`. Raises as `sweeps_of`.
    """

    def __init__(self, options: SweepOptions, console: Console) -> None:
        self.budget, self.console = options.time_budget, console
        self.sweeps = sweeps_of(options)
        self.left = [space.name for _, space in self.sweeps]
        self.results: list[SweepResult] = []
        self.began = time.monotonic()

    def run(self) -> Iterator["SweepResult"]:
        """Run them, one after another.

        Raises:
            BadInput: as `run_sweep`; of what can be known, before the first sweep starts.
            Unfinished: a source could not be trained.
            KeyboardInterrupt: the user interrupted what was not the trials of a sweep.
        """
        from sweep.driver.runner import run_sweep

        self._check()
        why = ""
        try:
            for own, space in self.sweeps:
                if self.budget is not None:
                    left = self.budget - (time.monotonic() - self.began)
                    if left <= 0:
                        why = ", since the time budget is over"
                        return
                    own = replace(own, time_budget=left)
                self.left.pop(0)
                result = run_sweep(own, self.console, space)
                self.results.append(result)
                yield result
                if result.manifest.status == "interrupted":
                    return
        finally:
            if self.left:
                line = f"Not started{why}: {', '.join(self.left)}."
                self.console.print(line, style="bold yellow", highlight=False)

    @property
    def exit_code(self) -> int:
        """The highest of those that ended; at least 1 where not all were started."""
        return max([int(bool(self.left)), *(result.exit_code for result in self.results)])

    def _check(self) -> None:
        """Refuse what would end a later sweep before the first one starts."""
        from sweep.plan.make_plan import make_plan
        from sweep.plan.names import sweep_name

        for own, space in self.sweeps if len(self.sweeps) > 1 else ():
            sweep_name(make_plan(own, space), datetime.now())


def sweeps_of(options: SweepOptions) -> list[tuple[SweepOptions, SearchSpace]]:
    """Options and space of every sweep that the options' space asks for.

    Runs that the options make the same are one.

    Raises:
        BadInput: there is no such space, or it is none; or an option's value is wrong.
    """
    space = load_space(options.space)
    config_from_dict(options.overrides, space.base)
    found = []
    for name, changed in _distinct(space, options).items():
        run = replace(space.with_fields(changed), name=_joined(space.name, name))
        named = _joined(options.name, name) if options.name else None
        found.append((options if named == options.name else replace(options, name=named), run))
    return found


def _distinct(space: SearchSpace, options: SweepOptions) -> dict[str, dict[str, object]]:
    """Name → {field: value} of the runs that differ once the options have fixed their fields.

    They are named after what they still differ in; the only one needs no name.
    """
    if not space.runs:
        return {"": {}}
    from sweep.options.decided import fixed_fields

    fixed = fixed_fields(options, space.base)
    left: dict[str, dict[str, object]] = {}
    for name, changed in space.runs.items():
        rest = {field: value for field, value in changed.items() if field not in fixed}
        if rest not in left.values():
            left[name] = rest
    if len(left) == 1:
        return dict(zip([""], left.values(), strict=True))
    names = [re.sub(r"\W+", "-", "-".join(map(str, rest.values()))) for rest in left.values()]
    told_apart = len({name.casefold() for name in names}) == len(left)
    if len(left) == len(space.runs) or not told_apart:
        return left
    return dict(zip(names, left.values(), strict=True))


def _joined(stem: str, name: str) -> str:
    return f"{stem}-{name}" if name else stem
