"""What tests of the sweep share: spaces in files, options, manifests and rows made by hand."""

import contextlib
import resource
import sys
from collections.abc import Callable, Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from search_spaces.domains import Domain, Limits, Space, walk
from search_spaces.domains.checks import contains
from sweep.cli.main import main
from sweep.options.sweep_options import SweepOptions
from sweep.ray_internals import only_needed_processes
from sweep.results.manifest import Manifest
from tl_core.config import TrainConfig

HEAD = (
    "from search_spaces.domains import Choice, Float, Int\n"
    "from tl_core.config import TrainConfig\n"
)


@pytest.fixture
def write_file(tmp_path: Path) -> Callable[..., str]:
    """write_file(text, name=) → its path; the text may use Choice, Float, Int, TrainConfig."""

    def write(text: str, name: str = "my_space.py") -> str:
        path = tmp_path / name
        path.write_text(HEAD + text, encoding="utf-8")
        return str(path)

    return write


@pytest.fixture
def options(tmp_path: Path) -> Callable[..., SweepOptions]:
    """options(space=, **fields) → what the command line would ask for, results in tmp_path."""

    def make(space: str = "ablation", **fields: Any) -> SweepOptions:
        return SweepOptions(space=space, **{"results": tmp_path / "results", **fields})

    return make


@pytest.fixture
def manifest() -> Callable[..., Manifest]:
    """manifest(**fields) → that of a finished ablation of dropout and batch size, 2 seeds."""

    def make(**fields: Any) -> Manifest:
        base = TrainConfig(dropout=0.0, batch_size=64).to_dict()
        plain = {
            "name": "s1", "space": "ablation", "question": "Which matter?",
            "command": "python -m sweep ablation --dataset digits",
            "search": "one-at-a-time", "scheduler": "none", "seeds": 2, "trials_planned": 6,
            "fields": {"dropout": [0.0, 0.2], "batch_size": [64, 128]}, "base": base,
            "notes": [], "started_at": "2026-01-02T03:04:05+00:00", "status": "finished",
        }  # fmt: skip
        return Manifest(**{**plain, **fields})

    return make


@pytest.fixture
def trial_row() -> Callable[..., dict[str, Any]]:
    """trial_row(number, accuracy, **fields) → a row of `trials`: a completed one, 10 epochs."""

    def make(number: int, accuracy: float | None, **fields: Any) -> dict[str, Any]:
        config = TrainConfig().to_dict()
        return {
            **config, "trial_id": f"s1_{number:05d}", "config_id": "a", "status": "completed",
            "error": None, "best_val_accuracy": accuracy, "best_epoch": 7, "epochs_trained": 10,
            "params_total": 1_234, "params_trained": 1_000, "train_seconds": 65.0, **fields,
        }  # fmt: skip

    return make


@pytest.fixture
def terminal() -> Console:
    """A terminal of 80 columns that writes into `terminal.file`."""
    return Console(width=80, file=StringIO(), force_terminal=True, color_system=None)


@pytest.fixture
def page() -> Console:
    """80 columns without a terminal behind them, such as a pipe."""
    return Console(width=80, file=StringIO(), force_terminal=False)


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[object, str, str]]:
    """call(*arguments) → exit code, stdout, stderr."""

    def run(*arguments: object) -> tuple[object, str, str]:
        with pytest.raises(SystemExit) as caught:
            main([str(argument) for argument in arguments])
        return (caught.value.code, *capsys.readouterr())

    return run


@pytest.fixture
def refused(call: Callable[..., tuple[object, str, str]]) -> Callable[..., str]:
    """refused(*arguments) → the one line on stderr, after exit code 2."""

    def run(*arguments: object) -> str:
        code, out, err = call(*arguments)
        assert code == 2, err
        assert err.count("\n") == 1, err
        assert err.startswith("error: ")
        assert "Traceback" not in out + err
        return err.removeprefix("error: ").strip()

    return run


@pytest.fixture(scope="module")
def ray_of_one_cpu() -> Iterator[None]:
    """One CPU: one actor trains all trials of a sweep, one after another."""
    import ray

    with only_needed_processes():
        ray.init(
            address="local", num_cpus=1, include_dashboard=False, log_to_driver=False,
            object_store_memory=100 * 2**20,
        )  # fmt: skip
    yield
    ray.shutdown()


@pytest.fixture
def check_point() -> Callable[..., None]:
    """check_point(space, values, base, limits): values are what a walk over the space can give."""

    def check(space: Space, values: dict, base: TrainConfig, limits: Limits | None = None) -> None:
        def pick(name: str, domain: Domain) -> object:
            assert contains(domain, values[name]), f"{name}={values[name]} is outside {domain}"
            return values[name]

        assert walk(space, base, pick, limits) == values

    return check


@pytest.fixture
def file_size_limit(
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[[int], contextlib.AbstractContextManager[None]]:
    """file_size_limit(bytes): within the block no file may be larger, as on a full disk.

    Python writes no compiled modules meanwhile, since it would leave halves of them.
    """

    @contextlib.contextmanager
    def limit(most: int) -> Iterator[None]:
        monkeypatch.setattr(sys, "dont_write_bytecode", True)
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, before[1]))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)

    return limit
