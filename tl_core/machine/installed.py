"""Installed libraries, told from a user's own code by the metadata that lies beside them.

A package that pip, conda or a system's package manager installs has a `NAME-VERSION.dist-info` (or
`.egg-info`) in the same folder, wherever that is: site-packages, `pip --target`, PYTHONPATH, a
folder of a .pth file. A project installed as editable has its metadata elsewhere: it is the
user's own code. So is one that was installed from a folder of this machine, whose code may change
under one version.
"""

import contextlib
import functools
import json
import re
import sysconfig
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

_STANDARD = frozenset(
    place
    for name in ("stdlib", "platstdlib")
    for place in (Path(sysconfig.get_path(name)), Path(sysconfig.get_path(name)).resolve())
)
_SITES = ("site-packages", "dist-packages")
"""Folders within the standard library's that hold other packages."""
_LISTS = ("top_level.txt", "RECORD", "installed-files.txt")
"""Files of the metadata that say which modules a distribution brings, the shortest first."""
_FIRST_PART = re.compile(r"^(?:\.\./)?([^/,.\s]+)", re.MULTILINE)
"""What comes first in a line of such a list: a module's name, or the top of its path."""


@functools.lru_cache(maxsize=4096)
def library_of(file: Path) -> str | None:
    """`NAME==VERSION` of the library that a module's file belongs to; None: the code is a user's.

    Where it came from follows, if that was no index: a version alone does not tell commits apart.

    Args:
        file: absolute path of the module's file, which may be a link into another folder.
    """
    return _library_at(file) or _library_at(file.resolve())


def _library_at(file: Path) -> str | None:
    for folder in file.parents:
        top, *_ = file.relative_to(folder).parts
        found = _claimed(folder, top.split(".")[0])
        if found is not None:
            return found
        if folder in _STANDARD and top not in _SITES:
            return "python"
    return None


@functools.lru_cache(maxsize=4096)
def _claimed(folder: Path, module: str) -> str | None:
    """The distribution in a folder that brings a top-level module; None where none does."""
    same_name = (info for info in _metadata(folder) if _project(info)[0] == module.lower())
    info = next(same_name, None) or _listed(folder).get(module)
    if info is None:
        return None
    origin = _origin(info)
    if "dir_info" in origin and Path(unquote(urlsplit(origin["url"]).path)).exists():
        return None
    return "==".join(_project(info)) + (json.dumps(origin) if origin else "")


def _origin(info: Path) -> dict[str, Any]:
    """Where a distribution came from, if not from an index: a folder, a commit, an archive."""
    try:
        return dict(json.loads((info / "direct_url.json").read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return {}


@functools.lru_cache(maxsize=4096)
def _metadata(folder: Path) -> tuple[Path, ...]:
    """Metadata of what is installed in a folder; that of a source tree has no version in its name.

    A folder that cannot be read has none.
    """
    found: list[Path] = []
    with contextlib.suppress(OSError):
        for pattern in ("*-*.dist-info", "*-*.egg-info", "EGG-INFO"):
            found += sorted(folder.glob(pattern))
    return tuple(found)


def _project(info: Path) -> tuple[str, str]:
    """Name, as a module is spelled, and version, from the name of the metadata's folder."""
    folder = info.parent if info.name == "EGG-INFO" else info
    name, _, rest = folder.stem.partition("-")
    return re.sub(r"[-_.]+", "_", name).lower(), rest.partition("-")[0]


@functools.lru_cache(maxsize=64)
def _listed(folder: Path) -> dict[str, Path]:
    """Top-level modules that distributions in a folder say they bring → their metadata."""
    found: dict[str, Path] = {}
    for info in _metadata(folder):
        for name in _LISTS:
            with contextlib.suppress(OSError):  # not every kind of metadata has every list
                text = (info / name).read_text(encoding="utf-8", errors="replace")
                found |= dict.fromkeys(_FIRST_PART.findall(text), info)
                break
    return found
