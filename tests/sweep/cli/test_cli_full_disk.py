"""A command whose file cannot be written for want of space ends in one line."""

import errno
import os
import subprocess
import sys

import pytest
from PIL import Image

from sweep.cli import main as module
from tl_core.config import TrainConfig
from tl_core.models import build_model
from tl_core.weights.weights_file import save_weights


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_one_line(monkeypatch, capsys, number):
    class Full:
        def main(self, **options):
            raise OSError(number, "No space left on device", "/data/model.onnx")

    monkeypatch.setattr(module.typer.main, "get_command", lambda app: Full())
    with pytest.raises(SystemExit) as ended:
        module.main([])
    said = capsys.readouterr().err
    assert ended.value.code == 1
    assert "/data/model.onnx cannot be written (No space left on device); free some" in said


def test_other_errors_are_as_they_were(monkeypatch):
    class Denied:
        def main(self, **options):
            raise PermissionError(errno.EACCES, "denied")

    monkeypatch.setattr(module.typer.main, "get_command", lambda app: Denied())
    with pytest.raises(PermissionError):
        module.main([])


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR])
def test_a_file_that_may_not_be_written_is_one_line(monkeypatch, refused, number):
    class Denied:
        def main(self, **options):
            raise OSError(number, os.strerror(number), "/data/model.onnx")

    monkeypatch.setattr(module.typer.main, "get_command", lambda app: Denied())
    said = refused("export", "s1")
    assert said.startswith("/data/model.onnx cannot be ")
    assert f"written ({os.strerror(number)}); " in said
    assert said.endswith("folder that can." if number == errno.EROFS else "another folder.")


def test_an_error_at_the_end_of_a_file_is_no_interrupt(monkeypatch):
    """Click takes it for Ctrl-D."""

    def read_on(*given, **named):
        raise EOFError("marshal data too short")

    monkeypatch.setattr("sweep.results.catalog.list_sweeps", read_on)
    with pytest.raises(EOFError, match="too short"):
        module.main(["list"])


COMMANDS = """
import resource, sys
from sweep.cli.main import main

resource.setrlimit(resource.RLIMIT_FSIZE, (2048, resource.RLIM_INFINITY))
main(sys.argv[1:])
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "file"),
    [
        (("export", "{weights}", "--out", "{out}"), "model.safetensors"),
        (("export", "{weights}", "--format", "torchscript", "--out", "{out}"), "model.pt"),
        (("export", "{weights}", "--format", "onnx", "--out", "{out}"), "model.onnx"),
        (("predict", "{weights}", "{images}", "--out", "{out}/x.csv"), "x.csv"),
        (("predict", "{weights}", "{images}", "--out", "{out}/x.parquet"), "x.parquet"),
    ],
)
def test_commands_on_a_full_disk_name_the_file_and_leave_no_half(tmp_path, arguments, file):
    if "onnx" in arguments:
        pytest.importorskip("onnxscript")
    config, out = TrainConfig(width=4), tmp_path / "out"
    weights, images = tmp_path / "w.safetensors", tmp_path / "images"
    model = build_model(config, channels=1, num_classes=2, image_size=8)
    save_weights(weights, model, config=config, classes="ab", mean=[0.5], std=[0.2], image_size=8)
    images.mkdir()
    for number in range(40):
        Image.new("L", (9, 9), number).save(images / f"{number}.png")
    paths = {"weights": weights, "images": images, "out": out}
    done = subprocess.run(  # -B: of compiled modules Python would leave halves
        [sys.executable, "-B", "-c", COMMANDS, *(text.format(**paths) for text in arguments)],
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert lines == [f"error: {out / file} cannot be written (File too large); free some space."]
    assert "Traceback" not in done.stdout + done.stderr
    assert list(out.iterdir()) == []
