"""The command of every search space: run its sweeps."""

from typing import Annotated, Any

import typer

from sweep.cli import flags
from sweep.cli.console import console
from sweep.cli.starting import start_for
from sweep.cli.sweep_commands import draw_pictures
from sweep.driver.study import Study
from sweep.options.option import OUTPUT
from sweep.options.sweep_options import FLAGS, SweepOptions


@flags.takes(FLAGS)
def run_space(
    *,
    ctx: typer.Context,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Print files, trials, epochs and resources; run nothing.",
            rich_help_panel=OUTPUT,
        ),
    ] = False,
    **given: Any,
) -> None:
    """Run a search space."""
    options = SweepOptions(space=str(ctx.info_name), **given)
    if dry_run:
        from sweep.cli.dry_run import print_plan

        print_plan(options, console)
        return
    slow = options.space.endswith(".py")  # a file of the user's own may import torch
    with console.status("Starting …") as status:
        if ctx.obj and slow:
            start_for(options, status)
        study = Study(options, console)
        if ctx.obj and not slow:  # what is wrong is said before Ray starts
            start_for(options, status)
        import sweep.driver.runner  # noqa: F401  # takes seconds, which the status covers
    for result in study.run():
        from sweep.report.tables import print_result

        print_result(result, console)
        if result.manifest.status != "interrupted":
            draw_pictures(result)
    raise typer.Exit(study.exit_code)
