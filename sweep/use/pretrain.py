"""Train a source model, as a sweep of one trial, and keep its winner under a name."""

from pathlib import Path

from rich.console import Console

from sweep.driver.runner import run_sweep
from sweep.driver.unfinished import Unfinished
from sweep.options.sweep_options import SweepOptions
from sweep.report.tables import print_result
from sweep.results.manifest import read_manifest
from sweep.results.sources import SourceModel, check_model_name, keep_model
from tl_core.errors import BadInput


def pretrain(options: SweepOptions, name: str | None, console: Console) -> SourceModel:
    """Run the space that `options` names and keep what won.

    Args:
        options: as asked for.
        name: of the model; None: made from data set and backbone.
        console: where progress goes.

    Raises:
        BadInput: what a sweep refuses.
        Unfinished: the trial did not end with a model.
        KeyboardInterrupt: the user interrupted it.
    """
    if name is not None:
        check_model_name(name)
    result = run_sweep(options, console)
    print_result(result, console)
    if result.manifest.status == "interrupted":
        raise KeyboardInterrupt
    if result.manifest.winner is None:
        raise Unfinished(f"{result.name}: the trial did not end with a model to keep.")
    return keep_winner(options.results, result.name, name)


def keep_winner(results: Path, sweep: str, name: str | None = None) -> SourceModel:
    """Keep a sweep's winner as a source model.

    Raises:
        BadInput: there is no such sweep, or it has no winner's weights.
    """
    winner = read_manifest(results, sweep).winner
    if winner is None or winner["weights"] is None or not Path(winner["weights"]).is_file():
        raise BadInput(
            f"{sweep} has no winner's weights to keep; `show {sweep}` tells how it went."
        )
    from tl_core.models.saved_model import described_weights

    weights = Path(winner["weights"])
    config = described_weights(weights).config
    stem = Path(str(config["dataset"]).rpartition(":")[2]).name
    default = f"{stem}-{str(config['backbone']).removeprefix('timm:')}"
    return keep_model(
        results,
        name or default,
        weights,
        val_accuracy=winner["val_accuracy"],
        test_accuracy=winner["test_accuracy"],
        sweep=sweep,
    )
