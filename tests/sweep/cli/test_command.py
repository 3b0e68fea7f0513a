"""The console command beside `python -m sweep`."""

import os
import pkgutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from sweep.__main__ import main


def typed(*program):
    """What `PROGRAM --help` prints: the line of usage, and the others."""
    source = "import sys; sys.argv = sys.argv[1:]; from sweep.__main__ import main; main()"
    words = [sys.executable, "-c", source] if program == ("tl-sweep",) else [sys.executable]
    environment = {**os.environ, "COLUMNS": "100", "TERM": "dumb"}
    done = subprocess.run(
        [*words, *program, "--help"], capture_output=True, text=True, env=environment, check=True
    )
    usage, *rest = (line.strip() for line in done.stdout.splitlines() if line.strip())
    return usage, rest


def test_both_commands_have_one_help_that_names_what_was_typed():
    usage, module = typed("-m", "sweep")
    assert usage == "Usage: python -m sweep [OPTIONS] COMMAND [ARGS]..."
    usage, command = typed("tl-sweep")
    assert usage == "Usage: tl-sweep [OPTIONS] COMMAND [ARGS]..."
    panel = next(n for n, line in enumerate(module) if "Search spaces" in line)
    assert command[-len(module[panel:]) :] == module[panel:]
    assert any("--install-completion" in line for line in command)
    assert not any("completion" in line for line in module)


def test_the_command_is_installed_as_the_module_is_run():
    project = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())["project"]
    assert pkgutil.resolve_name(project["scripts"]["tl-sweep"]) is main


@pytest.mark.parametrize(("words", "place", "found"), [
    ("tl-sweep ab", "1", ["ablation"]), ("tl-sweep show --eff", "2", ["--effects-anyway"]),
])  # fmt: skip
def test_a_shell_completes_what_is_typed(words, place, found):
    source = "import sys; sys.argv = ['tl-sweep']; from sweep.__main__ import main; main()"
    asked = {"_TL_SWEEP_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": place}
    done = subprocess.run(
        [sys.executable, "-c", source],
        capture_output=True, text=True, env={**os.environ, **asked}, check=True,
    )  # fmt: skip
    assert done.stdout.split() == found


def test_a_command_ends_with_all_that_was_to_be_done_at_the_end(tmp_path):
    """Its modules are not taken apart; what they have registered is called all the same."""
    module = tmp_path / "mine.py"
    module.write_text(
        "import atexit, threading\n"
        "atexit.register(print, 'registered', end='')\n"  # flushed by the command alone
        "ends = threading.main_thread().join\n"
        "threading.Thread(target=lambda: (ends(), print('thread'))).start()\n"
        "file = open('left_open', 'w')\n"
        "file.write('text')\n"
    )
    for data, code in (("digits", 0), ("nowhere", 2)):
        words = ["ablation", "--dataset", data, "--dry-run", "--import", module]
        done = subprocess.run(
            [sys.executable, "-m", "sweep", *words],
            capture_output=True, text=True, cwd=tmp_path, check=False,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )  # fmt: skip
        assert done.returncode == code
        assert done.stdout.endswith("thread\nregistered")
        assert (tmp_path / "left_open").read_text() == "text"
        assert ("Warning" in done.stderr, done.stderr == "") == (False, code == 0)


def test_what_was_registered_before_the_command_is_called_too(tmp_path):
    """Such as what measures coverage from a file of site-packages."""
    (tmp_path / "sitecustomize.py").write_text("import atexit; atexit.register(print, 'before')")
    done = subprocess.run(
        [sys.executable, "-m", "sweep", "spaces"],
        capture_output=True, text=True, cwd=tmp_path, check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])},
    )  # fmt: skip
    assert done.stdout.endswith("before\n")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
def test_a_command_that_still_loads_is_interrupted_in_one_line(tmp_path):
    """The first module that it loads sends the signal in its place."""
    (tmp_path / "typer.py").write_text("import os; os.kill(os.getpid(), 2)")
    done = subprocess.run(
        [sys.executable, "-m", "sweep", "spaces"],
        capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])},
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "Interrupted.\n")


@pytest.mark.skipif(sys.platform == "win32", reason="has no /bin/sh")
@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_standard_files_are_in_nobodys_way(tmp_path, closed):
    """Files opened later would have their numbers, and be written what is printed."""
    module = tmp_path / "mine.py"
    module.write_text(
        "import os\n"
        "kept = [os.open(os.devnull, os.O_RDWR) for _ in range(2)]\n"
        "open('found', 'w').write(str(min(kept)))\n"
    )
    command = f"{sys.executable} -m sweep ablation --dataset digits --dry-run --import {module}"
    done = subprocess.run(
        f"{command} {closed}",
        shell=True, capture_output=True, text=True, cwd=tmp_path, check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert int((tmp_path / "found").read_text()) > 2
    assert ("trials" in done.stdout) == (">&-" not in closed or closed == "2>&-")


def test_an_error_that_no_command_expects_is_shown_and_counts_as_failure():
    source = (
        "import sys; sys.argv = ['tl-sweep', 'spaces']; from sweep.cli import main\n"
        "main._run = lambda *given, **named: 1 / 0\n"
        "import sweep.__main__; sweep.__main__.main()"
    )
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True)
    assert done.returncode == 1
    assert "ZeroDivisionError" in done.stderr
