"""Slow tests last, and one cache of decoded images for the whole run."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tl_core.datasets.cache import cache_folder
from tl_core.kernels import layer_library

os.environ.setdefault("RAY_AUTH_MODE", "token")
os.environ.setdefault("RAY_AUTH_TOKEN", os.urandom(32).hex())


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.get_closest_marker("slow") is not None)
    for item in items:
        if item.get_closest_marker("slow") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(300))


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The decoded images of the tests: not the user's, and shared with worker processes."""
    folder = tmp_path_factory.mktemp("cache")
    before = os.environ.get("TL_SWEEP_CACHE")
    layer_library()  # compiled here, once, not in the time of some test
    compiled = cache_folder(None) / "kernels"
    if compiled.is_dir():
        (folder / "kernels").symlink_to(compiled)
    os.environ["TL_SWEEP_CACHE"] = str(folder)
    yield folder
    if before is None:
        del os.environ["TL_SWEEP_CACHE"]
    else:
        os.environ["TL_SWEEP_CACHE"] = before
