"""What code decides a number, for keys of what is kept on disk.

A user's own modules count by their text, installed libraries by their version. Installed is what
lies in `site-packages`, or beside its `.dist-info` as `pip --target` leaves it. What came from a
folder that still exists, or from a commit, may change under one version and counts by its text.
"""

import contextlib
import functools
import hashlib
import importlib.metadata
import json
import os
import re
import sys
from collections import defaultdict
from collections.abc import Iterable, Set
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import unquote, urlsplit
from weakref import WeakKeyDictionary

PACKAGES = ("tl_core", "search_spaces", "sweep")
"""The packages of this project."""
COMPILED = ("torch", "torchvision", "numpy")
"""Libraries that go by their version wherever they lie."""
LOADED_SOURCE = "__source__"
"""Attribute of a module with what it was made of, where its file may have changed since."""
_STANDARD = sys.stdlib_module_names - {"__main__"}
_SITES = {"site-packages", "dist-packages"}
_WORD = re.compile(rb"\w+")
_FIRST_PART = re.compile(r"^([^/,.\s]+)", re.MULTILINE)
"""What comes first in a line of RECORD: a module's name, or the top of its path."""
_TEXTS: WeakKeyDictionary[ModuleType, tuple[object, bytes]] = WeakKeyDictionary()
"""Modules → what they were loaded by, and what their files held when first asked for."""


def digest(*parts: object) -> str:
    """Hash of a sequence: bytes as they are, the rest by `repr`."""
    found = hashlib.blake2b(digest_size=12)
    for part in parts:
        data = part if isinstance(part, bytes) else repr(part).encode()
        found.update(len(data).to_bytes(8, "little"))
        found.update(data)
    return found.hexdigest()


@functools.cache
def package_digest() -> str:
    """Hash of the sources of `tl_core`, as they were when first asked for."""
    files = sorted(Path(__file__).parents[1].rglob("*"))
    return digest(*(f.read_bytes() for f in files if f.suffix in (".py", ".h", ".cpp")))


def code_digest(names: Iterable[str]) -> str:
    """Hash of all code behind loaded modules: this package, library versions, the user's texts."""
    names = set(names)
    tops = sorted({"numpy", "torch", *(name.partition(".")[0] for name in names)})
    versions = [(top, _version(top)) for top in tops]
    texts = user_code(names)
    return digest(package_digest(), versions, texts, libraries(texts.values()))


def _version(top: str) -> str:
    """A library's version, the same whether this process has loaded it or not."""
    loaded = getattr(sys.modules.get(top), "__version__", None)
    if loaded is None:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError, ValueError):
            loaded = _installed_version(top)
    return str(loaded).partition("+")[0]


_installed_version = functools.cache(importlib.metadata.version)


def libraries(texts: Iterable[bytes]) -> list[str]:
    """Names and versions of the installed libraries that users' texts may import.

    Those in `COMPILED`, and timm, are left to the caller. As in `user_code` words count.
    """
    names = {word.decode() for text in texts for word in _words(text) if word.isascii()}
    names -= {*COMPILED, *PACKAGES, *_STANDARD, "timm"}
    folders = {Path(entry).absolute() for entry in sys.path}
    loaded = names & sys.modules.keys()
    folders |= {Path(_place(sys.modules[name], ".")).resolve().parent for name in loaded}
    found: set[str] = set()
    for folder in folders:
        brought = _brought(folder)
        found.update(about for top in names & brought.keys() for about in brought[top])
    return sorted(found)


def _place(module: object, otherwise: str) -> str:
    """Where a module lies, a package in its folder."""
    known = _attributes(module)
    return [*known.get("__path__", ()), known.get("__file__") or otherwise][0]


def user_code(names: Iterable[str]) -> dict[str, bytes]:
    """Texts of the user's modules among those named, and of the user's that these may import.

    A text may import a module that is loaded, or lies beside it, if the last part of the module's
    name stands in it as a word, as in every way to import it; more may be found than are imported.
    The packages that a module lies in count with it. Of a compiled module the text is its bytes.
    """
    waiting = [name for name in names if is_users(name)]
    if not waiting:
        return {}  # without a look at all loaded modules, which are thousands
    modules = {name: module for name, module in sys.modules.copy().items() if is_users(name)}
    by_word = defaultdict(list)
    for name in modules.keys() - {"__main__"}:
        by_word[name.rpartition(".")[2].encode()].append(name)
    found: dict[str, bytes] = {}
    listed: dict[Path, frozenset[bytes]] = {}
    while waiting:
        name = waiting.pop()
        if name not in found:
            found[name] = _text(modules[name])
            words = _words(found[name]) | set(name.encode().split(b"."))
            waiting += [other for word in words & by_word.keys() for other in by_word.pop(word)]
            beside = _not_loaded(name, modules[name], words, listed)
            modules |= beside
            waiting += beside
    return dict(sorted(found.items()))


def _not_loaded(
    name: str, module: ModuleType, words: Set[bytes], listed: dict[Path, frozenset[bytes]]
) -> dict[str, ModuleType]:
    """Modules of those names, by full name, whose files lie beside a user's module.

    `listed` keeps the names that folders hold.
    """
    package = name if "__path__" in _attributes(module) else name.rpartition(".")[0]
    folder = Path(str(_attributes(module).get("__file__"))).parent
    if folder not in listed:
        listed[folder] = frozenset(file.stem.encode() for file in folder.glob("*.py"))
    found = {}
    for word in words & listed[folder] - {b"__init__"}:
        full_name = f"{package}.{word.decode()}".lstrip(".")
        if full_name not in sys.modules:
            found[full_name] = ModuleType(full_name)
            found[full_name].__file__ = str(folder / f"{word.decode()}.py")
    return found


@functools.lru_cache(maxsize=4096)
def _words(text: bytes) -> frozenset[bytes]:
    """The words of a text; compiled code has none."""
    return frozenset(() if b"\0" in text else _WORD.findall(text))


def has_text(name: str) -> bool:
    """Whether it is known what a module was made of: that of a notebook's cells is not."""
    top = name.partition(".")[0]
    known = {*_attributes(sys.modules.get(name)), *_attributes(sys.modules.get(top))}
    return top in _STANDARD or "__file__" in known or LOADED_SOURCE in known


def is_users(name: str) -> bool:
    """Whether a module is loaded, part of no library, and has a text."""
    top = name.partition(".")[0]
    known = _attributes(sys.modules.get(name))
    if LOADED_SOURCE in known:
        return True
    if top in _STANDARD or top in (*COMPILED, *PACKAGES) or not known.get("__file__"):
        return False
    place = _place(sys.modules.get(top) or sys.modules[name], known["__file__"])
    return not _is_library(os.path.dirname(os.path.abspath(place)), top)


def _attributes(module: object) -> dict[str, Any]:
    """A module's own: some, such as `torch.ops`, make up whatever else they are asked for."""
    return getattr(module, "__dict__", {})


def _text(module: ModuleType) -> bytes:
    """What a module was made of, as far as it is known; its file may have changed since."""
    made_of = _attributes(module).get(LOADED_SOURCE)
    if made_of is not None:
        return str(made_of.text).encode()
    loaded_by, text = _TEXTS.get(module, (None, b""))
    if loaded_by is None or loaded_by is not module.__spec__:  # not seen yet, or loaded anew
        text = _read(module)
        _TEXTS[module] = module.__spec__, text
    return text


def _read(module: Any) -> bytes:
    with contextlib.suppress(OSError):
        return Path(module.__file__).read_bytes()
    with contextlib.suppress(Exception):  # a loader, such as an archive's, may raise anything
        return str(module.__loader__.get_source(module.__name__)).encode()
    return b""


@functools.lru_cache(maxsize=4096)
def _is_library(folder: str, top: str) -> bool:
    """Whether a top-level module that lies in a folder, or links there, goes by its version."""
    for place in (Path(folder), Path(folder, top).resolve().parent):
        installed = not _SITES.isdisjoint(place.parts) or top in _brought(place)
        if installed and top not in _brought(place, changing=True):
            return True
    return False


@functools.lru_cache(maxsize=256)
def _brought(folder: Path, *, changing: bool = False) -> dict[str, list[str]]:
    """Modules that distributions in a folder brought at top level → their names and versions.

    With `changing`, of those distributions alone that may change.
    """
    found = defaultdict(list)
    for record in folder.glob("*.dist-info/RECORD"):
        if not changing or _changes(record.with_name("direct_url.json")):
            with contextlib.suppress(OSError):
                for top in set(_FIRST_PART.findall(record.read_text(errors="replace"))):
                    found[top].append(record.parent.stem)
    return dict(found)


def _changes(origin: Path) -> bool:
    """Whether a distribution came from a commit, or from a folder that is still there."""
    try:
        about = json.loads(origin.read_text(encoding="utf-8"))
        folder = Path(unquote(urlsplit(about["url"]).path))
    except (OSError, ValueError, KeyError):
        return False  # from an index
    return "vcs_info" in about or ("dir_info" in about and folder.exists())
