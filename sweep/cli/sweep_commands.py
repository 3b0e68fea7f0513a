"""Commands on sweeps that are there: list, show, pictures, resume, delete."""

from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from sweep.cli import flags
from sweep.cli.console import console
from sweep.cli.starting import start_for_sweep
from sweep.options.sweep_options import FLAGS, OF_THIS_RUN, RESULTS, flag_of
from sweep.options.user_modules import load_modules
from sweep.store.location import results_folder, url_within
from tl_core.errors import BadInput, printable

if TYPE_CHECKING:
    from sweep.report.summary import SweepResult

Name = Annotated[str, typer.Argument(help="Name of the sweep.")]


def list_command(as_json: flags.AsJson = False, results: flags.Results = str(RESULTS)) -> None:
    """List the sweeps, finished and running, with their disk use."""
    from sweep.report.listing import sweeps_table
    from sweep.results.catalog import list_sweeps

    entries = list_sweeps(results_folder(results))
    if as_json:
        from sweep.cli.as_json import print_json, sweep_object

        print_json([sweep_object(entry) for entry in entries])
        return
    if not entries:
        first = "Try: python -m sweep ablation --dataset digits"
        console.print(f"No sweeps in {escape(str(results))} yet. {first}", soft_wrap=True)
        return
    console.print(sweeps_table(entries))
    for problem in (line for entry in entries for line in entry.problems):
        console.print(escape(problem), style="red", highlight=False, soft_wrap=True)


def show_command(
    name: Name,
    effects_anyway: Annotated[
        bool, typer.Option("--effects-anyway", help="Show effects although trials stopped early.")
    ] = False,
    errors: Annotated[
        bool, typer.Option("--errors", help="Show what failed trials failed by instead.")
    ] = False,
    as_json: flags.AsJson = False,
    results: flags.Results = str(RESULTS),
) -> None:
    """Show a sweep: top configurations, what mattered, winner."""
    from sweep.report.summary import load_result

    result = load_result(results_folder(results), name, effects_anyway=effects_anyway)
    if effects_anyway and result.effects.empty:
        why = result.analysis.refused or "it has no trials or varies nothing."
        raise BadInput(f"--effects-anyway: {name} has no effects to show. {why}")
    if as_json:
        from sweep.cli.as_json import print_json, result_object

        print_json(result_object(result))
        return
    if errors:
        from sweep.report.failures import print_failures

        print_failures(result.failures, console)
        return
    from sweep.report.tables import print_result

    print_result(result, console)


def pictures_command(
    name: Name,
    layer: Annotated[
        str | None, typer.Option(help="Also this layer's feature maps, before and after training.")
    ] = None,
    imports: flags.Imports = None,
    results: flags.Results = str(RESULTS),
) -> None:
    """Draw a sweep: curves, strategies, confusion matrix, right and wrong predictions."""
    from sweep.report.summary import load_result

    load_modules(imports)
    result = load_result(results_folder(results), name)
    whole = draw_pictures(result)
    if layer is not None:
        from sweep.report.pictures.feature_maps import draw_feature_maps
        from sweep.results.stored import fetch_weights, send_folder

        fetch_weights(result.folder, result.name)
        file = draw_feature_maps(result, layer)
        console.print(str(file), highlight=False, markup=False)
        send_folder(result.folder, result.run_folder / "pictures")
    raise typer.Exit(0 if whole else 1)


def draw_pictures(result: "SweepResult") -> bool:
    """Draw a sweep's pictures and say where they are; whether all could be drawn."""
    from sweep.faults import Faults
    from sweep.results.stored import fetch_sweep, send_folder

    faults = Faults()
    files = []
    with console.status("Drawing …"), faults.noted("drawing"):
        from sweep.report.pictures.sweep_pictures import draw

        fetch_sweep(result.folder, result.name, images=True)
        files = draw(result, faults)
        send_folder(result.folder, result.run_folder / "pictures")
    if files:
        folder = url_within(files[0].parent) or files[0].parent
        line = f"Pictures: {folder} ({', '.join(file.stem for file in files)})"
        console.print(line, style="dim", highlight=False, markup=False, soft_wrap=True)
    for line in faults.lines:
        console.print(escape(line), style="red", highlight=False, soft_wrap=True)
    return not faults.lines


Force = Annotated[
    bool,
    typer.Option(
        "--force",
        help="Also if code, versions or settings have changed, or its machine is silent.",
    ),
]


@flags.takes(OF_THIS_RUN)
def resume_command(
    name: Name,
    *,
    ctx: typer.Context,
    more_trials: Annotated[
        str,
        flags.whole("--more-trials", 0, "Configurations that a finished search tries as well."),
    ] = "0",
    epochs: Annotated[
        str | None, flags.whole("--epochs", 1, "Epochs of each trial of a finished sweep, more.")
    ] = None,
    force: Force = False,
    results: flags.Results = str(RESULTS),
    **given: Any,
) -> None:
    """Go on with a sweep that was interrupted or killed, where it was."""
    more = {"more_trials": int(more_trials), "epochs": None if epochs is None else int(epochs)}
    _go_on(ctx, results, name, given, **more, force=force)


@flags.takes(OF_THIS_RUN)
def retry_command(
    name: Name,
    *,
    ctx: typer.Context,
    force: Force = False,
    results: flags.Results = str(RESULTS),
    **given: Any,
) -> None:
    """Run trials again that failed, ran out of memory or time, or were interrupted."""
    _go_on(ctx, results, name, given, again=True, force=force)


def _go_on(
    ctx: typer.Context, results: str, name: str, given: dict[str, Any], *, force: bool, **how: Any
) -> None:
    changed = {
        n: FLAGS[n].metadata["reader"](flag_of(n), value)
        for n, value in given.items()
        if value != FLAGS[n].default
    }
    folder = results_folder(results)
    with console.status("Starting …") as status:
        if ctx.obj:
            more = any([*how.values(), "time_budget" in changed])
            start_for_sweep(folder, name, changed, status, more=more)
        from sweep.driver.resuming import resume_sweep  # takes seconds, which the status covers
        from sweep.report.tables import print_result
    result = resume_sweep(folder, name, console, changed=changed, force=force, **how)
    print_result(result, console)
    if result.manifest.status != "interrupted":
        draw_pictures(result)
    raise typer.Exit(result.exit_code)


def delete_command(
    name: Name,
    results: flags.Results = str(RESULTS),
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Also if it ran elsewhere and may still run.")
    ] = False,
) -> None:
    """Delete a sweep and all its rows, damaged or not."""
    from sweep.report.listing import size
    from sweep.results.catalog import check_deletable, delete_sweep

    folder = results_folder(results)
    check_deletable(folder, name, force=force)
    if not yes:
        typer.confirm(f"Delete {printable(name)} and every row of it?", abort=True)
    freed = size(delete_sweep(folder, name, force=force))
    console.print(f"Deleted {name}: {freed} freed.", highlight=False, markup=False)
