"""Slow tests last, one thread, and a cache folder of the tests' own for the whole run."""

import os
import shutil
import tempfile
import threading
from pathlib import Path

import pytest
import torch

from tl_core.kernels import layer_library

os.environ.setdefault("RAY_AUTH_MODE", "token")
os.environ.setdefault("RAY_AUTH_TOKEN", os.urandom(32).hex())
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read at a GPU's first product
torch.set_num_threads(1)  # before the trainer is imported, which keeps this as its default


def pytest_configure(config: pytest.Config) -> None:
    """Set the cache folder, and compile the native library while the tests are collected."""
    folder = tempfile.mkdtemp(prefix="tl-sweep-tests-")
    os.environ["TL_SWEEP_CACHE"] = folder
    config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))
    threading.Thread(target=layer_library, daemon=True).start()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.get_closest_marker("slow") is not None)
    for item in items:
        if item.get_closest_marker("slow") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(300))


def pytest_collection_finish() -> None:
    """Wait for the native library here, not in the time of some test."""
    layer_library()


@pytest.fixture(scope="session")
def cache() -> Path:
    """The decoded images of the tests: not the user's, and shared with worker processes."""
    return Path(os.environ["TL_SWEEP_CACHE"])


@pytest.fixture(autouse=True)
def one_thread() -> None:
    """Start every test with one thread: small models are faster so, on a busy machine too."""
    torch.set_num_threads(1)
