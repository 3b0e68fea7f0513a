"""The trainer processes as the desk knows them, and how many use a device at once."""

from dataclasses import dataclass, field

from sweep.engine.known import Trial


@dataclass
class Host:
    """A trainer process.

    Attributes:
        device: processes that share a device have the same.
        trials: those that it has, by number.
        grouped: whether it trains them as a group.
        busy: whether it carries out orders.
        among: most processes that used its device when it got them, itself included.
        machine: processes on the same machine have the same.
        since: time at which it got its orders.
        left: seconds that they may take, None for any time.
        taken: batches that it has taken, as far as it has said.
        moved: time at which these were last more than before.
        noted: whether it was said that it comes no further.
    """

    device: str
    trials: dict[int, Trial] = field(default_factory=dict)
    grouped: bool = False
    busy: bool = False
    among: int = 1
    machine: str = ""
    since: float = 0.0
    left: float | None = None
    taken: int = -1
    moved: float = 0.0
    noted: bool = False

    @property
    def in_use(self) -> bool:
        """Whether it uses its device, or will go on to."""
        return self.busy or bool(self.trials)


class Devices:
    """How many of the processes on a device may use it at once: all, until memory is short."""

    def __init__(self) -> None:
        self.hosts: dict[str, list[Host]] = {}
        self.allowed: dict[str, int] = {}

    def add(self, host: Host) -> None:
        """There is one more process."""
        self.hosts.setdefault(host.device, []).append(host)

    def remove(self, host: Host) -> None:
        """A process has gone."""
        self.hosts[host.device] = [h for h in self.hosts[host.device] if h is not host]

    def _most(self, device: str) -> int:
        """Most that may use it."""
        there = len(self.hosts[device])
        return min(there, self.allowed.get(device, there))

    def _in_use(self, device: str) -> int:
        return sum(host.in_use for host in self.hosts[device])

    def has_room(self, device: str) -> bool:
        """Whether one more process may use it."""
        return self._in_use(device) < self._most(device)

    def begin(self, host: Host) -> None:
        """A process gets orders: note how many may use its device meanwhile."""
        host.busy = True
        host.among = max(self._in_use(host.device), self._most(host.device))

    def back_off(self, host: Host) -> None:
        """Halve the processes that may use a device, on which this one ran out of memory.

        Those that ran out of it together halve them once.
        """
        if host.among <= (most := self._most(host.device)):
            self.allowed[host.device] = max(1, most // 2)
