"""A command whose file cannot be written for want of space ends in one line."""

import errno

import pytest

from sweep.cli import main as module


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
