"""What the user asked for: the command line's options, as data."""

import dataclasses
import shlex
import typing
from dataclasses import dataclass, fields
from pathlib import Path
from types import NoneType
from typing import Any

from sweep.options import option_values as read

SAME = "same"
"""The source's sweep is run with what the transfers are run with: where, and on what machine."""
OWN = "own"
"""The source's sweep has its own, from the space's file or `--source-set`; the user is told."""
NEVER = "never"
"""It has no meaning for the source's sweep, which keeps the default."""


@dataclass(frozen=True)
class Fixed:
    """What an option always is in the source's sweep."""

    value: Any


AtSource = str | Fixed
"""What the source's sweep has of an option: SAME, OWN, NEVER, a value that is fixed, or the name
of the option that stands in its place."""


def option(default: Any, reader: read.Reader, *, at_source: AtSource) -> Any:
    """A field that knows how its value is read and what of it reaches the source's sweep."""
    about = {"reader": reader, "at_source": at_source}
    return dataclasses.field(default=default, metadata=about)


@dataclass(frozen=True, kw_only=True)
class SweepOptions:
    """One sweep as asked for; None means that the space or the machine decides.

    The names are those of the command line, where each is described. Values are read by type:
    numbers of NumPy, paths, lists and the command line's text become the plain values here.

    Raises:
        BadInput: a value has a type that the option does not take.
    """

    space: str = option(dataclasses.MISSING, read.text, at_source=SAME)
    dataset: str | None = option(None, read.data, at_source="source_dataset")
    data_dir: str | None = option(None, read.text, at_source=SAME)
    cache_dir: str | None = option(None, read.text, at_source=SAME)
    backbone: str | None = option(None, read.text, at_source=SAME)
    source: str | None = option(None, read.text, at_source=NEVER)
    imports: tuple[str, ...] = option((), read.paths, at_source=SAME)
    teacher: str | None = option(None, read.text, at_source=OWN)
    limit_train: str | None = option(None, read.sizes, at_source=OWN)
    epochs: int | None = option(None, read.whole(), at_source=OWN)
    design: str | None = option(None, read.text, at_source=OWN)
    trials: int | None = option(None, read.whole(1), at_source=OWN)
    search: str | None = option(None, read.text, at_source=OWN)
    scheduler: str | None = option(None, read.text, at_source=OWN)
    grace_period: int | None = option(None, read.whole(1), at_source=OWN)
    """None: by the number of epochs."""
    reduction_factor: float = option(3.0, read.number, at_source=OWN)
    gpus: int | None = option(None, read.whole(0), at_source=SAME)
    trials_per_gpu: int | None = option(1, read.sharing, at_source=SAME)
    """None: measured."""
    cpus: int | None = option(None, read.whole(1), at_source=SAME)
    seeds: int | None = option(None, read.whole(1), at_source=OWN)
    scratch: bool = option(True, read.switch, at_source=Fixed(False))
    confirm: str | None = option(None, read.confirmation, at_source=Fixed("0"))
    """None: 5x3 where a search chooses among many, else 0."""
    keep_top: int = option(1, read.whole(1), at_source=NEVER)
    seed: int = option(0, read.whole(0), at_source=SAME)
    time_budget: float | None = option(None, read.seconds, at_source=SAME)
    """Seconds; the source takes its time out of it."""
    results: Path = option(Path("results"), read.folder, at_source=SAME)  # noqa: RUF009
    name: str | None = option(None, read.text, at_source=NEVER)
    address: str | None = option(None, read.text, at_source=SAME)
    settings: tuple[str, ...] = option((), read.settings, at_source="source_settings")
    source_dataset: str | None = option(None, read.data, at_source=NEVER)
    source_settings: tuple[str, ...] = option((), read.settings, at_source=NEVER)

    def __post_init__(self) -> None:
        for field in fields(self):
            given = getattr(self, field.name)
            if given is None and NoneType in typing.get_args(field.type):
                continue
            value = field.metadata["reader"](flag_of(field.name), given)
            object.__setattr__(self, field.name, value)


ASHA_OPTIONS = ("grace_period", "reduction_factor")
"""Options that only the scheduler asha heeds."""
_STRATEGY = ("design", "search", "trials", "seeds", "scheduler", "confirm", "name", "time_budget")
_OTHER_FLAGS = {
    "space": "search space",
    "settings": "--set",
    "imports": "--import",
    "source_settings": "--source-set",
}
_SWITCHES = {"scratch": "--no-scratch"}


def flag_of(name: str) -> str:
    """How an option is written on the command line."""
    return _OTHER_FLAGS.get(name, f"--{name.replace('_', '-')}")


def space_command(options: SweepOptions) -> str:
    """The command that runs the same space on the same data, without its strategy and name."""
    words = ["python", "-m", "sweep", options.space]
    default = SweepOptions(space=options.space)
    for field in fields(options):
        name, value = field.name, getattr(options, field.name)
        if name in ("space", *_STRATEGY) or value == getattr(default, name):
            continue
        if name in _SWITCHES:
            words.append(_SWITCHES[name])
            continue
        for item in value if isinstance(value, tuple) else (value,):
            words += [flag_of(name), "auto" if item is None else str(item)]
    return shlex.join(words)


AUTO = "auto"
"""Value of `search` and `scheduler` that leaves the choice to `default_search`."""
