"""Compiled code is loaded only where nobody else could have put it."""

import os
import stat

import pytest

from tl_core import kernels
from tl_core.kernels import trust
from tl_core.kernels.trust import is_private, private_folder


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def another_user(monkeypatch):
    """What was made so far belongs to another user."""

    def now():
        monkeypatch.setattr(os, "getuid", lambda: 4711)
        monkeypatch.setattr(os, "geteuid", lambda: 4711)

    return now


def test_a_folder_is_made_for_this_user_alone(tmp_path):
    assert private_folder([tmp_path / "a" / "kernels"]) == tmp_path / "a" / "kernels"
    assert mode(tmp_path / "a" / "kernels") == 0o700


@pytest.mark.parametrize("loose", [0o770, 0o777, 0o707, 0o1777])
def test_ones_own_folder_that_others_could_write_is_closed_and_emptied(tmp_path, loose):
    folder = tmp_path / "kernels"
    folder.mkdir()
    (folder / "planted.so").write_text("code")
    (folder / "notes.txt").write_text("text")
    folder.chmod(loose)
    assert private_folder([folder]) == folder
    assert mode(folder) == 0o700
    assert [file.name for file in folder.iterdir()] == ["notes.txt"]


def test_another_users_folder_is_left_alone_for_the_next(tmp_path, another_user):
    theirs, ours, blocked = tmp_path / "theirs", tmp_path / "ours", tmp_path / "file"
    theirs.mkdir(mode=0o777)
    (theirs / "code.so").write_text("code")
    blocked.write_text("no folder")
    assert private_folder([blocked / "kernels", ours]) == ours
    another_user()
    assert private_folder([theirs]) is None
    assert (theirs / "code.so").exists()


def test_a_folder_that_cannot_be_written_serves_with_what_is_in_it(tmp_path, monkeypatch):
    image, home = tmp_path / "image", tmp_path / "home"
    image.mkdir(mode=0o700)
    monkeypatch.setattr(os, "access", lambda path, how: path != image)
    assert private_folder([image, home]) == home
    (image / "built.so").write_text("code")
    assert private_folder([image, home]) == image


def test_links_count_by_what_they_lead_to(tmp_path, another_user):
    folder = tmp_path / "real"
    folder.mkdir(mode=0o700)
    (tmp_path / "link").symlink_to(folder)
    assert private_folder([tmp_path / "link" / "kernels"]) == tmp_path / "link/kernels"
    open_file = tmp_path / "open.so"
    open_file.write_text("code")
    open_file.chmod(0o722)
    (folder / "link.so").symlink_to(open_file)
    assert not is_private(folder / "link.so")
    open_file.chmod(0o755)
    assert is_private(folder / "link.so")
    another_user()
    assert not is_private(folder / "link.so")


def test_a_file_that_is_not_there_is_not_private(tmp_path):
    assert not is_private(tmp_path / "absent.so")


@pytest.fixture
def compiled(tmp_path, monkeypatch):
    """compiled() → file that is loaded, compiled by a stand-in that writes `built`."""
    monkeypatch.setenv("TL_SWEEP_CACHE", str(tmp_path / "shared"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    compiler = tmp_path / "compiler"
    compiler.write_text(
        '#!/bin/sh\nif [ "$1" = --version ]; then echo 1; exit; fi\n'
        'while [ "$1" != -o ]; do shift; done\necho built > "$2"\n'
    )
    compiler.chmod(0o755)
    monkeypatch.setenv("CXX", str(compiler))
    monkeypatch.delenv(kernels.SWITCH_VARIABLE, raising=False)
    return lambda: kernels.library_file(str(compiler))


def test_the_library_can_be_written_by_this_user_alone(compiled, tmp_path):
    before = os.umask(0)
    try:
        file = compiled()
    finally:
        os.umask(before)
    assert file.parent == tmp_path / "shared" / "kernels"
    assert (mode(file), mode(file.parent)) == (0o700, 0o700)


@pytest.mark.parametrize("where", ["file", "folder"])
def test_a_library_that_others_could_write_is_compiled_anew(compiled, where):
    file = compiled()
    file.write_text("planted")
    (file if where == "file" else file.parent).chmod(0o777)
    assert compiled() == file
    assert file.read_text() == "built\n"


@pytest.mark.parametrize("left", [b"", b"bui", b"built\nand more"])
def test_a_damaged_library_is_compiled_anew(compiled, left):
    file = compiled()
    file.write_bytes(left)
    assert compiled() == file
    assert file.read_text() == "built\n"
    assert list(file.parent.glob("*.so")) == [file]


def test_another_users_library_is_not_loaded(compiled, monkeypatch, another_user):
    compiled()
    monkeypatch.setattr(kernels.ctypes, "CDLL", lambda file: pytest.fail(f"{file} was loaded"))
    another_user()  # to whom nothing belongs, the home folder neither
    with pytest.warns(UserWarning, match=r"shared/kernels belongs to another user .* TL_SWEEP_C"):
        assert kernels.layer_library.__wrapped__() is None


def test_a_cache_of_another_user_leaves_the_one_at_home(compiled, tmp_path, monkeypatch):
    theirs = compiled().parent.stat()
    monkeypatch.setattr(trust, "is_ours", lambda about: about.st_ino != theirs.st_ino)
    assert compiled().parent == tmp_path / "home" / ".cache" / "tl-sweep" / "kernels"
