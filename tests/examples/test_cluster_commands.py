"""Every `python -m sweep` of the cluster examples and their page is a command that exists."""

from typing import Any

import pytest
import typer
from cluster_files import FOLDER, PAGE, TEXTS, commands

from sweep.cli.main import app, main
from sweep.options.spaces import builtin_spaces

COMMANDS = [(path.name, tuple(words)) for path in TEXTS for words in commands(path)]


@pytest.fixture
def parsed() -> Any:
    """parsed(words) → the values that the command line reads; raises where it refuses them."""
    group = typer.main.get_command(app)

    def of(words: tuple[str, ...]) -> dict[str, Any]:
        assert words[0] in group.commands, words  # else it would be taken for a space's file
        command = group.commands[words[0]]
        return command.make_context(words[0], list(words[1:])).params

    return of


@pytest.mark.parametrize(("file", "words"), COMMANDS)
def test_a_command_is_one_that_exists(parsed: Any, file: str, words: tuple[str, ...]) -> None:
    parsed(words)


def test_a_command_with_an_option_that_is_gone_is_found(parsed: Any) -> None:
    with pytest.raises(Exception, match="--join"):
        parsed(("ablation", "--join", "auto"))


@pytest.mark.parametrize("file", ["sweep.sbatch", "sweep.sh", PAGE.name])
def test_a_file_starts_a_sweep_in_the_cluster_and_resumes_it(parsed: Any, file: str) -> None:
    found = {words[0]: parsed(words) for name, words in COMMANDS if name == file}
    assert {"ablation", "resume"} <= set(found)
    for name in ("ablation", "resume"):
        assert found[name]["address"]
    assert found["ablation"]["name"] == found["resume"]["name"]


@pytest.mark.parametrize(
    "words", dict.fromkeys(words for _, words in COMMANDS if words[0] in builtin_spaces())
)
def test_a_sweep_of_the_examples_can_be_planned(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main([*words, "--dry-run"])
    said = capsys.readouterr()
    assert (ended.value.code, said.err) == (0, "")
    assert ("those of the cluster at" in said.out) == ("--address" in words)


def test_scripts_and_manifests_are_named_by_the_page() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert not [path.name for path in FOLDER.iterdir() if path.name not in text]
