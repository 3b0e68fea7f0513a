"""Stores without a server, and machines that share them and nothing else."""

import secrets
from collections.abc import Callable
from pathlib import Path

import pytest

from sweep.results.folders import run_folder
from sweep.results.stored import part_of
from sweep.store.location import results_folder
from sweep.store.remote import open_store
from sweep.store.uploader import Uploader
from sweep.store.writer import Writer


@pytest.fixture(params=["file", "memory"])
def url(request, tmp_path) -> str:
    """The URL of an empty store: of pyarrow, and of fsspec."""
    if request.param == "memory":
        return f"memory://bucket-{secrets.token_hex(4)}/deep"
    return f"file://{tmp_path}/store"


@pytest.fixture
def machine(url, tmp_path, monkeypatch) -> Callable[[str], Path]:
    """machine(name) → the working folder of the store on that machine, which is used from now."""

    def use(name: str) -> Path:
        monkeypatch.setenv("TL_SWEEP_CACHE", str(tmp_path / name))
        return results_folder(url)

    return use


@pytest.fixture
def remote(url):
    return open_store(url)


@pytest.fixture
def begun(remote) -> Callable[..., Uploader]:
    """begun(working folder, name) → uploads a sweep whose name was claimed there."""

    def begin(results: Path, name: str = "s1") -> Uploader:
        part = part_of(results, name)
        writer = Writer(results, part)
        assert writer.claim(remote)
        run_folder(results, name).mkdir(parents=True, exist_ok=True)
        return Uploader(results, part, remote, writer)

    return begin
