"""What a journal says of the trials."""

from collections.abc import Container, Sequence

from sweep.journal.entries import Entry


def last_entry(entries: Sequence[Entry], kind: str) -> Entry | None:
    """The last entry of a kind."""
    return next((entry for entry in reversed(entries) if entry["kind"] == kind), None)


def ended_numbers(entries: Sequence[Entry]) -> set[int]:
    """Numbers of the trials that have ended, and are not to run again."""
    ended, cut = set[int](), set[int]()
    for entry in entries:
        if entry["kind"] == "end":
            ended.add(entry["number"])
        elif entry["kind"] in ("again", "longer"):
            ended -= set(entry["numbers"])
        elif entry["kind"] == "result" and entry["said"] == "cut":
            cut.add(entry["number"])
        elif entry["kind"] == "reopen":
            ended -= cut
            cut.clear()
    return ended


def unrecorded_ends(entries: Sequence[Entry]) -> list[Entry]:
    """Ends, as entries, of trials that had their last report and no end when the driver died."""
    over: dict[int, bool] = {}
    for entry in entries:
        if entry["kind"] == "result":
            over[entry["number"]] = entry["said"] != "go" or entry["report"]["done"]
        elif entry["kind"] == "end":
            over.pop(entry["number"], None)
    return [{"kind": "end", "number": n, "error": None} for n in sorted(over) if over[n]]


def unsuccessful_numbers(entries: Sequence[Entry], failures: Container[str]) -> set[int]:
    """Numbers of the trials that ended with one of these statuses, or whose slots died."""
    failed: dict[int, bool] = {}
    for entry in entries:
        if entry["kind"] == "result":
            failed[entry["number"]] = entry["report"]["status"] in failures
        elif entry["kind"] == "end" and entry["error"] is not None:
            failed[entry["number"]] = True
    return {number for number in ended_numbers(entries) if failed.get(number)}


def is_cut_short(entries: Sequence[Entry]) -> bool:
    """Whether the time budget ended the search, and nothing has let it go on since."""
    marks = [e["kind"] for e in entries if e["kind"] in ("over", "reopen", "more")]
    return marks[-1:] == ["over"]


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
