"""What is wrong with a journal's entries: their fields one by one, then their order."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from sweep.journal.entries import FIELDS, Absent, Entry

LATEST = 2.0**33
"""The last time of an entry, in the year 2242; the tables hold times up to 2262."""
LARGEST = 2**63
"""Whole numbers are less than this, as in the tables."""
_ABSENT = Absent()
_Check = tuple[str, str, frozenset[type]]


def _split(fields: dict[str, tuple[type, ...]]) -> tuple[_Check, ...]:
    """(the field around it or empty, name, types) of each field."""
    parts = ((name.rpartition("."), types) for name, types in fields.items())
    return tuple((around, name, frozenset(types)) for (around, _, name), types in parts)


_CHECKS = {kind: _split(fields) for kind, fields in FIELDS.items()}


def wrong_fields(entry: Entry) -> str | None:
    """What is wrong with the kind, the time or a field of an entry; None: nothing."""
    kind, time = entry.get("kind"), entry.get("time")
    if type(kind) is not str or kind not in _CHECKS:
        return f"there is no kind of entry {_shown(kind)}"
    if type(time) not in (int, float) or not 0 <= time < LATEST:  # type: ignore[operator]
        return f"{_shown(time)} is no `time` of an entry"
    for around, name, types in _CHECKS[kind]:
        inside = entry[around] if around else entry
        found = _items(inside) if name == "*" else (inside.get(name, _ABSENT),)
        for value in found:
            if type(value) not in types or (type(value) is int and abs(value) >= LARGEST):
                field = f"{around}.{name}" if around else name
                what = "has no" if value is _ABSENT else f"has {_shown(value)} as"
                return f"its entry `{kind}` {what} `{field}`"
    return None


def _items(inside: Any) -> Iterable[Any]:
    return inside.values() if isinstance(inside, dict) else inside


def _shown(value: Any) -> str:
    text = ascii(value)
    return text if len(text) <= 40 else f"{text[:40]}…"


def out_of_order(entries: Sequence[Entry]) -> tuple[int, str] | None:
    """The index of the first entry that cannot follow those before it, and why; None: all can."""
    order = _Order()
    for index, entry in enumerate(entries):
        if (entry["kind"] == "begin") != (index == 0):
            return index, "a journal has one `begin`, as its first entry"
        handle = order.handlers.get(entry["kind"])
        if handle is not None and (reason := next(handle(entry), None)) is not None:
            return index, reason
    return None


class _Order:
    """Which trials run, and how far each has come; a handler yields what is wrong first."""

    def __init__(self) -> None:
        self.proposed = -1
        self.running: dict[int, int] = {}
        """Number → epochs heard."""
        self.over: set[int] = set()
        """Those of `running` that have had their last report."""
        self.ended: dict[int, int] = {}
        self.cut: set[int] = set()
        """Those that the time budget has ended."""
        self.reopened = False
        """Whether trials may run that the time budget had kept from being proposed."""
        self.trials: int | None = None
        """Configurations that the search was asked for."""
        self.handlers: dict[str, Callable[[Entry], Iterator[str]]] = {
            "begin": self._begin, "propose": self._propose, "start": self._runs,
            "result": self._result, "end": self._end, "more": self._more, "again": self._again,
            "longer": self._longer, "reopen": self._reopen,
        }  # fmt: skip

    def _begin(self, entry: Entry) -> Iterator[str]:
        self.trials = entry["settled"].get("trials")
        if "search" in entry["settled"] and self.trials is None:
            yield "its entry `begin` has `settled.search`, and no `settled.trials`"

    def _propose(self, entry: Entry) -> Iterator[str]:
        number = entry["number"]
        if number <= self.proposed:
            yield f"trial {number} is proposed after trial {self.proposed}"
        self.proposed = number
        self.running[number] = 0

    def _runs(self, entry: Entry) -> Iterator[str]:
        number = entry["number"]
        if self.reopened and number not in self.ended:
            self.running.setdefault(number, 0)
        if number not in self.running:
            before = "it has ended" if number in self.ended else "it was not proposed"
            yield f"`{entry['kind']}` of trial {number}, but {before} before"

    def _result(self, entry: Entry) -> Iterator[str]:
        yield from self._runs(entry)
        number, report = entry["number"], entry["report"]
        heard = self.running[number]
        if number in self.over:
            yield f"`result` of trial {number}, but it had its last before"
        if report["error"] is None:  # else no epoch has ended
            if report["epoch"] != heard + 1:
                yield f"epoch {report['epoch']} of trial {number} follows its epoch {heard}"
            self.running[number] = heard + 1
        if report["done"] or entry["said"] != "go":
            self.over.add(number)
        if entry["said"] == "cut":
            self.cut.add(number)

    def _end(self, entry: Entry) -> Iterator[str]:
        yield from self._runs(entry)
        self.ended[entry["number"]] = self.running.pop(entry["number"])
        self.over.discard(entry["number"])

    def _more(self, entry: Entry) -> Iterator[str]:
        if self.trials is None:
            yield "`more` trials of a sweep that has all its configurations"

    def _reopen(self, entry: Entry) -> Iterator[str]:
        for number in self.cut & self.ended.keys():
            self.running[number] = 0
            del self.ended[number]
        self.cut, self.reopened = set(), True
        yield from ()

    def _again(self, entry: Entry) -> Iterator[str]:
        for number in entry["numbers"]:
            if number not in self.ended:
                yield f"`{entry['kind']}` of trial {number}, but it has not ended before"
            self.running[number] = 0
            del self.ended[number]

    def _longer(self, entry: Entry) -> Iterator[str]:
        heard = dict(self.ended)
        yield from self._again(entry)
        self.running |= {number: heard[number] for number in entry["numbers"]}
