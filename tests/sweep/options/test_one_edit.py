"""One option, one edit: a field of SweepOptions is all that an option needs."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import sweep

FIELD = """    batch: int | None = option(
        None, read.Whole(2), MACHINE, "Images of one step.",
        at_source=SAME, flags=("--batch-of",), sets="batch_size", pretrain=True,
    )
"""
PROBE = """
import contextlib, inspect, io, json
from sweep import api
from sweep.cli import main as cli, space_command as command_line
from sweep.options.sweep_options import SweepOptions, space_command
from sweep.plan.at_source import source_options
from tl_core.errors import BadInput

asked = []

def take(options, *rest):
    asked.append(options)
    raise BadInput("taken")

def said(*words):
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
        with contextlib.suppress(SystemExit):
            cli.main(list(words))
    return " ".join(out.getvalue().split())

command_line.Study = api.sweeps_of = take
refused = said("ablation", "--batch-of", "1")
said("ablation", "--batch-of", "8")
with contextlib.suppress(BadInput):
    api.run("ablation", batch_of=8)
typed, from_python = asked
print(json.dumps({
    "help": said("ablation", "--help"), "pretrain": said("pretrain", "--help"),
    "refused": refused, "same": typed == from_python, "value": typed.batch,
    "fixes": typed.overrides["batch_size"], "command": space_command(typed),
    "at source": source_options(typed).batch, "doc": api.run.__doc__,
    "arguments": list(inspect.signature(api.run_all).parameters),
}))
"""


@pytest.fixture
def with_one_more_field(tmp_path):
    """What is known of an option whose field alone was added to a copy of the package."""
    source = Path(sweep.__file__).parent
    shutil.copytree(source, tmp_path / "sweep", ignore=shutil.ignore_patterns("__pycache__"))
    file = tmp_path / "sweep" / "options" / "sweep_options.py"
    text = file.read_text(encoding="utf-8")
    assert text.count("    # fmt: on\n") == 1
    file.write_text(text.replace("    # fmt: on\n", f"{FIELD}    # fmt: on\n"), encoding="utf-8")
    path = os.pathsep.join([str(tmp_path), str(source.parent)])
    done = subprocess.run(
        [sys.executable, "-c", PROBE], capture_output=True, text=True, cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": path, "COLUMNS": "200"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.slow
def test_a_field_alone_makes_an_option(with_one_more_field):
    found = with_one_more_field
    for text in (found["help"], found["pretrain"]):
        assert "--batch-of N>=2 Images of one step." in text
    assert "--batch-of 1: write a whole number from 2 on." in found["refused"]
    assert (found["same"], found["value"], found["fixes"], found["at source"]) == (True, 8, 8, 8)
    assert found["command"] == "python -m sweep ablation --batch-of 8"
    assert "batch_of: Images of one step." in found["doc"]
    assert "batch_of" in found["arguments"]
