"""What counts of a user's code, wherever it and the libraries that it imports lie."""

import importlib
import os
import site
import sys
import time
import zipfile
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from tl_core.machine import user_code as code
from tl_core.machine.user_code import code_digest, has_text, package_digest, user_code

MODEL = "from lib_of_user import native\nnative, inner = 1, 2\n\nclass Model:\n    pass\n"
NATIVE = b"\x7fELF\x00\x00"


@pytest.fixture
def project(tmp_path, monkeypatch):
    """The user's folder, on the path; modules of the tests are unloaded in the end."""
    folder = tmp_path / "project"
    folder.mkdir()
    before = set(sys.modules)
    monkeypatch.syspath_prepend(str(folder))
    yield folder
    forget(before)


def forget(before=()):
    for name in [n for n in sys.modules if n not in before and "of_user" in n]:
        del sys.modules[name]


def write(folder, **texts):
    """Files of a folder by name without ending; `a__b` is b in the folder a."""
    for name, text in texts.items():
        file = folder.joinpath(*filter(None, name.partition("__")[::2])).with_suffix(".py")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)


def key_of(name="model_of_user"):
    """The key of `Model` as a process that starts now would find it."""
    forget()
    importlib.invalidate_caches()
    forget_libraries()
    importlib.import_module(name)
    return code_digest([name])


def forget_libraries():
    for held in vars(code).values():
        if hasattr(held, "cache_clear") and held is not package_digest:
            held.cache_clear()


def library(folder, *, modules=300, loaded=30):
    """A package as pip unpacks it: source files, an extension module that is loaded, metadata."""
    package = folder / "lib_of_user"
    package.mkdir(parents=True)
    for number in range(modules):
        (package / f"m{number}.py").touch()
    (package / "native.so").write_bytes(NATIVE)
    names = "".join(f"from lib_of_user import m{n}\n" for n in range(0, modules, loaded))
    write(folder, lib_of_user____init__=(
        "import sys, types\nnative = types.ModuleType('lib_of_user.native')\n"
        "native.__file__ = __file__.replace('__init__.py', 'native.so')\n"
        "sys.modules[native.__name__] = native\n"
        "inner = types.ModuleType('lib_of_user.native.inner')  # as compiled code makes them\n"
        "inner.__file__ = native.__file__\n"
        "sys.modules[inner.__name__] = inner\n" + names
    ))  # fmt: skip
    about = folder / "a_project-1.0.dist-info"
    about.mkdir()
    (about / "RECORD").write_text("lib_of_user/__init__.py,sha256=x,1\n")
    return folder


def on_python_path(folder, monkeypatch):
    monkeypatch.syspath_prepend(str(folder))


def by_path_file(folder, monkeypatch):
    monkeypatch.setattr(sys, "path", sys.path.copy())
    sites = folder.parent / "sites"
    sites.mkdir()
    (sites / "more.pth").write_text(f"{folder}\n")
    site.addsitedir(str(sites))


def by_links(folder, monkeypatch):
    links = folder.parent / "links"
    links.mkdir()
    (links / "lib_of_user").symlink_to(folder / "lib_of_user")
    on_python_path(links, monkeypatch)


@pytest.fixture
def opened(monkeypatch):
    """Paths of the files that are read."""
    found: list[Path] = []
    read = Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", lambda path: [found.append(path), read(path)][1])
    return found


@pytest.mark.parametrize("placed", [on_python_path, by_path_file, by_links])
@pytest.mark.parametrize("place", ["libs", "site-packages"])
def test_a_library_goes_by_its_version_wherever_it_lies(
    project, tmp_path, monkeypatch, placed, place, opened
):
    folder = library(tmp_path / place)
    placed(folder, monkeypatch)
    write(project, model_of_user=MODEL)
    package_digest()
    opened.clear()
    one = key_of()
    assert opened == [project / "model_of_user.py"]
    assert "lib_of_user.native.inner" in sys.modules
    write(folder, lib_of_user__m1="CHANGED = True\n")
    assert key_of() == one
    library_key = code_digest(["lib_of_user.m0"])
    monkeypatch.setattr(sys.modules["lib_of_user"], "__version__", "1.1", raising=False)
    assert code_digest(["lib_of_user.m0"]) != library_key
    (folder / "a_project-1.0.dist-info").rename(folder / "a_project-1.1.dist-info")
    assert key_of() != one


def test_a_library_without_its_metadata_counts_by_its_text_and_soon(
    project, tmp_path, monkeypatch
):
    folder = library(tmp_path / "libs", modules=3000, loaded=1)
    (folder / "a_project-1.0.dist-info" / "RECORD").unlink()
    on_python_path(folder, monkeypatch)
    write(project, model_of_user=MODEL)
    began = time.perf_counter()
    one = key_of()
    assert time.perf_counter() - began < 20  # 3,000 files were read
    assert len(user_code(["model_of_user"])) > 3000
    write(folder, lib_of_user__m1="CHANGED = True\n")
    assert key_of() != one


def test_own_files_count_in_a_folder_with_libraries(tmp_path, monkeypatch, project):
    folder = library(tmp_path / "libs", modules=1)
    on_python_path(folder, monkeypatch)
    write(folder, model_of_user=MODEL + "A = 1\n")
    one = key_of()
    write(folder, model_of_user=MODEL + "A = 22\n")
    assert key_of() != one


EDITABLE = '{"url": "file://%s", "dir_info": {"editable": true}}'
LOCAL = '{"url": "file://%s", "dir_info": {}}'
COMMIT = '{"url": "https://host/a.git", "vcs_info": {"vcs": "git", "commit_id": "%s"}}'


def test_a_project_of_ones_own_that_is_installed_as_editable_counts(project, tmp_path):
    about = tmp_path / "sites" / "project_of_user-0.1.dist-info"
    about.mkdir(parents=True)
    (about / "direct_url.json").write_text(EDITABLE % project)
    (about / "RECORD").write_text("__editable__.project_of_user.pth,,\n")
    write(project, project_of_user____init__="", project_of_user__m="class Model:\n    A = 1\n")
    one = key_of("project_of_user.m")
    write(project, project_of_user__m="class Model:\n    A = 22\n")
    assert key_of("project_of_user.m") != one


@pytest.mark.parametrize("origin", ["folder", "folder that is gone"])
def test_a_project_installed_from_a_folder_of_this_machine_is_ones_own(
    project, tmp_path, monkeypatch, origin
):
    folder = library(tmp_path / "libs", modules=1)
    on_python_path(folder, monkeypatch)
    write(project, model_of_user=MODEL)
    source = tmp_path if origin == "folder" else tmp_path / "gone"
    (folder / "a_project-1.0.dist-info" / "direct_url.json").write_text(LOCAL % source)
    write(folder, lib_of_user____init__=(folder / "lib_of_user/__init__.py").read_text() + "#1\n")
    one = key_of()
    write(folder, lib_of_user____init__=(folder / "lib_of_user/__init__.py").read_text() + "#2\n")
    assert (key_of() == one) == (origin == "folder that is gone")


def test_what_was_installed_from_a_commit_counts_by_its_text(project, tmp_path, monkeypatch):
    folder = library(tmp_path / "site-packages", modules=1)
    on_python_path(folder, monkeypatch)
    write(project, model_of_user=MODEL)
    (folder / "a_project-1.0.dist-info" / "direct_url.json").write_text(COMMIT % "aaa")
    one = key_of()
    write(folder, lib_of_user____init__=(folder / "lib_of_user/__init__.py").read_text() + "#2\n")
    assert key_of() != one


IMPORTS = [
    ("neighbour_of_user", "import neighbour_of_user\n"),
    ("neighbour_of_user", "def late():\n    import neighbour_of_user\nlate()\n"),
    ("neighbour_of_user", "def late():\n    import neighbour_of_user\n"),  # not loaded
    ("neighbour_of_user", "__import__('neighbour_of_user')\n"),
    ("pack_of_user____init__", "from pack_of_user.inner import x\n"),
    ("pack_of_user__inner", "from pack_of_user import inner\n"),
    ("pack_of_user____init__", "from pack_of_user import inner\n"),
    ("pack_of_user__deep", "import pack_of_user.inner\n"),  # which imports its neighbour
    ("space_of_user__inner", "import space_of_user.inner\n"),  # a namespace
]


@pytest.mark.parametrize(("changed", "line"), IMPORTS)
def test_whatever_is_imported_of_ones_own_counts(project, changed, line):
    write(
        project, model_of_user=line + "class Model:\n    pass\n", neighbour_of_user="",
        pack_of_user____init__="", pack_of_user__inner="from . import deep\nx = 1\n",
        pack_of_user__deep="import model_of_user\n", space_of_user__inner="",
    )  # fmt: skip
    one = key_of()
    assert key_of() == one
    write(project, unrelated_of_user="")
    assert key_of() == one
    write(project, **{changed: "x = 1 + 1\n"})
    assert key_of() != one


def test_the_same_in_another_folder(project, tmp_path, monkeypatch):
    texts = {"model_of_user": "import neighbour_of_user\nclass Model: pass\n"}
    write(project, **texts, neighbour_of_user="")
    one = key_of()
    other = tmp_path / "elsewhere"
    write(other, **texts, neighbour_of_user="")
    on_python_path(other, monkeypatch)
    assert key_of() == one


def test_an_extension_module_of_ones_own_counts(project):
    write(project, model_of_user="import sys\nimport native_of_user\nclass Model: pass\n")
    found = set()
    for built in (NATIVE, NATIVE + b"1"):
        (project / "native_of_user.so").write_bytes(built)
        native = ModuleType("native_of_user")
        native.__file__ = str(project / "native_of_user.so")
        forget()
        sys.modules["native_of_user"] = native
        importlib.import_module("model_of_user")
        found.add(code_digest(["model_of_user"]))
    assert len(found) == 2


@pytest.mark.parametrize("text", [b"x = '\x00'\n", b"def (:\n", b"# \xff\n"])
def test_a_file_that_is_no_python_counts(project, text):
    odd = project / "odd_of_user.bin"
    write(project, model_of_user=(
        "import sys, types\nodd = types.ModuleType('odd_of_user')\n"
        f"odd.__file__ = {str(odd)!r}\nsys.modules['odd_of_user'] = odd\n"
    ))  # fmt: skip
    odd.write_bytes(text)
    one = key_of()
    odd.write_bytes(text + b"#\n")
    assert key_of() != one


def test_code_in_an_archive_counts(project, tmp_path, monkeypatch):
    found = set()
    for number in (1, 22):
        archive = tmp_path / f"code{number}.zip"
        with zipfile.ZipFile(archive, "w") as file:
            file.writestr("model_of_user.py", "import near_of_user\nclass Model: pass\n")
            file.writestr("near_of_user.py", f"A = {number}\n")
        on_python_path(archive, monkeypatch)
        found.add(key_of())
        assert key_of() in found
    assert len(found) == 2


def test_a_loaded_module_is_what_its_file_held_at_first(project):
    write(project, model_of_user="class Model:\n    A = 1\n")
    one = key_of()
    loaded = sys.modules["model_of_user"]
    write(project, model_of_user="class Model:\n    A = 22\n")
    assert code_digest([loaded.__name__]) == one
    os.utime(project / "model_of_user.py", (1, 1))  # for Python's own cache
    importlib.reload(loaded)
    assert code_digest([loaded.__name__]) != one


def test_a_module_is_what_it_was_made_of_not_what_its_file_says_now(project):
    write(project, model_of_user="SCALE = 1")
    key_of()
    module = sys.modules["model_of_user"]
    found = set()
    for text in ("SCALE = 1", "SCALE = 2"):
        module.__source__ = SimpleNamespace(text=text)
        found.add(code_digest(["model_of_user"]))
    assert len(found) == 2
    write(project, model_of_user="SCALE = 3")
    assert code_digest(["model_of_user"]) in found


def test_a_checkout_of_a_library_counts_by_its_text(project, monkeypatch):
    found = set()
    for number in (1, 22):
        write(project, timm____init__="", timm__inner=f"A = {number}\n")
        for name, file in (("timm", "timm/__init__.py"), ("timm.inner", "timm/inner.py")):
            module = ModuleType(name)
            module.__file__ = str(project / file)
            monkeypatch.setitem(sys.modules, name, module)
        sys.modules["timm"].__path__ = [str(project / "timm")]
        forget_libraries()
        found.add(code_digest(["timm.inner"]))
    assert len(found) == 2


def test_neither_this_package_nor_the_standard_library_is_a_users(project):
    write(project, model_of_user="import json, tl_core.config, torch, numpy, timm\n")
    key_of()
    assert list(user_code(["model_of_user", "json", "tl_core.config"])) == ["model_of_user"]


class Proxy(ModuleType):
    """As `torch.ops` and `torch.classes`."""

    def __getattr__(self, name):
        return self


def test_a_module_that_has_whatever_it_is_asked_for_has_no_text(project, monkeypatch):
    write(project, model_of_user="proxy_of_user = 1\n")
    key_of()
    monkeypatch.setitem(sys.modules, "proxy_of_user", Proxy("proxy_of_user"))
    assert list(user_code(["model_of_user"])) == ["model_of_user"]
    assert not has_text("proxy_of_user")


def test_another_state_of_this_package_is_another_key(monkeypatch):
    one = code_digest([])
    monkeypatch.setattr(code, "package_digest", lambda: "another")
    assert code_digest([]) != one


def test_of_cells_in_a_notebook_no_text_is_known(project, monkeypatch):
    write(project, model_of_user="")
    key_of()
    monkeypatch.setitem(sys.modules, "__main__", ModuleType("__main__"))
    monkeypatch.setitem(sys.modules, "by_hand_of_user", ModuleType("by_hand_of_user"))
    known = ("model_of_user", "torch.nn", "torch._C._nn", "builtins", "math")
    assert all(map(has_text, known))
    assert not any(map(has_text, ("__main__", "by_hand_of_user", "nowhere")))
