"""Ends a sweep whose trials fail one after another by the same cause."""

from sweep.results.causes import cause_of

COUNTED = ("failed", "out_of_memory")
"""Statuses of trials that failed; one of any other status that was trained ends a streak."""


class Streak:
    """The trials in a row, as they end, that failed by one cause.

    Args:
        most: the sweep is over after so many; None: never.
    """

    def __init__(self, most: int | None) -> None:
        self.most = most
        self.count = 0
        self.cause = self.error = ""

    def hear(self, status: str, error: str | None, epochs: int) -> None:
        """A trial has ended, after so many epochs."""
        if self.over or (status == "stopped" and not epochs):  # that one was never begun
            return
        cause = cause_of(error or status) if status in COUNTED else ""
        self.count = self.count + 1 if cause == self.cause else 1
        self.cause, self.error = cause, error or status

    @property
    def over(self) -> bool:
        """Whether there are as many as end the sweep."""
        return self.most is not None and bool(self.cause) and self.count >= self.most

    @property
    def line(self) -> str:
        """Why the sweep ends."""
        trials = "1 trial" if self.count == 1 else f"{self.count} trials in a row"
        return (
            f"--max-failures {self.most}: {trials} failed by one cause, so the others were not"
            f" trained: {self.error}"
        )
