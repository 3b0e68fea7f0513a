"""How long trials take, and which trainer processes come no further."""

import time
from collections.abc import Callable, Sequence

from sweep.engine.hosts import Host
from sweep.engine.known import Trial

GRACE_SECONDS = 10.0
"""A process ends a trial that is over time by itself; one that has not said so by then is ended.
Native code that takes longer costs a process, which is started again in seconds."""
STALL_SECONDS = 600.0
"""A process that took no batch for so long is named to the user. Steps of the largest models take
seconds; to decode a large data set, or to download one, may take longer, and is named in vain."""


class Timekeeper:
    """Measures the time of trials and processes.

    Args:
        timeout: seconds that a trial may take, None for any time.
        now: returns the time.
    """

    def __init__(
        self, timeout: float | None = None, now: Callable[[], float] = time.monotonic
    ) -> None:
        self.timeout, self.now = timeout, now

    def begin(self, host: Host, trials: Sequence[Trial]) -> None:
        """A process gets orders for these of its trials."""
        host.since = host.moved = self.now()
        host.left, host.noted = self._left(trials), False

    def end(self, host: Host) -> None:
        """A process has carried out its orders; trials of a group share the time."""
        share = (self.now() - host.since) / max(len(host.trials), 1)
        for trial in host.trials.values():
            trial.seconds += share

    def _left(self, trials: Sequence[Trial]) -> float | None:
        """Seconds that trials may still take, those of a group together."""
        if self.timeout is None:
            return None
        return max(0.0, sum(self.timeout - trial.seconds for trial in trials))

    def pulse(self, host: Host, taken: int) -> None:
        """A process says how many batches it has taken."""
        if taken != host.taken:
            host.taken, host.moved, host.noted = taken, self.now(), False

    def is_overdue(self, host: Host) -> bool:
        """Whether a process should have ended its trials; a group also where it hangs."""
        if self.timeout is None or host.left is None or not host.busy:
            return False
        if host.grouped and self._still(host) > self.timeout + GRACE_SECONDS:
            return True
        return self.now() - host.since > host.left + GRACE_SECONDS

    def stalls(self, host: Host) -> bool:
        """Whether a process has come no further for long, which is said once."""
        stalls = host.busy and not host.noted and self._still(host) > STALL_SECONDS
        host.noted |= stalls
        return stalls

    def _still(self, host: Host) -> float:
        return self.now() - host.moved
