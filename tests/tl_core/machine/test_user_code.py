"""What counts of a user's code, wherever it and the libraries that it imports lie."""

import ast
import importlib
import os
import site
import sys
import zipfile
from pathlib import Path
from types import ModuleType

import pytest

from tl_core.frozen import content
from tl_core.frozen.content import code_hash
from tl_core.machine import installed

MODEL = "import lib_of_user\nfrom lib_of_user import native\n\nclass Model:\n    pass\n"
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
    for cached in ("library_of", "_claimed", "_metadata", "_listed"):
        getattr(installed, cached).cache_clear()
    return code_hash(importlib.import_module(name).Model)


def library(folder, *, modules=300, version="1.0", listing="RECORD", info="dist-info"):
    """A package as pip unpacks it: source files, an extension module that is loaded, metadata."""
    package = folder / "lib_of_user"
    package.mkdir(parents=True)
    for number in range(modules):
        (package / f"m{number}.py").touch()
    (package / "native.so").write_bytes(NATIVE)
    names = "".join(f"from lib_of_user import m{n}\n" for n in range(0, modules, 30))
    write(folder, lib_of_user____init__=(
        "import sys, types\nnative = types.ModuleType('lib_of_user.native')\n"
        "native.__file__ = __file__.replace('__init__.py', 'native.so')\n"
        "sys.modules[native.__name__] = native\n" + names
    ))  # fmt: skip
    about = folder / f"a_project-{version}.{info}"
    about.mkdir()
    lines = {"RECORD": "lib_of_user/__init__.py,sha256=x,1\n", "top_level.txt": "lib_of_user\n"}
    (about / listing).write_text(lines[listing])
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
    """Paths of the files that are read, and None for each text that is parsed."""
    found: list[Path | None] = []
    read, parse = Path.read_bytes, ast.parse
    monkeypatch.setattr(Path, "read_bytes", lambda path: [found.append(path), read(path)][1])
    monkeypatch.setattr(
        ast,
        "parse",
        lambda text, *rest, **named: [found.append(None), parse(text, *rest, **named)][1],
    )
    return found


@pytest.mark.parametrize("placed", [on_python_path, by_path_file, by_links])
@pytest.mark.parametrize(
    "metadata",
    [
        {"listing": "RECORD"},
        {"listing": "top_level.txt"},
        {"listing": "top_level.txt", "info": "egg-info"},
    ],
)
def test_a_library_goes_by_its_version_wherever_it_lies(
    project, tmp_path, monkeypatch, placed, metadata, opened
):
    folder = library(tmp_path / "libs", **metadata)
    placed(folder, monkeypatch)
    write(project, model_of_user=MODEL)
    one = key_of()
    ours = Path(code_hash.__code__.co_filename).parent
    assert [p for p in opened if p and ours not in p.parents] == [project / "model_of_user.py"]
    assert opened.count(None) <= 1
    write(folder, lib_of_user__m1="CHANGED = True\n")
    assert key_of() == one
    (about,) = folder.glob("a_project-*")
    about.rename(about.with_name(about.name.replace("1.0", "1.1")))
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
    (project / "project_of_user.egg-info").mkdir()
    (project / "project_of_user.egg-info" / "top_level.txt").write_text("project_of_user\n")
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


def test_another_commit_of_one_version_is_another_library(project, tmp_path, monkeypatch):
    folder = library(tmp_path / "libs", modules=1)
    on_python_path(folder, monkeypatch)
    write(project, model_of_user=MODEL)
    found = set()
    for commit in ("aaa", "bbb"):
        (folder / "a_project-1.0.dist-info" / "direct_url.json").write_text(COMMIT % commit)
        found.add(key_of())
    assert len(found) == 2


IMPORTS = [
    ("neighbour_of_user", "import neighbour_of_user\n"),
    ("neighbour_of_user", "def late():\n    import neighbour_of_user\n"),
    ("pack_of_user____init__", "from pack_of_user.inner import x\n"),
    ("pack_of_user__inner", "from pack_of_user import inner\n"),
    ("pack_of_user__inner", "def late():\n    from pack_of_user import inner\n"),
    ("pack_of_user__deep", "import pack_of_user.inner\n"),  # which imports its neighbour
    ("space_of_user__inner", "import space_of_user.inner\n"),  # a namespace
]


@pytest.mark.parametrize(("changed", "line"), IMPORTS)
def test_whatever_is_imported_of_ones_own_counts_loaded_or_not(project, changed, line):
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


def test_an_extension_module_of_ones_own_counts_and_is_not_parsed(project, opened):
    write(project, model_of_user="import sys\nimport native_of_user\nclass Model: pass\n")
    found = set()
    for built in (NATIVE, NATIVE + b"1"):
        (project / "native_of_user.so").write_bytes(built)
        native = ModuleType("native_of_user")
        native.__file__ = str(project / "native_of_user.so")
        forget()
        sys.modules["native_of_user"] = native
        found.add(code_hash(importlib.import_module("model_of_user").Model))
    assert len(found) == 2
    assert opened.count(None) <= 1


@pytest.mark.parametrize("text", [b"x = '\x00'\n", b"def (:\n", b"# \xff\n"])
def test_a_file_that_is_no_python_counts_unparsed(project, text):
    write(project, model_of_user="def late():\n    import odd_of_user\nclass Model: pass\n")
    (project / "odd_of_user.py").write_bytes(text)
    one = key_of()
    (project / "odd_of_user.py").write_bytes(text + b"#\n")
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
    assert code_hash(loaded.Model) == one
    os.utime(project / "model_of_user.py", (1, 1))  # for Python's own cache
    assert code_hash(importlib.reload(loaded).Model) != one


class Policy:
    """An augmentation that is an object."""

    def __init__(self, strength):
        self.strength = strength

    def __call__(self, images, generator, flip):
        return images * self.strength


def test_what_an_object_holds_counts():
    assert code_hash(Policy(1)) == code_hash(Policy(1)) != code_hash(Policy(2))
    assert code_hash(Policy(1).__call__) != code_hash(Policy(2).__call__)


def test_a_checkout_of_a_library_counts_as_a_whole(project, monkeypatch):
    found = set()
    for number in (1, 22):
        write(project, timm____init__="", timm__inner=f"A = {number}\n")
        module = ModuleType("timm")
        module.__file__, module.__path__ = str(project / "timm/__init__.py"), [project / "timm"]
        monkeypatch.setitem(sys.modules, "timm", module)
        content._package_hash.cache_clear()
        found.add(code_hash(type("Block", (), {"__module__": "timm.inner"})))
    assert len(found) == 2
