"""Files of a data set that are not used, counted by reason."""

from collections import Counter


class LeftAside:
    """Counts of unused files; one short line for each reason."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._examples: dict[str, str] = {}

    def add(self, reason: str, example: str, count: int = 1) -> None:
        """Count `count` more of `reason`, a plural such as "broken links".

        The first path or name that is given as the `example` of a reason is kept.
        """
        self._counts[reason] += count
        self._examples.setdefault(reason, example)

    def lines(self) -> tuple[str, ...]:
        """`broken links: 12, such as dark/x.png`, in the order in which reasons were met."""
        return tuple(
            f"{reason}: {count:,}, such as {self._examples[reason]}"
            for reason, count in self._counts.items()
        )

    def pass_on(self, other: "LeftAside") -> None:
        """Add these counts to another's."""
        for reason, count in self._counts.items():
            other.add(reason, self._examples[reason], count)
