"""Copy from a store to the working folder what is not there yet, or is there as it was before."""

from collections.abc import Callable
from pathlib import Path

from sweep.store import segments
from sweep.store.part import Part, local_files
from sweep.store.remote import Remote, Stored
from tl_core.machine.whole_file import whole_file


def pull(
    remote: Remote,
    results: Path,
    files: dict[str, Stored],
    once: Callable[[str], bool] = lambda name: False,
) -> None:
    """Copy those of some files that differ; one that was removed meanwhile is passed over.

    `once` says of a name whether such a file is written once.
    """

    def get(name: str) -> None:
        try:
            remote.get(name, files[name], results)
        except FileNotFoundError:
            (results / name).unlink(missing_ok=True)

    remote.each(get, [n for n, f in files.items() if not f.is_like(results / n, once=once(n))])


def pull_some(remote: Remote, results: Path, part: Part, names: Callable[[str], bool]) -> None:
    """Copy files right in the folder of everything but rows whose names within it are asked for.

    The heartbeat and the description are removed here where the store has none.
    """
    found = remote.files(part.run, deep=False)
    wanted = {n: f for n, f in found.items() if names(n.rpartition("/")[2])}
    pull(remote, results, wanted)
    for name in (part.alive, part.manifest):
        if name not in found:
            (results / name).unlink(missing_ok=True)


def pull_tables(remote: Remote, results: Path, part: Part, tables: tuple[str, ...]) -> None:
    """Copy all rows in some tables' folders, and remove here what is not in the store."""
    files: dict[str, Stored] = {}
    for folder in tables:
        files |= remote.files(folder)
    files = {n: f for n, f in files.items() if part.is_copied(n)}
    pull(remote, results, files, part.is_table)
    _remove_others(results, part, files, lambda n: n.startswith(tuple(f"{t}/" for t in tables)))


def pull_all(remote: Remote, results: Path, part: Part, *, ahead: bool) -> None:
    """Copy everything of a sweep, the description before the rows, and the journal in one.

    Where the working folder is `ahead` of the store, a journal that is here stays.
    """
    pull_some(remote, results, part, lambda name: name == Path(part.manifest).name)
    found = remote.files(part.run)
    if not (ahead and (results / part.journal).exists()):
        _join_journal(remote, results, part, found)
    files = {n: f for n, f in found.items() if part.is_copied(n)}
    pull(remote, results, files)
    _remove_others(results, part, files, lambda n: not part.is_table(n))
    pull_tables(remote, results, part, part.tables)


def _join_journal(remote: Remote, results: Path, part: Part, found: dict[str, Stored]) -> None:
    """Write the journal from its pieces."""
    folder = f"{part.run}/{segments.FOLDER}/"
    names = segments.in_order(n for n in found if n.startswith(folder))
    if not names:
        (results / part.journal).unlink(missing_ok=True)
        return
    with whole_file(results / part.journal) as temporary, temporary.open("wb") as joined:
        for start in range(0, len(names), remote.at_once):
            joined.writelines(remote.each(remote.read, names[start : start + remote.at_once]))


def _remove_others(
    results: Path, part: Part, files: dict[str, Stored], among: Callable[[str], bool]
) -> None:
    for name in local_files(results, part):
        if among(name) and name not in files:
            (results / name).unlink(missing_ok=True)
