"""Trials that need the memory of a machine for themselves, and when they begin."""

from collections.abc import Mapping

from sweep.engine.hosts import Host
from sweep.engine.known import Trial


class Machines:
    """The processes by machine.

    A trial for which the memory of a machine was short, beside others, is trained there again by
    itself. It waits until so many do that half the processes there have nothing else to do; then
    the others end what they have.

    Args:
        hosts: all trainer processes, kept up to date by their owner.
    """

    def __init__(self, hosts: Mapping[str, Host]) -> None:
        self.hosts = hosts

    def on(self, machine: str, beside: Host | None = None) -> list[Host]:
        """The processes on a machine, `beside` left out."""
        return [h for h in self.hosts.values() if h.machine == machine and h is not beside]

    def is_crowded(self, host: Host, trial: Trial) -> bool:
        """Whether others may train beside a trial on a machine."""
        return trial.lonely is None and bool(self.on(host.machine, host))

    def in_company(self, host: Host) -> bool:
        """Whether other processes of a machine have trials."""
        return any(other.in_use for other in self.on(host.machine, host))

    def first(self, host: Host, waiting: Mapping[int, Trial]) -> Trial | None:
        """Which of the trials that wait a process begins next; None for none of them."""
        lonely, others = _parted(host, waiting)
        number = min(others, default=None)
        if lonely and not self.in_company(host):
            number = min(lonely)
        return None if number is None else waiting[number]

    def holds_back(self, host: Host, waiting: Mapping[int, Trial]) -> bool:
        """Whether a process begins nothing now, since another trial needs the machine."""
        lonely, others = _parted(host, waiting)
        beside = self.on(host.machine, host)
        if any(trial.lonely is not None for h in beside for trial in h.trials.values()):
            return True
        many = not others or 2 * len(lonely) > len(beside)
        return bool(lonely) and many and self.in_company(host)


def _parted(host: Host, waiting: Mapping[int, Trial]) -> tuple[list[int], list[int]]:
    """Trials that wait for the whole of a process's machine, and those that any may begin."""
    lonely = [number for number, trial in waiting.items() if trial.lonely == host.machine]
    return lonely, [number for number, trial in waiting.items() if trial.lonely is None]
