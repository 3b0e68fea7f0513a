"""Commands on single models: pretrain, sources, predict, export."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from sweep.cli import flags
from sweep.cli.console import console
from sweep.options.sweep_options import FLAGS, RESULTS, SweepOptions, flag_of
from sweep.options.user_modules import load_modules
from sweep.results.folders import writable_folder
from sweep.store.location import results_folder
from sweep.terminal.values import DASH
from tl_core.errors import BadInput

if TYPE_CHECKING:
    import pandas as pd

SHOWN = 40
"""Predictions that the terminal shows."""
ModelName = Annotated[
    str, typer.Argument(help="A sweep (its winner), a model of `sources`, or a weights file.")
]


@flags.takes(name for name, field in FLAGS.items() if field.metadata["pretrain"])
def pretrain_command(
    *,
    from_sweep: Annotated[
        str | None, typer.Option("--from", metavar="SWEEP", help="Keep a sweep's winner instead.")
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="Name of the model (unset: DATASET-BACKBONE).")
    ] = None,
    **given: Any,
) -> None:
    """Train a source model, or take a sweep's winner, and keep it under a name."""
    from sweep.report.next_commands import results_option
    from sweep.results.sources import keep_winner
    from sweep.use.pretrain import pretrain

    options = SweepOptions(space="pretrain", **given)
    if from_sweep is None:
        model = pretrain(replace(options, scratch=False), name, console)
    else:
        unheeded = ", ".join(flag_of(name) for name in options.given() if name != "results")
        if unheeded:
            why = f"--from {from_sweep} trains nothing, so {unheeded} would not count"
            raise BadInput(f"{why}; leave out the one or the other.")
        model = keep_winner(options.results, from_sweep, name)
    test = "" if model.test_accuracy is None else f", test accuracy {model.test_accuracy:.4f}"
    val = f"validation accuracy {model.val_accuracy:.4f}"
    console.print(f"Kept as [bold]{model.name}[/bold]: {val}{test}", highlight=False)
    command = f"python -m sweep transfer --source {model.name}{results_option(options.results)}"
    console.print(f"Next: {command} --dataset …", highlight=False, soft_wrap=True)


def sources_command(results: flags.Results = str(RESULTS)) -> None:
    """List the models that `--source` takes by name."""
    from sweep.results.sources import damaged_models, list_models

    folder = results_folder(results)
    table = Table("model", "backbone", "trained on", "classes", "val", "test", box=None)
    for model in list_models(folder):
        made_of = (str(model.config.get(name, DASH)) for name in ("backbone", "dataset"))
        accuracies = (model.val_accuracy, model.test_accuracy)
        measured = (DASH if value is None else f"{value:.4f}" for value in accuracies)
        table.add_row(
            escape(model.name), *map(escape, made_of), str(len(model.classes)), *measured
        )
    damaged = damaged_models(folder)
    if not table.rows and not damaged:
        console.print(f"No models in {escape(str(results))} yet. Try: python -m sweep pretrain")
        return
    if table.rows:
        console.print(table, highlight=False)
    for line in damaged:
        console.print(escape(line), style="red", highlight=False, soft_wrap=True)


def predict_command(
    name: ModelName,
    images: Annotated[list[str], typer.Argument(help="Files, folders, globs.")],
    top_k: Annotated[str, flags.whole("--top-k", 1, "Classes to name for each image.")] = "1",
    top: Annotated[str, flags.whole("--top", 1, "Let the best K models vote (--keep-top).")] = "1",
    out: Annotated[
        Path | None, typer.Option(help="Write all to this .csv (formulas quoted) or .parquet.")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    imports: flags.Imports = None,
    results: flags.Results = str(RESULTS),
) -> None:
    """Classify image files with a finished model."""
    if out is not None:
        if out.suffix not in (".csv", ".parquet"):
            raise BadInput(f"--out {out}: end it in .csv or .parquet.")
        writable_folder(out.parent, "--out")
    load_modules(imports)
    from sweep.terminal.loading import loading
    from sweep.use.prediction import predict
    from sweep.use.predictions_file import write_predictions

    with loading(console) as progress:
        advance = progress or (lambda label, done, total: None)
        frame = predict(
            name, images, results=results, top=int(top), top_k=int(top_k), device=device,
            progress=lambda done, total: advance("Predicting", done, total),
            note=_note,
        )  # fmt: skip
    if out is not None:
        write_predictions(frame, out)
    _print_predictions(frame, "" if out is not None else "; --out FILE.csv writes all")
    raise typer.Exit(int(frame["error"].notna().any()))


def _note(line: str) -> None:
    console.print(line, highlight=False, markup=False)


def _print_predictions(frame: "pd.DataFrame", how_to_see_all: str) -> None:
    from sweep.report.listing import predictions_table

    console.print(predictions_table(frame, SHOWN), highlight=False)
    if len(frame) > SHOWN:
        console.print(f"… and {len(frame) - SHOWN} more{how_to_see_all}", style="dim")
    doubtful = frame[frame["remark"].notna()]
    if len(doubtful):
        path, remark = doubtful.iloc[0][["path", "remark"]]
        files = "1 file" if len(doubtful) == 1 else f"{len(doubtful):,} files"
        note = f"Check {files}, such as {path}: {remark}."
        console.print(escape(note), style="yellow", highlight=False)
    for _, row in frame[frame["error"].notna()].head(SHOWN).iterrows():
        console.print(f"{escape(row['path'])}: {escape(row['error'])}", style="red")


def export_command(
    name: ModelName,
    form: Annotated[
        str, typer.Option("--format", help="safetensors, onnx or torchscript.")
    ] = "safetensors",
    out: Annotated[
        Path | None, typer.Option(help="Folder to write (unset: NAME-FORMAT here).")
    ] = None,
    imports: flags.Imports = None,
    results: flags.Results = str(RESULTS),
) -> None:
    """Write a finished model for other programs, with preprocessing and class names."""
    load_modules(imports)
    from sweep.use.export import export_model
    from sweep.use.prediction import model_files

    folder = out or Path(f"{Path(name).stem}-{form}")
    weights = model_files(results_folder(results), name, note=_note)[0]
    for file in export_model(weights, form, folder):
        console.print(str(file), highlight=False, markup=False)
