"""The command line. Typer and Rich only at import: torch, ray and pandas load on demand."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from typer.core import TyperGroup

from sweep import __version__, flags
from sweep import option_values as read
from sweep.engine import start_early, stop_early
from sweep.model_commands import add_model_commands
from sweep.options import SweepOptions
from sweep.overrides import check_overrides
from sweep.spaces import builtin_spaces
from sweep.unfinished import Unfinished
from sweep.user_modules import load_modules
from tl_core.config import FIELDS, allowed
from tl_core.errors import BadInput, UnsoundWeights

try:
    from typer.exceptions import TyperException as CommandLineError
except ImportError:  # Typer before it had exceptions of its own
    from click import ClickException as CommandLineError  # type: ignore[assignment]

console = Console(emoji=False)
errors = Console(stderr=True, emoji=False)
INTERRUPTED = 130
PROGRAM = "tl-sweep" if Path(sys.argv[0]).stem == "tl-sweep" else "python -m sweep"
"""What was typed; a shell can complete the arguments of the first alone."""
ANY_SPACE = "PATH.py"
"""Help entry of the command that runs a user's own file."""

RESULTS = Path("results")
ResultsOption = Annotated[Path, typer.Option(help="Folder of all results.")]


class SpaceGroup(TyperGroup):
    """Commands, and every path of a search space as one more command."""

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command of that name; anything else is taken as a search space."""
        return super().get_command(ctx, cmd_name) or super().get_command(ctx, ANY_SPACE)


app = typer.Typer(
    cls=SpaceGroup,
    no_args_is_help=True,
    add_completion=PROGRAM == "tl-sweep",
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="Hyperparameter sweeps of image-classification transfer learning. "
    "[bold]python -m sweep NAME[/bold] runs the search space NAME, or the file PATH.py.",
)


def _print_version(asked: bool) -> None:
    if asked:
        console.print(f"tl-sweep {__version__}", highlight=False)
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        # Eager: a group without a command is refused before its own function runs.
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    pass


def run_space(
    ctx: typer.Context,
    dataset: flags.Dataset = None,
    data_dir: flags.DataDir = None,
    cache_dir: flags.CacheDir = None,
    limit_train: flags.LimitTrain = None,
    source_dataset: flags.SourceDataset = None,
    backbone: flags.Backbone = None,
    source: flags.Source = None,
    teacher: flags.Teacher = None,
    epochs: flags.Epochs = None,
    settings: flags.Settings = None,
    source_settings: flags.SourceSettings = None,
    imports: flags.Imports = None,
    design: flags.Design = None,
    search: flags.Search = None,
    trials: flags.Trials = None,
    seeds: flags.Seeds = None,
    confirm: flags.Confirm = None,
    scratch: flags.Scratch = True,
    seed: flags.Seed = 0,
    scheduler: flags.Scheduler = None,
    grace_period: flags.GracePeriod = None,
    reduction_factor: flags.ReductionFactor = 3.0,
    time_budget: flags.TimeBudget = None,
    gpus: flags.Gpus = None,
    trials_per_gpu: flags.TrialsPerGpu = "1",
    cpus: flags.Cpus = None,
    address: flags.Address = None,
    results: flags.Results = RESULTS,
    name: flags.Name = None,
    keep_top: flags.KeepTop = 1,
    dry_run: flags.DryRun = False,
) -> None:
    """Run a search space."""
    options = SweepOptions(
        space=str(ctx.info_name),
        dataset=dataset,
        data_dir=data_dir,
        cache_dir=cache_dir,
        backbone=backbone,
        source=source,
        teacher=teacher,
        limit_train=limit_train,
        imports=tuple(imports or ()),
        epochs=epochs,
        design=design,
        trials=trials,
        search=search,
        scheduler=scheduler,
        grace_period=grace_period,
        reduction_factor=reduction_factor,
        gpus=gpus,
        trials_per_gpu=read.sharing("--trials-per-gpu", trials_per_gpu),
        cpus=cpus,
        seeds=seeds,
        confirm=confirm,
        scratch=scratch,
        keep_top=keep_top,
        seed=seed,
        time_budget=None if time_budget is None else read.seconds("--time-budget", time_budget),
        results=results,
        name=name,
        address=address,
        settings=tuple(settings or ()),
        source_dataset=source_dataset,
        source_settings=tuple(source_settings or ()),
    )
    if dry_run:
        from sweep.report.dry_run import print_plan

        print_plan(options, console)
        return
    check_overrides(options)
    with console.status("Starting …"):
        if ctx.obj:
            start_early(options)
        from sweep.report.tables import print_result
        from sweep.study import Study
    study = Study(options, console)
    for result in study.run():
        print_result(result, console)
        draw_pictures(result, console)
    raise typer.Exit(study.exit_code)


for _name, _question in builtin_spaces().items():
    if _name == "pretrain":  # a command of its own
        continue
    app.command(_name, help=_question, rich_help_panel="Search spaces")(run_space)
app.command(
    ANY_SPACE, help="Your own file, with BASE and SPACE.", rich_help_panel="Search spaces"
)(run_space)


add_model_commands(app, console)


@app.command("list", rich_help_panel="Sweeps")
def list_command(results: ResultsOption = RESULTS) -> None:
    """List the sweeps, finished and running, with their disk use."""
    from sweep.catalog import list_sweeps
    from sweep.report.listing import sweeps_table

    entries = list_sweeps(results)
    if not entries:
        console.print(
            f"No sweeps in {results} yet. Try: python -m sweep ablation --dataset digits"
        )
        return
    console.print(sweeps_table(entries))
    for problem in (line for entry in entries for line in entry.problems):
        console.print(escape(problem), style="red", highlight=False, soft_wrap=True)


@app.command("show", rich_help_panel="Sweeps")
def show_command(
    name: Annotated[str, typer.Argument(help="Name of the sweep.")],
    effects_anyway: Annotated[
        bool,
        typer.Option("--effects-anyway", help="Show effects although trials were stopped early."),
    ] = False,
    results: ResultsOption = RESULTS,
) -> None:
    """Show a sweep: top configurations, what mattered, winner."""
    from sweep.report.summary import load_result
    from sweep.report.tables import print_result

    result = load_result(results, name, effects_anyway=effects_anyway)
    if effects_anyway and result.effects.empty:
        why = result.analysis.refused or "it has no trials or varies nothing."
        raise BadInput(f"--effects-anyway: {name} has no effects to show. {why}")
    print_result(result, console)


@app.command("pictures", rich_help_panel="Sweeps")
def pictures_command(
    name: Annotated[str, typer.Argument(help="Name of the sweep.")],
    layer: Annotated[
        str | None,
        typer.Option(help="Also show this layer's feature maps, before and after training."),
    ] = None,
    imports: flags.Imports = None,
    results: ResultsOption = RESULTS,
) -> None:
    """Draw a sweep: curves, strategies, confusion matrix, right and wrong predictions."""
    from sweep.report.summary import load_result

    load_modules(imports)
    result = load_result(results, name)
    whole = draw_pictures(result, console)
    if layer is not None:
        from sweep.report.feature_maps import draw_feature_maps

        console.print(str(draw_feature_maps(result, layer)), highlight=False)
    raise typer.Exit(0 if whole else 1)


@app.command("delete", rich_help_panel="Sweeps")
def delete_command(
    name: Annotated[str, typer.Argument(help="Name of the sweep.")],
    results: ResultsOption = RESULTS,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Also if it ran elsewhere and may still run.")
    ] = False,
) -> None:
    """Delete a sweep and all its rows, damaged or not."""
    from sweep.catalog import check_deletable, delete_sweep
    from sweep.report.listing import size

    check_deletable(results, name, force=force)
    if not yes:
        typer.confirm(f"Delete {name} and every row of it?", abort=True)
    freed = size(delete_sweep(results, name, force=force))
    console.print(f"Deleted {name}: {freed} freed.", highlight=False)


@app.command("spaces", rich_help_panel="What there is")
def spaces_command() -> None:
    """List the search spaces."""
    table = Table("space", "question", box=None)
    for name, question in builtin_spaces().items():
        table.add_row(name, question)
    console.print(table)


@app.command("settings", rich_help_panel="What there is")
def settings_command() -> None:
    """List the fields of TrainConfig, which `--set KEY=VALUE` fixes."""
    table = Table("setting", "default", "allowed", "what it decides", box=None)
    for field in FIELDS.values():
        unit = f" ({field.metadata['unit']})" if field.metadata["unit"] else ""
        about = escape(f"{field.metadata['description']}{unit}")
        table.add_row(field.name, escape(str(field.default)), allowed(field.name), about)
    console.print(table, highlight=False)


@app.command("datasets", rich_help_panel="What there is")
def datasets_command() -> None:
    """List the data sets."""
    from sweep.report.listing import datasets_table

    console.print(datasets_table())


@app.command("models", rich_help_panel="What there is")
def models_command(
    pattern: Annotated[
        str | None, typer.Argument(help="Show timm's models that match, such as 'resnet*'.")
    ] = None,
) -> None:
    """List our own models and, by pattern, timm's."""
    from sweep.report.listing import models_table

    console.print(models_table(pattern))


def draw_pictures(result: Any, console: Console) -> bool:
    """Draw a sweep's pictures and say where they are; whether all could be drawn."""
    from sweep.faults import Faults

    faults = Faults()
    files = []
    with console.status("Drawing …"), faults.noted("drawing"):
        from sweep.report.pictures import draw

        files = draw(result, faults)
    if files:
        names = ", ".join(file.stem for file in files)
        console.print(
            f"Pictures: {files[0].parent} ({names})", style="dim", highlight=False, soft_wrap=True
        )
    for line in faults.lines:
        console.print(escape(line), style="red", highlight=False)
    return not faults.lines


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; bad input is one line on stderr and exit code 2."""
    command = typer.main.get_command(app)
    try:
        code = command.main(
            args=arguments, prog_name=PROGRAM, standalone_mode=False,
            obj=arguments is None,  # a process of its own, which may start things early
        )  # fmt: skip
    except (Unfinished, UnsoundWeights) as error:
        _refuse(str(error), exit_code=1)
    except BadInput as error:
        _refuse(str(error))
    except CommandLineError as error:
        _refuse(" ".join(getattr(error, "format_message", error.__str__)().split()))
    except typer.Abort:
        code = INTERRUPTED
    finally:
        if arguments is None:
            stop_early()
    if code == INTERRUPTED:
        errors.print("Interrupted.")
    sys.exit(code if isinstance(code, int) else 0)


def _refuse(message: str, exit_code: int = 2) -> None:
    errors.print(f"[bold red]error:[/bold red] {escape(message)}", highlight=False, soft_wrap=True)
    sys.exit(exit_code)
