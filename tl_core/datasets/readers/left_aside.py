"""Files of a data set that are not used, counted by reason."""


class LeftAside:
    """Counts of unused files and the first example of each reason."""

    def __init__(self) -> None:
        self._found: dict[str, tuple[int, str]] = {}

    def add(self, reason: str, example: str, count: int = 1) -> None:
        """Count `count` more of `reason`, a plural such as "broken links"."""
        before, first = self._found.get(reason, (0, example))
        self._found[reason] = (before + count, first)

    def lines(self) -> tuple[str, ...]:
        """`broken links: 12, such as dark/x.png`, in the order in which reasons were met."""
        found = self._found.items()
        return tuple(f"{reason}: {count:,}, such as {path}" for reason, (count, path) in found)

    def pass_on(self, other: "LeftAside") -> None:
        """Add these counts to another's."""
        for reason, (count, example) in self._found.items():
            other.add(reason, example, count)
