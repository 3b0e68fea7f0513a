"""What a journal says of the trials."""

from collections.abc import Sequence

from sweep.journal.entries import Entry


def last_entry(entries: Sequence[Entry], kind: str) -> Entry | None:
    """The last entry of a kind."""
    return next((entry for entry in reversed(entries) if entry["kind"] == kind), None)


def ended_numbers(entries: Sequence[Entry]) -> set[int]:
    """Numbers of the trials that have ended, and are not to run again."""
    ended: set[int] = set()
    for entry in entries:
        if entry["kind"] == "end":
            ended.add(entry["number"])
        elif entry["kind"] in ("again", "longer"):
            ended -= set(entry["numbers"])
    return ended


def trials_at_first(entries: Sequence[Entry]) -> int | None:
    """Configurations that the search had at first, where more were asked for since."""
    if last_entry(entries, "more") is None:
        return None
    first: int = entries[0]["settled"]["trials"]
    return first


def seconds_used(entries: Sequence[Entry]) -> float:
    """Time that drivers have spent on the trials, from each session's start to its last entry."""
    used, began, latest = 0.0, None, 0.0
    for entry in entries:
        if entry["kind"] == "session":
            used += 0.0 if began is None else latest - began
            began = entry["time"]
        latest = entry["time"]
    return used if began is None else used + latest - began
