import subprocess
import sys

import pytest
import typer

from sweep import __version__
from sweep.cli.main import app
from sweep.driver import one_sweep
from sweep.options import overrides, spaces
from sweep.options.spaces import builtin_spaces
from sweep.plan.names import RESERVED_NAMES
from tl_core.config import TrainConfig
from tl_core.errors import BadInput
from tl_core.models import build_model
from tl_core.weights.weights_file import save_weights

pytestmark = pytest.mark.usefixtures("no_sweep")

COMMANDS = sorted({
    "PATH.py", *builtin_spaces(), "pretrain", "sources", "predict", "export",
    "list", "show", "pictures", "resume", "retry",
    "delete", "datasets", "models", "settings", "spaces",
})  # fmt: skip
DATA_AND_MODEL = {
    "--dataset": None, "--data-dir": None, "--cache-dir": None, "--limit-train": None,
    "--backbone": None, "--source": None, "--weights": None, "--teacher": None, "--epochs": None,
    "--set": None, "--import": None, "--seed": "0", "--gpus": None, "--cpus": None,
    "--deterministic": False, "--results": "results", "--name": None,
}  # fmt: skip
SPACE_OPTIONS = {
    **DATA_AND_MODEL, "--source-dataset": None, "--source-set": None, "--design": None,
    "--search": None, "--trials": None, "--seeds": None, "--scratch": True, "--confirm": None,
    "--scheduler": None, "--grace-period": None, "--reduction-factor": "3.0",
    "--time-budget": None, "--trials-per-gpu": None, "--address": None, "--insecure": False,
    "--keep-top": "1", "--dry-run": False, "--trial-timeout": None, "--retries": "1",
    "--max-failures": None,
}  # fmt: skip
OF_THIS_RUN = {
    "--force": False, "--results": "results", "--time-budget": None, "--gpus": None,
    "--trials-per-gpu": None, "--cpus": None, "--address": None, "--insecure": False,
}  # fmt: skip
OTHER_OPTIONS = {
    "settings": {},
    "list": {"--json": False, "--results": "results"},
    "show": {"name": None, "--effects-anyway": False, "--errors": False, "--json": False,
             "--results": "results"},
    "pictures": {"name": None, "--layer": None, "--import": None, "--results": "results"},
    "resume": {"name": None, "--more-trials": "0", "--epochs": None, **OF_THIS_RUN},
    "retry": {"name": None, **OF_THIS_RUN},
    "delete": {"name": None, "--results": "results", "--yes": False, "-y": False,
               "--force": False},
    "spaces": {},
    "datasets": {},
    "models": {"pattern": None},
    "pretrain": {**DATA_AND_MODEL, "--from": None},
    "sources": {"--results": "results"},
    "predict": {
        "name": None, "images": None, "--top-k": "1", "--top": "1", "--out": None,
        "--device": "auto", "--import": None, "--results": "results",
    },
    "export": {
        "name": None, "--format": "safetensors", "--out": None, "--import": None,
        "--results": "results",
    },
}  # fmt: skip


def options_of(command):
    named = {}
    for parameter in command.params:
        default = parameter.default
        plain = default if default is None or isinstance(default, int | float) else str(default)
        named |= dict.fromkeys(parameter.opts, plain)
    named.pop("--help", None)
    return named


def test_the_command_line_is_as_it_was():
    group = typer.main.get_command(app)
    assert sorted(group.commands) == COMMANDS
    assert {"ablation", "transfer"} <= set(builtin_spaces())
    for name, command in group.commands.items():
        expected = OTHER_OPTIONS.get(name, SPACE_OPTIONS)
        assert options_of(command) == expected, name
    assert options_of(group) == {"--version": False}


def test_no_sweep_may_be_called_like_a_command():
    assert set(typer.main.get_command(app).commands) - {"PATH.py"} == RESERVED_NAMES


def test_help_loads_nothing_heavy():
    code = (
        "import sys\nfrom sweep.cli.main import main\n"
        "for words in (['--help'], ['ablation', '--help']):\n"
        "    try:\n        main(words)\n    except SystemExit as ended:\n"
        "        assert ended.code == 0\n"
        "heavy = {'torch', 'ray', 'pandas', 'optuna', 'numpy', 'timm', 'pyarrow'}\n"
        "print('loaded:', *sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "loaded:"
    assert "Which of batch size" in done.stdout
    assert "--dry-run" in done.stdout


def test_the_version(call):
    assert call("--version") == (0, f"tl-sweep {__version__}\n", "")


def test_a_source_of_other_channels_and_classes_says_what_was_adapted(
    call, sweep_arguments, tmp_path, monkeypatch
):
    config = TrainConfig()
    model = build_model(config, channels=3, num_classes=7, image_size=32)
    about = {"config": config, "classes": "abcdefg", "mean": [0.5] * 3, "std": [0.5] * 3}
    save_weights(tmp_path / "mine.safetensors", model, image_size=32, **about)

    def start(self):
        raise BadInput("started")

    monkeypatch.setattr(one_sweep.OneSweep, "run", start)
    code, out, err = call(*sweep_arguments, "--source", tmp_path / "mine.safetensors")
    assert (code, err) == (2, "error: started\n")
    line = " ".join(out.split())
    assert "tensors of residual from mine.safetensors; new: head" in line
    assert f"adapted: {model.first_conv}.weight" in line


def test_a_dry_run_says_what_would_run_and_writes_nothing(call, sweep_arguments, tmp_path):
    code, out, err = call(*sweep_arguments, "--trials", 24, "--epochs", 3, "--dry-run")
    assert (code, err) == (0, "")
    assert "24 = 24 configurations" in out
    assert not (tmp_path / "results").exists()


def test_a_users_space_is_a_command(call, refused, write_file, tmp_path):
    path = write_file('BASE = TrainConfig(epochs=2)\nSPACE = {"lr": Choice(0.1, 0.2)}')
    code, out, _ = call(path, "--dry-run", "--results", tmp_path)
    assert code == 0
    assert "my_space-" in out
    bad = write_file("SPACE = {}\n", "bad.py")
    assert refused(bad, "--dry-run") == ("bad.py: a search space needs BASE = TrainConfig(...).")


def test_what_there_is(call, refused):
    assert "ablation" in call("spaces")[1]
    assert "digits" in call("datasets")[1]
    assert "residual" in call("models")[1]
    assert "timm:test_resnet" in call("models", "test_res*")[1]
    assert "no timm model matches" in refused("models", "zzz*")


def test_an_interrupt_ends_with_130(call, monkeypatch):
    def interrupt():
        raise KeyboardInterrupt

    monkeypatch.setattr("sweep.report.listing.datasets_table", interrupt)
    code, _, err = call("datasets")
    assert (code, "Traceback" in err) == (130, False)


def test_text_between_colons_is_no_emoji(capsys):
    from sweep.cli.console import console

    console.print("class :cat:", markup=False)
    assert capsys.readouterr().out == "class :cat:\n"


@pytest.mark.parametrize("arguments", [(), ("--dry-run",)])
def test_a_space_is_loaded_and_its_options_are_read_once(
    call, sweep_arguments, monkeypatch, arguments
):
    read = []

    def counted(module, name):
        function = getattr(module, name)
        monkeypatch.setattr(
            module, name, lambda *given: read.append(name) or function(*given)
        )  # fmt: skip

    counted(spaces, "read_user_module")
    counted(overrides, "parse_value")
    monkeypatch.setattr(one_sweep.OneSweep, "run", lambda self: end())

    def end():
        raise BadInput("started")

    call(*sweep_arguments, "--set", "width=8", *arguments)
    assert sorted(read) == ["parse_value", "read_user_module"]
