"""Tests beside each other, slow ones first, with one thread and a cache folder of their own."""

import functools
import gc
import os
import re
import shutil
import tempfile
import threading
from pathlib import Path
from typing import Any

import pytest
import torch

from tl_core.kernels import layer_library
from tl_core.machine.hardware import cpu_count

os.environ.setdefault("RAY_AUTH_MODE", "token")
os.environ.setdefault("RAY_AUTH_TOKEN", os.urandom(32).hex())
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read at a GPU's first product
torch.set_num_threads(1)  # before the trainer is imported, which keeps this as its default
MOST_WORKERS = 4


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """As many as there are CPUs, up to a number; a GPU is not shared."""
    return 0 if torch.cuda.is_available() else min(cpu_count(), MOST_WORKERS)


@pytest.hookimpl(tryfirst=True)  # pytest-xdist reads the options in the same hook
def pytest_cmdline_main(config: pytest.Config) -> None:
    """Spread a run of all tests over the CPUs, unless the command line says otherwise.

    pytest-cov measures workers only where the command line has `-n`.
    """
    asked = config.option
    if hasattr(config, "workerinput") or not config.pluginmanager.hasplugin("xdist"):
        return
    one_by_one = asked.file_or_dir or asked.keyword or asked.capture == "no"
    if asked.numprocesses is None and not (one_by_one or getattr(asked, "cov_source", None)):
        asked.numprocesses = "auto"
    if asked.numprocesses and asked.dist == "no":
        asked.dist = "loadfile"
        asked.loadscopereorder = False  # else files of few tests come last, slow ones too


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """A file's tests run in one worker, and so do all files of slow ones, one after another."""
    if config.option.dist != "loadfile":
        return None
    from xdist.scheduler import LoadFileScheduling

    class Files(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = super()._split_scope(nodeid)
            return "slow" if all_slow(config.rootpath / file) else file

    return Files(config, log)


@functools.cache
def all_slow(file: Path) -> bool:
    """Whether a file of tests says that all of them are slow."""
    return re.search("^pytestmark = .*slow", file.read_text(), re.MULTILINE) is not None


def pytest_configure(config: pytest.Config) -> None:
    """Set the cache folder, and compile the native library while the tests are collected."""
    if hasattr(config, "workerinput"):
        return  # a worker has the environment, and with it the folder, of the process above it
    folder = tempfile.mkdtemp(prefix="tl-sweep-tests-")
    os.environ["TL_SWEEP_CACHE"] = folder
    config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))
    threading.Thread(target=layer_library, daemon=True).start()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put slow tests first: one worker runs most of them beside the fast ones of the others."""
    items.sort(key=lambda item: not all_slow(item.path))
    for item in items:
        if item.get_closest_marker("slow") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(300))


def pytest_collection_finish() -> None:
    """Wait for the native library here, not in the time of some test; then freeze what there is.

    Collections of garbage, of which tests call some, then leave out all imported modules.
    """
    layer_library()
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def cache() -> Path:
    """The decoded images of the tests: not the user's, and shared with worker processes."""
    return Path(os.environ["TL_SWEEP_CACHE"])


@pytest.fixture(autouse=True)
def one_thread() -> None:
    """Start every test with one thread: small models are faster so, on a busy machine too."""
    torch.set_num_threads(1)
