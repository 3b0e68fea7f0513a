"""What the user asked for: the command line's options, as data."""

import shlex
from dataclasses import dataclass, field, fields
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class SweepOptions:
    """One sweep as asked for; None means that the space or the machine decides.

    The names are those of the command line, where each is described.
    """

    space: str
    dataset: str | None = None
    data_dir: str | None = None
    cache_dir: str | None = None
    backbone: str | None = None
    source: str | None = None
    imports: tuple[str, ...] = ()
    teacher: str | None = None
    limit_train: str | None = None
    epochs: int | None = None
    design: str | None = None
    trials: int | None = None
    search: str | None = None
    scheduler: str | None = None
    grace_period: int = 1
    reduction_factor: float = 3.0
    gpus: int | None = None
    trials_per_gpu: int | None = 1
    """None: measured."""
    cpus: int | None = None
    seeds: int | None = None
    scratch: bool = True
    keep_top: int = 1
    seed: int = 0
    time_budget: float | None = None
    results: Path = field(default_factory=lambda: Path("results"))
    name: str | None = None
    address: str | None = None
    settings: tuple[str, ...] = ()
    source_dataset: str | None = None
    source_settings: tuple[str, ...] = ()


_STRATEGY = ("design", "search", "trials", "seeds", "scheduler", "name", "time_budget")
_OTHER_FLAGS = {
    "settings": "--set",
    "imports": "--import",
    "source_settings": "--source-set",
}
_SWITCHES = {"scratch": "--no-scratch"}


def space_command(options: SweepOptions) -> str:
    """The command that runs the same space on the same data, without its strategy and name."""
    words = ["python", "-m", "sweep", options.space]
    default = SweepOptions(space=options.space)
    for option in fields(options):
        name, value = option.name, getattr(options, option.name)
        if name in ("space", *_STRATEGY) or value == getattr(default, name):
            continue
        if name in _SWITCHES:
            words.append(_SWITCHES[name])
            continue
        flag = _OTHER_FLAGS.get(name, f"--{name.replace('_', '-')}")
        for item in value if isinstance(value, tuple) else (value,):
            words += [flag, "auto" if item is None else str(item)]
    return shlex.join(words)
