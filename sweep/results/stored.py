"""Results in an object store: what each command needs of them is copied to the working folder.

Every function does nothing where the results are an ordinary folder, and nothing to a sweep whose
driver runs on this machine, since the working folder is ahead of the store then. One that a driver
of this machine left with rows that were not uploaded is uploaded first.
"""

import contextlib
import io
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from sweep.results.folders import model_folder, run_folder, sweep_names, table_folder
from sweep.results.schema import SCHEMAS
from sweep.store.fetching import pull, pull_all, pull_some, pull_tables
from sweep.store.location import url_of
from sweep.store.mirror import Mirror
from sweep.store.part import ALIVE, MANIFEST, Part
from sweep.store.remote import Remote, open_store
from sweep.store.uploader import TakenOver, Uploader
from sweep.store.writer import Writer
from tl_core.errors import BadInput, first_line

MARK = ".tl-sweep"
"""A file that each driver writes first, which shows that the store can be written."""
LAZY = ("predictions",)
"""Tables with images, which are copied where they are drawn."""
WEIGHTS = ".safetensors"


@contextlib.contextmanager
def _asked(results: Path, *, writing: bool = False) -> Iterator[Remote]:
    """The store of a working folder.

    Raises:
        BadInput: it does not answer, or refuses.
    """
    url = str(url_of(results))
    try:
        yield open_store(url)
    except BadInput:
        raise
    except TakenOver:
        raise BadInput(f"--results {url}: another driver writes this sweep now.") from None
    except Exception as error:
        cannot = "cannot be written" if writing else "cannot be read"
        raise BadInput(
            f"--results {url} {cannot} ({first_line(error)}); check the address, the network and"
            " the credentials."
        ) from None


def part_of(results: Path, name: str) -> Part:
    """The folders of a sweep."""
    tables = (table_folder(results, table, name) for table in SCHEMAS)
    inside = [f.relative_to(results).as_posix() for f in (*tables, run_folder(results, name))]
    return Part(name, tuple(inside[:-1]), inside[-1])


def is_stored(results: Path) -> bool:
    """Whether a results folder is the working folder of a store."""
    return url_of(results) is not None


def check_store(results: Path) -> None:
    """Refuse a store that cannot be written."""
    if is_stored(results):
        with _asked(results, writing=True) as remote:
            text = b"Results of tl-sweep\n"
            remote.put(MARK, io.BytesIO(text), len(text))


def fetch_names(results: Path) -> None:
    """Let the working folder have a folder of each sweep in the store, and of no other."""
    if not is_stored(results):
        return
    with _asked(results) as remote:
        found = set(remote.folders(run_folder(results, "").relative_to(results).as_posix()))
        for table in SCHEMAS:
            found |= {n.removeprefix("sweep=") for n in remote.folders(table) if "sweep=" in n}
    for name in set(sweep_names(results)) - found:
        writer = Writer(results, part_of(results, name))
        if writer.sent and not writer.is_driven():
            _remove(results, name)
    for name in found:
        if name == Path(name).name and not name.startswith("."):
            run_folder(results, name).mkdir(parents=True, exist_ok=True)


def fetch_sweep(results: Path, name: str, *, images: bool = False) -> None:
    """Copy a sweep's description and rows; those of predictions with `images` alone."""
    if (found := _free(results, name)) is None:
        return
    tables = [t for p, t in zip(SCHEMAS, found.tables, strict=True) if images or p not in LAZY]
    with _asked(results) as remote:
        pull_some(remote, results, found, lambda file: file in (MANIFEST, ALIVE))
        pull_tables(remote, results, found, tuple(tables))


def fetch_weights(results: Path, name: str) -> None:
    """Copy a sweep's description and the weights of its best configurations."""
    if (found := _free(results, name)) is not None:
        with _asked(results) as remote:
            pull_some(remote, results, found, lambda f: f == MANIFEST or f.endswith(WEIGHTS))


def first_file(results: Path, files: Iterable[Path]) -> Path | None:
    """The first of some files in one folder that there is, copied here from a store."""
    paths = list(files)
    if is_stored(results) and paths:
        names = {path: path.relative_to(results).as_posix() for path in paths}
        with _asked(results) as remote:
            there = remote.files(paths[0].parent.relative_to(results).as_posix(), deep=False)
            found = [n for p, n in names.items() if p.is_file() or n in there][:1]
            pull(remote, results, {n: there[n] for n in found if n in there})
    return next((path for path in paths if path.is_file()), None)


def fetch_to_resume(results: Path, name: str) -> None:
    """Become the driver of a sweep that another one left, and copy everything of it."""
    fetch_names(results)
    if (found := _free(results, name)) is not None:
        with _asked(results) as remote:
            writer = Writer(results, found)
            ahead = writer.may_write(remote)
            writer.take_over(remote)
            pull_all(remote, results, found, ahead=ahead)
        fetch_models(results, weights=True)


def fetch_list(results: Path) -> dict[str, int]:
    """Copy descriptions and trials of all sweeps; returns their bytes in the store."""
    fetch_names(results)
    if not is_stored(results):
        return {}
    parts = [part for name in sweep_names(results) if (part := _free(results, name)) is not None]
    with _asked(results) as remote:
        runs = remote.files(run_folder(results, "").relative_to(results).as_posix())
        shown = {name for part in parts for name in (part.manifest, part.alive)}
        pull(remote, results, {n: f for n, f in runs.items() if n in shown})
        for name in shown - runs.keys():
            (results / name).unlink(missing_ok=True)
        rows = {n: f for table in SCHEMAS for n, f in remote.files(table).items()}
        for part in parts:
            folder = table_folder(results, "trials", part.name).relative_to(results).as_posix()
            own = {n: f for n, f in rows.items() if n.startswith(f"{folder}/")}
            pull(remote, results, own, part.is_table)
    sizes: dict[str, int] = {}
    for path, file in (runs | rows).items():
        name = path.split("/")[1].removeprefix("sweep=")
        sizes[name] = sizes.get(name, 0) + file.size
    return sizes


def fetch_models(results: Path, name: str | None = None, *, weights: bool = False) -> set[str]:
    """Copy the descriptions of all named models, and the weights of one, or with `weights` all.

    Returns the paths of all files of models in the store, relative to the results folder.
    """
    if not is_stored(results):
        return set()
    folder = model_folder(results).relative_to(results).as_posix()
    with _asked(results) as remote:
        found = remote.files(folder)
        own = f"{folder}/{name}/"
        wanted = {
            n: f
            for n, f in found.items()
            if weights or n.startswith(own) or not n.endswith(WEIGHTS)
        }
        pull(remote, results, wanted)
    return set(found)


def send_folder(results: Path, folder: Path) -> None:
    """Upload the files in a folder of the working folder that differ, descriptions last."""
    if not is_stored(results):
        return
    inside = folder.relative_to(results).as_posix()
    with _asked(results, writing=True) as remote:
        there = remote.files(inside)
        files = [f for f in folder.iterdir() if f.is_file() and not f.name.startswith(".")]
        for file in sorted(files, key=lambda f: (f.suffix == ".json", f.name)):
            name = f"{inside}/{file.name}"
            if name not in there or not there[name].is_like(file):
                _send(remote, name, file)


def _send(remote: Remote, name: str, file: Path) -> None:
    with file.open("rb") as source:
        stored = remote.put(name, source, os.fstat(source.fileno()).st_size)
        if stored.changed is not None:
            os.utime(source.fileno(), ns=(stored.changed, stored.changed))


def claim_in_store(results: Path, name: str) -> bool:
    """Take a name that no other driver can then take; False where one has it."""
    if not is_stored(results):
        return True
    with _asked(results, writing=True) as remote:
        return Writer(results, part_of(results, name)).claim(remote)


def delete_stored(results: Path, name: str) -> int:
    """Remove a sweep from the store, its description last; returns its bytes there."""
    if not is_stored(results):
        return 0
    part, freed = part_of(results, name), 0
    with _asked(results, writing=True) as remote:
        for folder in part.folders:
            freed += sum(file.size for file in remote.files(folder).values())
            remote.remove_folder(folder)
    Writer(results, part).forget()
    return freed


@contextlib.contextmanager
def mirrored(
    results: Path, name: str, note: Callable[[str], object]
) -> Iterator[Mirror | None]:
    """Upload a sweep while the block runs, and the rest at its end.

    `failure` of what it yields then says what could not be. It yields None for a folder.

    Raises:
        BadInput: another driver writes the sweep.
    """
    if not is_stored(results):
        yield None
        return
    part = part_of(results, name)
    writer = Writer(results, part)
    with writer.driving():
        with _asked(results, writing=True) as remote:
            writer.take_over(remote)
            writer.keep(str(writer.token), sent=False)
        mirror = Mirror(Uploader(results, part, remote, writer), note)
        mirror.start()
        try:
            yield mirror
        finally:
            mirror.finish()


def _free(results: Path, name: str) -> Part | None:
    """A sweep that may be copied here, after what a driver of this machine left is uploaded."""
    if not is_stored(results) or name != Path(name).name or name in ("", ".", ".."):
        return None
    part = part_of(results, name)
    writer = Writer(results, part)
    if writer.is_driven():
        return None
    if not writer.sent and (results / part.manifest).exists():
        with _asked(results, writing=True) as remote:
            if writer.may_write(remote):
                Uploader(results, part, remote, writer).send(whole=True)
                writer.keep(str(writer.token), sent=True)
            else:  # it was resumed elsewhere, or deleted
                writer.forget()
    return part


def _remove(results: Path, name: str) -> None:
    """Remove the working copy of a sweep."""
    part = part_of(results, name)
    for folder in part.folders:
        shutil.rmtree(results / folder, ignore_errors=True)
    Writer(results, part).forget()

