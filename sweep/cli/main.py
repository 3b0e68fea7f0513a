"""The command line. Typer and Rich only at import: torch, ray and pandas load on demand."""

import signal
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from typer.core import TyperGroup

from sweep import __version__
from sweep.cli import choices_commands, model_commands, sweep_commands
from sweep.cli.console import console, errors
from sweep.cli.space_command import run_space
from sweep.driver.unfinished import Unfinished
from sweep.engine.early_start import stop_early
from sweep.options.spaces import builtin_spaces
from sweep.signals import INTERRUPTED, take
from tl_core.errors import BadInput, UnsoundWeights, printable
from tl_core.machine.disk import is_full, refusal
from tl_core.machine.torch_compiler import put_off_compiler

try:
    from typer.exceptions import TyperException as CommandLineError
except ImportError:  # Typer before it had exceptions of its own
    from click import ClickException as CommandLineError  # type: ignore[assignment]

PROGRAM = "tl-sweep" if Path(sys.argv[0]).stem == "tl-sweep" else "python -m sweep"
"""What was typed; a shell can complete the arguments of the first alone."""
ANY_SPACE = "PATH.py"
"""Help entry of the command that runs a user's own file."""


def _examples(*arguments: str) -> str:
    """Examples for the end of a command's `--help`."""
    return "\n\n".join(["Examples:", *(f"python -m sweep {words}" for words in arguments)])


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
    "[bold]python -m sweep NAME[/bold] runs the search space NAME, or the file PATH.py; "
    "[bold]NAME --help[/bold] lists the options of a sweep.",
    epilog=_examples(
        "ablation --dataset digits",
        "transfer --dataset folder:photos --time-budget 2h",
        "./my_space.py --dry-run",
    ),
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


for _name, _question in {**builtin_spaces(), ANY_SPACE: "Your file with BASE and SPACE."}.items():
    if _name == "pretrain":  # a command of its own
        continue
    _shown = "./my_space.py" if _name == ANY_SPACE else _name
    _ends = ("--dry-run", "--dataset folder:photos --epochs 20", "--set batch_size=64 --name mine")
    _epilog = _examples(*(f"{_shown} {end}" for end in _ends))
    app.command(_name, help=_question, epilog=_epilog, rich_help_panel="Search spaces")(run_space)

for _panel, _module, _names in (
    ("Models", model_commands, ("pretrain", "sources", "predict", "export")),
    ("Sweeps", sweep_commands, ("list", "show", "pictures", "resume", "retry", "delete")),
    ("What there is", choices_commands, ("spaces", "settings", "datasets", "models")),
):
    for _name in _names:
        app.command(_name, rich_help_panel=_panel)(getattr(_module, f"{_name}_command"))


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; bad input is one line on stderr and exit code 2."""
    own_process = arguments is None
    if own_process:
        put_off_compiler()
        take(signal.default_int_handler)
    try:
        code = _run(arguments, own_process=own_process)
    except SystemExit as left:  # Typer's, after it has completed what a shell asked for
        code = left.code if isinstance(left.code, int) else int(left.code is not None)
    except KeyboardInterrupt:
        code = INTERRUPTED
    except typer.Abort as abort:
        if isinstance(abort.__cause__, EOFError):  # of a file: Click takes it for Ctrl-D
            raise abort.__cause__ from None
        code = INTERRUPTED
    if code == INTERRUPTED:
        if own_process:
            take(signal.SIG_DFL)  # who asks again need not wait for what is still ending
        errors.print("Interrupted.")
    sys.exit(code)


def _run(arguments: list[str] | None, *, own_process: bool) -> int:
    """Run a command; its exit code."""
    command = typer.main.get_command(app)
    try:
        code = command.main(
            args=arguments, prog_name=PROGRAM, standalone_mode=False,
            obj=own_process,  # which may start things early
        )  # fmt: skip
        return code if isinstance(code, int) else 0
    except (Unfinished, UnsoundWeights) as error:
        return _refused(str(error), exit_code=1)
    except BadInput as error:
        return _refused(str(error))
    except OSError as error:
        line = refusal(error)
        if is_full(error):
            line = line or f"A file cannot be written ({error.strerror}); free some space."
        if line is None:
            raise
        return _refused(line, exit_code=1 if is_full(error) else 2)
    except CommandLineError as error:
        message = getattr(error, "format_message", error.__str__)()
        return _refused(printable(" ".join(message.split())))
    finally:
        if own_process:
            stop_early()


def _refused(message: str, exit_code: int = 2) -> int:
    errors.print(f"[bold red]error:[/bold red] {escape(message)}", highlight=False, soft_wrap=True)
    return exit_code
