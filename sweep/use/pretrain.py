"""Train a source model, as a sweep of one trial, and keep its winner under a name."""

from rich.console import Console

from sweep.driver.runner import run_sweep
from sweep.driver.unfinished import Unfinished
from sweep.options.sweep_options import SweepOptions
from sweep.report.tables import print_result
from sweep.results.sources import SourceModel, check_model_name, keep_winner


def pretrain(options: SweepOptions, name: str | None, console: Console) -> SourceModel:
    """Run the space that `options` names and keep what won, unless named after data and backbone.

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
