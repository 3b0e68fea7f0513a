"""Command lines of random arguments, run in this process without training anything."""

import contextlib
import io
from collections.abc import Callable
from pathlib import Path
from random import Random

# What commands import on first use, before any time limit could cut an import off.
import matplotlib.pyplot  # noqa: F401
import optuna  # noqa: F401
import timm  # noqa: F401
import torch.fx.experimental.symbolic_shapes  # noqa: F401

import sweep.cli.dry_run
import sweep.report.pictures.sweep_pictures
import sweep.use.export
import sweep.use.prediction  # noqa: F401
from sweep.cli import console as consoles
from sweep.cli.main import main
from sweep.options.option import flag
from sweep.options.sweep_options import FLAGS
from tl_core.config import FIELDS

SPACES = ("ablation", "transfer", "./no_such_space.py", "cifar10_to_emnist", "[/]")
COMMANDS = ("list", "show", "delete", "sources", "predict", "export", "pictures", "nothing", "")
NOT_TRIED = ("imports", "results", "address", "cache_dir", "data_dir")
"""Options that run the user's code, or name folders and clusters."""
CODE = "__import__('os').system('touch {canary}')"
VALUES = (
    "", " ", "0", "1", "-1", "2", "7", "1e999", "-1e999", "nan", "inf", "1e-400", "9" * 30,
    "9" * 5000, "none", "auto", "true", "x", "٣", "１２", "½", "é", "\x1b[2J", "a\nb",
    "[bold]x[/]", "[/]", "=1+1", "../..", "/", "/dev/zero", "~nobody/x", "a" * 5000, "digits",
    "shapes", "folder:", "folder:/dev", "parquet:/dev/null", "optuna", "grid", "one-at-a-time",
    "5x3", "0x0", "2h", "100,all", ",", "=", "lr=0.1", "batch_size=64,128", "model_args=a=b",
    "--", "-", "{canary}", "$(touch {canary})", CODE, "lambda: 0", "{{}}", "(" * 2000,
    "-" * 2000 + "1", "%s%n", "\udce9",
)  # fmt: skip


def command_line_case(folder: Path) -> Callable[[Random], str]:
    """Cases of whole command lines; what would train has `--dry-run`."""
    canary = str(folder / "canary")

    def case(rng: Random) -> str:
        arguments = [text.replace("{canary}", canary) for text in random_arguments(rng)]
        places = ["--results", str(folder / "no-results")]
        return run_command_line([arguments[0], *places, *arguments[1:]])

    return case


def random_arguments(rng: Random) -> list[str]:
    """A command with up to four random options; of a space with `--dry-run` first."""
    if rng.random() < 0.2:
        return [rng.choice(COMMANDS), *(rng.choice(VALUES) for _ in range(rng.randint(0, 2)))]
    arguments = [rng.choice(SPACES), "--dry-run"]
    if rng.random() < 0.8:
        arguments += ["--dataset", "digits"]
    names = [name for name in FLAGS if name not in NOT_TRIED]
    for _ in range(rng.choice((0, 1, 1, 1, 2, 4))):
        if rng.random() < 0.4:
            arguments += ["--set", f"{rng.choice([*FIELDS, 'no_field'])}={rng.choice(VALUES)}"]
        else:
            field = FLAGS[rng.choice(names)]
            arguments.append((field.metadata["flags"] or (flag(field),))[0])
            arguments += [rng.choice(VALUES)] if field.type is not bool else []
    return arguments


def run_command_line(arguments: list[str]) -> str:
    """The outcome; raises where the exit code is no 0 or 2, or an answer has escape sequences."""
    said, errors = io.StringIO(), io.StringIO()
    try:
        consoles.console.file, consoles.errors.file = said, errors
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(errors):
            main(arguments)
    except SystemExit as end:
        code = end.code
    finally:
        consoles.console.file = consoles.errors.file = None  # those of the process again
    text = said.getvalue() + errors.getvalue()
    assert code in (0, 2), f"exit code {code}: {errors.getvalue()}"
    assert "Traceback" not in text, "a traceback"
    assert "\x1b" not in text, "an escape sequence"
    if code == 2:
        assert errors.getvalue().count("\n") == 1, f"not one line: {errors.getvalue()}"
    return "refused" if code else "accepted"
