"""What the user asked for: the command line's options, as data."""

from dataclasses import dataclass, field
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
    weights: str | None = None
    imports: tuple[str, ...] = ()
    epochs: int | None = None
    design: str | None = None
    trials: int | None = None
    search: str | None = None
    scheduler: str | None = None
    grace_period: int = 1
    reduction_factor: float = 3.0
    gpus: int | None = None
    trials_per_gpu: int = 1
    cpus: int | None = None
    seeds: int | None = None
    seed: int = 0
    time_budget: float | None = None
    results: Path = field(default_factory=lambda: Path("results"))
    name: str | None = None
    address: str | None = None
    settings: tuple[str, ...] = ()
