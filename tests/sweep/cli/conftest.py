import pytest

from sweep.driver import one_sweep


@pytest.fixture
def no_sweep(monkeypatch):
    """A command fails if it starts a sweep, and sets none of Ray's variables."""
    monkeypatch.setattr("sweep.driver.runner.prepare_environment", lambda address: None)
    monkeypatch.setattr(one_sweep.OneSweep, "run", lambda self: pytest.fail("a sweep was started"))


@pytest.fixture
def sweep_arguments(tmp_path):
    """Arguments of a sweep of digits that writes and decodes in tmp_path."""
    folders = ("--results", tmp_path / "results", "--cache-dir", tmp_path / "cache")
    return ("ablation", "--dataset", "digits", *folders)
