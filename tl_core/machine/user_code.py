"""The source of a user's module and of everything of the user's that it imports.

Libraries go by name and version (`installed`); their files are not opened.
"""

import ast
import contextlib
import functools
import sys
import warnings
from collections.abc import Iterable
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any
from weakref import WeakKeyDictionary

from tl_core.machine.installed import library_of

LOADED_SOURCE = "__source__"
"""Attribute of a module with what it was made of, where its file may have changed since."""
SOURCE_SUFFIX = ".py"


class SourceUnknown(Exception):
    """What a module was made of cannot be found."""


def sources_of(
    name: str, *, leave_out: str, by_version: Iterable[str]
) -> tuple[tuple[str, bytes], ...]:
    """Name and content of a loaded module and of the user's modules that it imports, by name.

    Packages on the way and imports within functions count, loaded or not. Of a library the
    content is its name and version, of an extension module its bytes.

    Args:
        name: of the module.
        leave_out: a top-level package that does not count.
        by_version: top-level packages that are libraries wherever they lie.

    Raises:
        SourceUnknown: the module is not loaded, or one of them has no source.
    """
    if name not in sys.modules:
        raise SourceUnknown(name)
    parts: dict[str, bytes] = {}
    closed = {leave_out}  # packages whose modules are not looked at one by one
    names = _with_parents(name)
    for name in names:  # grows meanwhile
        if name in parts or not closed.isdisjoint(_with_parents(name)):
            continue
        found = _Module(name)
        library = found.version() if name in by_version else found.library()
        if library is not None:
            parts[name] = library.encode()
            closed.add(name)
        elif found.has_content:
            parts[name] = found.content()
            for imported in found.imports():
                names += _with_parents(imported)
    return tuple(sorted(parts.items()))


def is_library(name: str) -> bool:
    """Whether a top-level package is an installed library and no checkout of a user's."""
    return _Module(name).library() is not None


def version_of(name: str) -> str:
    """Name and version of a top-level package that is a library wherever it lies."""
    return _Module(name).version()


class _Module:
    """A module by its full name, loaded or not, or no module at all."""

    def __init__(self, name: str) -> None:
        self.name = name
        found = sys.modules.get(name)
        self.loaded = found if isinstance(found, ModuleType) else None
        self.spec = _spec(name) if self.loaded is None else self.loaded.__spec__
        file = getattr(self.loaded, "__file__", None) or (self.spec and self.spec.origin)
        self.file = Path(file).absolute() if isinstance(file, str) else None
        spec_paths = self.spec.submodule_search_locations if self.spec else None
        self.paths: Iterable[str] | None = getattr(self.loaded, "__path__", spec_paths)

    @property
    def has_content(self) -> bool:
        """Not so of a namespace, and of a name that no module has."""
        known = self.loaded is not None or self.spec is not None
        return known and (self.file is not None or self.paths is None)

    def library(self) -> str | None:
        """Name and version of the library that it is part of."""
        if self.name in sys.builtin_module_names or (
            self.spec is not None and self.spec.origin in ("built-in", "frozen")
        ):
            return "python"
        return library_of(self.file) if self.file is not None and self.file.is_file() else None

    def version(self) -> str:
        """Of a library wherever it lies: what it says of itself where nothing else does."""
        return self.library() or f"{self.name}=={getattr(self.loaded, '__version__', '')}"

    def content(self) -> bytes:
        """What a loaded module was made of, as far as it is known; else what its file holds."""
        if self.loaded is None:
            return self._read()
        made_of = getattr(getattr(self.loaded, LOADED_SOURCE, None), "source", None)
        if made_of is not None:
            return str(made_of).encode()
        spec, text = _SEEN.get(self.loaded, (None, b""))
        if spec is None or spec is not self.spec:  # not seen yet, or loaded anew
            text = self._read()
            _SEEN[self.loaded] = (self.spec, text)
        return text

    def _read(self) -> bytes:
        try:
            if self.file is not None and self.file.is_file():
                return self.file.read_bytes()
            loader: Any = self.spec and self.spec.loader
            return bytes(loader.get_source(self.name).encode())
        except Exception:  # made by hand, or its file is gone; a loader may raise anything
            raise SourceUnknown(self.name) from None

    def imports(self) -> tuple[str, ...]:
        """Full names of what it may import."""
        if self.file is not None and self.file.suffix != SOURCE_SUFFIX:
            return ()
        package = self.name if self.paths else self.name.rpartition(".")[0]
        package = getattr(self.loaded, "__package__", None) or package
        return _imported(self.content(), package)


_SEEN: WeakKeyDictionary[ModuleType, tuple[ModuleSpec | None, bytes]] = WeakKeyDictionary()
"""Modules → what their files held when first asked for, and what they were loaded by."""


def _spec(name: str) -> ModuleSpec | None:
    """Where the module of that name lies, without importing anything."""
    parent = name.rpartition(".")[0]
    paths = _Module(parent).paths if parent else None
    if parent and paths is None:
        return None
    with contextlib.suppress(Exception):  # an entry of sys.path may be anything
        return PathFinder.find_spec(name, None if paths is None else list(paths))
    return None


def _with_parents(name: str) -> list[str]:
    """a.b.c → a, a.b, a.b.c."""
    names = name.split(".")
    return [".".join(names[:count]) for count in range(1, len(names) + 1)]


@functools.lru_cache(maxsize=256)
def _imported(text: bytes, package: str) -> tuple[str, ...]:
    """Full names of what a source text of a package may import; none where it is no Python."""
    try:
        with warnings.catch_warnings(action="ignore"):
            tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return ()
    found: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")[: len(package.split(".")) - node.level + 1]
            base = ".".join([*(parents if node.level else []), *filter(None, [node.module])])
            found += [base, *(f"{base}.{alias.name}" for alias in node.names)]
    return tuple(name for name in dict.fromkeys(found) if all(name.split(".")))
