"""What the user asked for: every option of a sweep, as data."""

import dataclasses
import shlex
import typing
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from types import NoneType
from typing import Any

from search_spaces.designs import DESIGNS
from sweep.options import option_values as read
from sweep.options.option import (
    DATA,
    MACHINE,
    MODEL,
    NEVER,
    OUTPUT,
    OWN,
    SAME,
    SEARCH,
    Fixed,
    flag,
    option,
    words,
)
from sweep.options.overrides import read_overrides
from sweep.store.location import shown_results

RESULTS = Path("results")
"""Folder of all results, where none is named."""


@dataclass(frozen=True, kw_only=True)
class SweepOptions:
    """One sweep as asked for; None means that the space or the machine decides.

    NumPy's numbers, paths, lists and the command line's text become plain values of the fields'
    types; BadInput is raised where they cannot. `--help` has the options in this order.
    """

    # fmt: off
    # Default, reader, panel, help, and what of it reaches the source's sweep.
    space: str = option(dataclasses.MISSING, read.text, "", "", SAME, flags=("search space",))
    dataset: str | None = option(
        None, read.data, DATA, "A name from `datasets`, folder:PATH or parquet:PATH.",
        "source_dataset", sets="dataset", pretrain=True)
    data_dir: str | None = option(
        None, read.text, DATA, "Folder for downloaded data sets.",
        SAME, sets="data_dir", pretrain=True)
    cache_dir: str | None = option(
        None, read.text, DATA, "Folder for decoded data sets.",
        SAME, sets="cache_dir", pretrain=True)
    limit_train: read.Sizes = option(  # noqa: RUF009
        read.Sizes(), read.sizes, DATA, "Training images to use; several sizes are compared.",
        OWN, metavar="N,N,all", pretrain=True)
    source_dataset: str | None = option(
        None, read.data, DATA, "Train the space's own source on this data set.", NEVER)
    backbone: str | None = option(
        None, read.text, MODEL, "A name from `models`, or timm:NAME.",
        SAME, sets="backbone", pretrain=True)
    source: str | None = option(
        None, read.text, MODEL,
        "Start from a model of `sources`, a .safetensors / .pth file, imagenet or none.",
        NEVER, flags=("--source", "--weights"), sets="weights", pretrain=True)
    teacher: str | None = option(
        None, read.text, MODEL, "Learn from this finished model too; named like a source.",
        OWN, sets="teacher", pretrain=True)
    epochs: int | None = option(
        None, read.Whole(), MODEL, "Epochs of a trial, at most.",
        OWN, sets="epochs", pretrain=True)
    settings: tuple[str, ...] = option(
        (), read.settings, MODEL,
        "Fix a setting, such as lr=0.1; repeatable; `settings` lists them.",
        "source_settings", flags=("--set",), metavar="KEY=VALUE", pretrain=True)
    source_settings: tuple[str, ...] = option(
        (), read.settings, MODEL, "Fix a setting of the space's own source; repeatable.",
        NEVER, flags=("--source-set",), metavar="KEY=VALUE")
    imports: tuple[str, ...] = option(
        (), read.paths, MODEL,
        "Your module with models, data sets, augmentations or optimizers; repeatable.",
        SAME, flags=("--import",), metavar="FILE.py", pretrain=True)
    design: str | None = option(
        None, read.text, SEARCH, f"{' or '.join(DESIGNS)}.", OWN, explores=True)
    search: str | None = option(
        None, read.text, SEARCH,
        "grid, random, optuna or auto (by the size), in place of a design.", OWN, explores=True)
    trials: int | None = option(
        None, read.Whole(1), SEARCH,
        "Configurations to try, scratch runs apart; part of a factorial.", OWN, explores=True)
    seeds: int | None = option(
        None, read.Whole(1), SEARCH, "Repeats of each configuration.", OWN, explores=True)
    confirm: str | None = option(
        None, read.confirmation, SEARCH,
        "Train the best K again with S fresh seeds, which name the winner; 0: not (unset: 5x3 for"
        " a search, 0 for a grid or design).", Fixed("0"), metavar="KxS", explores=True)
    scratch: bool = option(
        True, read.switch, SEARCH,
        "In a transfer sweep, also train from random weights, as many configurations as the"
        " median strategy has.", Fixed(False))
    seed: int = option(
        0, read.Whole(0), SEARCH, "First training seed, and the searcher's.",
        SAME, sets="seed", pretrain=True)
    scheduler: str | None = option(
        None, read.text, SEARCH, "asha, none or auto.", OWN, explores=True)
    grace_period: int | None = option(
        None, read.Whole(1), SEARCH,
        "Epochs before ASHA may stop a trial (unset: a third of all for a search that learns,"
        " else 1).", OWN)
    reduction_factor: float = option(
        3.0, read.number, SEARCH, "ASHA lets one in this many configurations go on.", OWN)
    time_budget: float | None = option(
        None, read.seconds, SEARCH, "End after 90s, 30m or 2h, source and runs together.",
        SAME, metavar="TIME", explores=True)
    trial_timeout: float | None = option(
        None, read.seconds, MACHINE,
        "End a trial as timed_out that trains for longer, such as 30m; the sweep goes on.",
        SAME, metavar="TIME")
    retries: int = option(
        1, read.Whole(0), MACHINE,
        "Start a trial so many times again whose process died while it was alone in it.", SAME)
    max_failures: int | None = option(
        None, read.Whole(1), MACHINE,
        "End the sweep after so many trials in a row that failed by the same cause.", SAME)
    gpus: int | None = option(
        None, read.Whole(0), MACHINE, "GPUs in all (unset: all there are).", SAME, pretrain=True)
    trials_per_gpu: int | None = option(
        None, read.sharing, MACHINE, "Trials side by side on a GPU; auto, the default, measures.",
        SAME, metavar="N|auto")
    cpus: int | None = option(
        None, read.Whole(1), MACHINE, "CPUs in all (unset: all there are).", SAME, pretrain=True)
    address: str | None = option(
        None, read.text, MACHINE, "Ray cluster to join, such as auto.", SAME)
    insecure: bool = option(
        False, read.switch, MACHINE,
        "Join a cluster that demands no token: whoever reaches it can run code on it.", SAME)
    deterministic: bool = option(
        False, read.switch, MACHINE,
        "On GPUs, the same numbers each time: without TF32, slower.",
        SAME, sets="deterministic", pretrain=True)
    results: Path = option(  # noqa: RUF009
        RESULTS, read.folder, OUTPUT, "Folder of all results, or a store's URL, such as s3://BUCKET/PATH.",
        SAME, metavar="FOLDER|URL", written=shown_results, pretrain=True)
    name: str | None = option(
        None, read.text, OUTPUT, "Name of the sweep (unset: SPACE-DATE-TIME).",
        NEVER, explores=True)
    keep_top: int = option(
        1, read.Whole(1), OUTPUT,
        "Keep the weights of the best K configurations; they also vote.", NEVER)
    # fmt: on

    def __post_init__(self) -> None:
        for field in fields(self):
            given = getattr(self, field.name)
            if given is not None or NoneType not in typing.get_args(field.type):
                value = field.metadata["reader"](flag(field), given)
                object.__setattr__(self, field.name, value)

    @cached_property
    def overrides(self) -> Mapping[str, Any]:
        """The fields of TrainConfig that the options fix, as `read_overrides` gives them."""
        fixed: dict[str, Any] = {}
        said: dict[str, str] = {}
        for field in fields(self):
            name, value = field.metadata["sets"], getattr(self, field.name)
            if name and value is not None and value is not False:
                fixed[name], said[name] = value, " ".join(words(field, value))
        if self.limit_train:
            fixed["limit_train"] = self.limit_train[-1]
            said["limit_train"] = f"{flag_of('limit_train')} {self.limit_train}"
        return read_overrides(fixed, said, self.settings, self.results)

    def given(self) -> list[str]:
        """Names of the options that differ from their defaults, the space apart."""
        return [name for name, field in FLAGS.items() if getattr(self, name) != field.default]


FLAGS = {field.name: field for field in fields(SweepOptions) if field.metadata["panel"]}
"""The options beside the search space, by name."""
OF_THIS_RUN = ("time_budget", "gpus", "trials_per_gpu", "cpus", "address", "insecure")
"""Options that a sweep may have anew each time it goes on."""
AUTO = "auto"
"""Value of `search` and `scheduler` that leaves the choice to `default_search`."""


def flag_of(name: str) -> str:
    """How an option is written on the command line."""
    return flag(FLAGS[name])


def space_command(options: SweepOptions) -> str:
    """The command that runs the same space on the same data, without its strategy and name."""
    kept = [FLAGS[name] for name in options.given() if not FLAGS[name].metadata["explores"]]
    shown = [word for field in kept for word in words(field, getattr(options, field.name))]
    return shlex.join(["python", "-m", "sweep", options.space, *shown])
