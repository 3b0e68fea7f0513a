"""Every option on the command line, in Python, in the command that is kept and in the help."""

import inspect
import shlex

import pytest
import typer

from sweep import run, run_all
from sweep.cli import space_command as command_line
from sweep.cli.main import app
from sweep.options import spaces
from sweep.options.option import argument, flag, words
from sweep.options.spaces import builtin_spaces
from sweep.options.sweep_options import FLAGS, SweepOptions, space_command
from tl_core.errors import BadInput

VALUES = (False, True, 9, "9x9")


def another(name):
    """Options of which this one alone is not as by default."""
    for value in VALUES:
        try:
            options = SweepOptions(space="ablation", **{name: value})
        except BadInput:
            continue
        if options.given() == [name]:
            return options
    return pytest.fail(f"{name} takes none of {VALUES}")


@pytest.fixture
def typed(call, monkeypatch):
    """typed(words) → the options that the command line makes of them."""
    asked = []

    def take(options, console):
        asked.append(options)
        raise BadInput("taken")

    monkeypatch.setattr(command_line, "Study", take)

    def options_of(*arguments):
        assert call(*arguments)[2] == "error: taken\n"
        return asked.pop()

    return options_of


@pytest.mark.parametrize("name", FLAGS)
def test_an_option_is_written_as_it_is_read(typed, name):
    options, field = another(name), FLAGS[name]
    written = words(field, getattr(options, name))
    assert typed("ablation", *written) == options
    kept = shlex.split(space_command(options))
    assert kept == ["python", "-m", "sweep", "ablation", *written] or field.metadata["explores"]


def test_what_is_not_given_is_as_in_python(typed):
    assert typed("ablation") == SweepOptions(space="ablation")


@pytest.mark.parametrize("function", [run, run_all])
def test_the_functions_tell_of_every_option(function):
    parameters = inspect.signature(function).parameters
    assert list(parameters) == ["space", *map(argument, FLAGS.values()), "quiet"]
    for field in FLAGS.values():
        assert f"    {argument(field)}: {field.metadata['help']}" in function.__doc__
        assert parameters[argument(field)].default == field.default


def test_every_option_is_described_and_refused_by_its_flag():
    panels = {field.metadata["panel"] for field in FLAGS.values()}
    assert panels == {"Data", "Model and training", "Search", "Machine", "Output"}
    for name, field in FLAGS.items():
        assert field.metadata["help"].endswith(".")
        with pytest.raises(BadInput, match=f"^{flag(field)} "):
            SweepOptions(space="ablation", **{name: object()})


def test_the_names_of_options_in_python():
    assert argument(FLAGS["settings"]) == "set"
    assert argument(FLAGS["source_settings"]) == "source_set"
    assert argument(FLAGS["imports"]) == "imports"
    with pytest.raises(BadInput, match="sets= is no option; did you mean set"):
        run("ablation", sets={})


GROUP = typer.main.get_command(app)


def examples(command):
    return [line for line in command.epilog.splitlines() if line.startswith("python")]


@pytest.mark.parametrize("name", [*builtin_spaces(), "PATH.py"])
def test_the_examples_of_the_help_can_be_run(call, write_file, tmp_path, monkeypatch, name):
    if name == "pretrain":
        return
    monkeypatch.chdir(tmp_path)
    write_file('BASE = TrainConfig()\nSPACE = {"width": Choice(4, 8)}')
    for label in ("a", "b"):
        (tmp_path / "photos" / label).mkdir(parents=True)
        for number in range(20):
            (tmp_path / "photos" / label / f"{number}.png").touch()
    group = GROUP if name == "ablation" else None
    for line in [*examples(GROUP.commands[name]), *(examples(group) if group else [])]:
        assert len(line) <= 78
        code, _, err = call(*line.split()[3:], "--dry-run")
        assert (code, err) == (0, ""), line


def test_the_files_of_the_spaces_are_read_once(monkeypatch):
    builtin_spaces()
    monkeypatch.setattr(spaces.ast, "parse", lambda text: pytest.fail("read again"))
    assert "ablation" in builtin_spaces()
