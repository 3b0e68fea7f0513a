"""Where results are: a folder, or an object store of which a local working folder has a copy.

A sweep always works in a local folder. That of a store is `stores/BUCKET-PATH-HASH` in the cache
folder; the file `.store/url` in it says which store it belongs to. Importing this imports nothing
slow.
"""

import hashlib
import re
from pathlib import Path
from urllib.parse import urlsplit

from tl_core.errors import BadInput
from tl_core.machine.cache_folder import cache_folder
from tl_core.machine.user_path import expanded
from tl_core.machine.whole_file import whole_file

STORES = "stores"
"""Folder of all working folders in the cache folder."""
OWN = ".store"
"""Folder in a working folder with what is known of its store; no reader of results looks there."""
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
_ONE_SLASH = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/(?!/)")


def results_folder(given: str | Path, option: str = "--results") -> Path:
    """The local folder of results: the path given, or the working folder of a store's URL.

    Raises:
        BadInput: it is no URL of a store, or holds a password; or it is no path.
    """
    text = str(given)
    if _ONE_SLASH.match(text):
        scheme, _, rest = text.partition(":/")
        raise BadInput(
            f"{option} {text}: a URL has two slashes, as {scheme}://{rest}; in Python give it as"
            " text, since a Path drops one."
        )
    if not _URL.match(text):
        return expanded(text)
    url = _checked(text, option)
    folder = cache_folder(None) / STORES / _folder_name(url)
    try:
        (folder / OWN).mkdir(parents=True, exist_ok=True)
        if url_of(folder) is None:
            with whole_file(folder / OWN / "url") as temporary:
                temporary.write_text(url, encoding="utf-8")
    except OSError as error:
        raise BadInput(
            f"{option} {text} is worked on in {folder}, which cannot be written"
            f" ({error.strerror}); set TL_SWEEP_CACHE to a folder that can."
        ) from None
    return folder


def _checked(text: str, option: str) -> str:
    """The URL without slashes at its end."""
    try:
        parts = urlsplit(text)
        secret = parts.password
    except ValueError as error:
        raise BadInput(f"{option} {text}: this is no URL ({error}).") from None
    if secret is not None:
        raise BadInput(
            f"{option} {parts.scheme}://…@{parts.hostname}{parts.path}: leave out the password,"
            " since the address is kept with the sweep; give it in the environment."
        )
    place, mark, query = text.partition("?")
    place = place.rstrip("/")
    if place.endswith(":"):
        raise BadInput(f"{option} {text}: name a bucket or folder behind the slashes.")
    return place + mark + query


def _folder_name(url: str) -> str:
    place = url.partition("?")[0].partition("://")[2]
    readable = re.sub(r"[^A-Za-z0-9]+", "-", place).strip("-")[-40:]
    return f"{readable}-{hashlib.sha256(url.encode()).hexdigest()[:10]}"


def url_of(folder: Path) -> str | None:
    """The store that a results folder is the working folder of; None: it is an ordinary one."""
    try:
        return (folder / OWN / "url").read_text(encoding="utf-8") or None
    except OSError:
        return None


def shown_results(folder: Path) -> str:
    """A results folder as the user named it: a store by its URL."""
    return url_of(folder) or str(folder)


def url_within(path: Path) -> str | None:
    """The URL of a file or folder in a working folder; None where the path is in none."""
    for folder in (path, *path.parents):
        if (url := url_of(folder)) is not None:
            place, mark, query = url.partition("?")
            return "/".join((place, *path.relative_to(folder).parts)) + mark + query
    return None


def relocated(path: str) -> str:
    """A path in the working folder of another machine as it is here; any other path unchanged."""
    found = re.search(rf"/{STORES}/([^/]+-[0-9a-f]{{10}})/", path)
    if found is None or Path(path).exists():
        return path
    here = cache_folder(None) / STORES / found[1]
    return str(here / path[found.end() :]) if url_of(here) is not None else path
