"""The command line. Typer and Rich only at import: torch, ray and pandas load on demand."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from typer.core import TyperGroup

from sweep import __version__
from sweep.cli import choices_commands, model_commands, sweep_commands
from sweep.cli.console import console, errors
from sweep.cli.space_command import examples_of, run_space
from sweep.driver.ray_cluster import stop_early
from sweep.driver.unfinished import Unfinished
from sweep.options.spaces import builtin_spaces
from tl_core.errors import BadInput, UnsoundWeights

try:
    from typer.exceptions import TyperException as CommandLineError
except ImportError:  # Typer before it had exceptions of its own
    from click import ClickException as CommandLineError  # type: ignore[assignment]

INTERRUPTED = 130
PROGRAM = "tl-sweep" if Path(sys.argv[0]).stem == "tl-sweep" else "python -m sweep"
"""What was typed; a shell can complete the arguments of the first alone."""
ANY_SPACE = "PATH.py"
"""Help entry of the command that runs a user's own file."""
_EXAMPLES = """Examples:

python -m sweep ablation --dataset digits

python -m sweep transfer --dataset folder:photos --time-budget 2h

python -m sweep ./my_space.py --dry-run"""


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
    epilog=_EXAMPLES,
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


SPACES = {
    **{name: about for name, about in builtin_spaces().items() if name != "pretrain"},
    ANY_SPACE: "Your own file, with BASE and SPACE.",
}
for _name, _question in SPACES.items():
    _shown = "./my_space.py" if _name == ANY_SPACE else _name
    app.command(
        _name, help=_question, epilog=examples_of(_shown), rich_help_panel="Search spaces"
    )(run_space)

COMMANDS: dict[str, dict[str, Callable[..., None]]] = {
    "Models": {
        "pretrain": model_commands.pretrain_command,
        "sources": model_commands.sources_command,
        "predict": model_commands.predict_command,
        "export": model_commands.export_command,
    },
    "Sweeps": {
        "list": sweep_commands.list_command,
        "show": sweep_commands.show_command,
        "pictures": sweep_commands.pictures_command,
        "delete": sweep_commands.delete_command,
    },
    "What there is": {
        "spaces": choices_commands.spaces_command,
        "settings": choices_commands.settings_command,
        "datasets": choices_commands.datasets_command,
        "models": choices_commands.models_command,
    },
}
"""Panel of `--help` → its commands."""
for _panel, _commands in COMMANDS.items():
    for _name, _command in _commands.items():
        app.command(_name, rich_help_panel=_panel)(_command)


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
