"""Class names that differ in writing alone."""

import unicodedata
from collections import defaultdict
from collections.abc import Iterable


def hint(name: str, others: Iterable[str]) -> str:
    """For messages: " (it has …)", where one of `others` differs in writing alone; else empty."""
    alike = [other for other in others if _plain(other) == _plain(name)]
    return f" (it has {alike[0]!r}, written otherwise: use one name)" if alike else ""


def alike_notes(names: Iterable[str]) -> tuple[str, ...]:
    """A line on the classes of one data set that may be meant as one, where there are some."""
    groups: defaultdict[str, list[str]] = defaultdict(list)
    for name in names:
        groups[_plain(name)].append(name)
    found = [group for group in groups.values() if len(group) > 1]
    if not found:
        return ()
    these = " and ".join(map(repr, found[0]))
    more = f", and {len(found) - 1:,} more such" if len(found) > 1 else ""
    return (f"classes that differ in case, space or the coding of accents alone: {these}{more}",)


def _plain(name: str) -> str:
    return unicodedata.normalize("NFKC", name).casefold().strip()
