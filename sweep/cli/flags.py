"""The flags of a sweep on the command line: each is a type that Typer reads, by its panel."""

from pathlib import Path
from typing import Annotated, Any

import typer


def _flag(panel: str, *name: str, **settings: Any) -> Any:
    return typer.Option(*name, rich_help_panel=panel, **settings)


_DATA, _MODEL, _SEARCH = "Data", "Model and training", "Search"
_MACHINE, _OUTPUT = "Machine", "Output"

Dataset = Annotated[
    str | None, _flag(_DATA, help="A name from `datasets`, folder:PATH or parquet:PATH.")
]
DataDir = Annotated[str | None, _flag(_DATA, help="Folder for downloaded data sets.")]
CacheDir = Annotated[str | None, _flag(_DATA, help="Folder for decoded data sets.")]

Backbone = Annotated[str | None, _flag(_MODEL, help="A name from `models`, or timm:NAME.")]
Source = Annotated[
    str | None,
    _flag(
        _MODEL,
        "--source",
        "--weights",
        help="Start from a model of `sources`, a .safetensors / .pth file, imagenet or none.",
    ),
]
SourceDataset = Annotated[
    str | None, _flag(_DATA, help="Train the space's own source on this data set instead.")
]
SourceSettings = Annotated[
    list[str] | None,
    _flag(
        _MODEL,
        "--source-set",
        metavar="KEY=VALUE",
        help="Fix a setting of the space's own source; repeatable.",
    ),
]
Teacher = Annotated[
    str | None, _flag(_MODEL, help="Learn from this finished model too; named like a source.")
]
LimitTrain = Annotated[
    str | None,
    _flag(_DATA, metavar="N,N,all", help="Training images to use; several sizes are compared."),
]
Epochs = Annotated[int | None, _flag(_MODEL, help="Epochs of a trial, at most.")]
Settings = Annotated[
    list[str] | None,
    _flag(
        _MODEL,
        "--set",
        metavar="KEY=VALUE",
        help="Fix a setting, such as lr=0.1; repeatable; `settings` lists them.",
    ),
]
Imports = Annotated[
    list[str] | None,
    _flag(
        _MODEL,
        "--import",
        metavar="FILE.py",
        help="Your module with models, data sets or augmentations; repeatable.",
    ),
]

Design = Annotated[str | None, _flag(_SEARCH, help="one-at-a-time or factorial.")]
Search = Annotated[
    str | None,
    _flag(_SEARCH, help="grid, random, optuna or auto (by the size), in place of a design."),
]
Trials = Annotated[
    int | None,
    _flag(_SEARCH, min=1, help="Configurations to try, scratch runs apart; part of a factorial."),
]
Seeds = Annotated[int | None, _flag(_SEARCH, min=1, help="Repeats of each configuration.")]
Confirm = Annotated[
    str | None,
    _flag(
        _SEARCH,
        metavar="KxS",
        help="Train the best K again with S fresh seeds, which name the winner; 0: not (unset: 5x3"
        " for a search, 0 for a grid or design).",
    ),
]
Scratch = Annotated[
    bool,
    _flag(
        _SEARCH,
        "--scratch/--no-scratch",
        help="In a transfer sweep, also train from random weights, as many configurations as the"
        " median strategy has.",
    ),
]
Seed = Annotated[int, _flag(_SEARCH, min=0, help="First training seed, and the searcher's.")]
Scheduler = Annotated[str | None, _flag(_SEARCH, help="asha, none or auto.")]
GracePeriod = Annotated[
    int | None,
    _flag(_SEARCH, min=1, help="Epochs before ASHA may stop a trial (unset: a tenth of all)."),
]
ReductionFactor = Annotated[
    float, _flag(_SEARCH, help="ASHA lets one in this many configurations go on.")
]
TimeBudget = Annotated[
    str | None,
    _flag(_SEARCH, metavar="TIME", help="End after 90s, 30m or 2h, source and runs together."),
]

Gpus = Annotated[int | None, _flag(_MACHINE, min=0, help="GPUs in all (unset: all there are).")]
TrialsPerGpu = Annotated[
    str, _flag(_MACHINE, metavar="N|auto", help="Trials that share a GPU; auto measures how many.")
]
Cpus = Annotated[int | None, _flag(_MACHINE, min=1, help="CPUs in all (unset: all there are).")]
Address = Annotated[str | None, _flag(_MACHINE, help="Ray cluster to join, such as auto.")]

Results = Annotated[Path, _flag(_OUTPUT, help="Folder of all results.")]
Name = Annotated[str | None, _flag(_OUTPUT, help="Name of the sweep (unset: SPACE-DATE-TIME).")]
KeepTop = Annotated[
    int,
    _flag(_OUTPUT, min=1, help="Keep the weights of the best K configurations; they also vote."),
]
DryRun = Annotated[
    bool, _flag(_OUTPUT, "--dry-run", help="Only print the files, trials, epochs and resources.")
]
