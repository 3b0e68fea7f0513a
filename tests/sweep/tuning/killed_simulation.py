"""A simulated sweep that keeps a journal, is killed now and then, and goes on each time."""

import json
import random
from datetime import UTC, datetime

import numpy as np

from benchmarks.simulated_sweep import Running, Settings, Sweep
from sweep.journal.checks import out_of_order
from sweep.journal.journal import as_read
from sweep.journal.past import ended_numbers, seconds_used
from sweep.results.written import find_written, keep_rows, set_aside
from sweep.tuning.replay import Replay

NAME = "s1"
BEGIN = {
    "kind": "begin", "time": 0.0, "version": 1, "sweep": NAME, "folder": "/",
    "options": {"space": "ablation"}, "space": "ablation", "of_source": False, "kept_as": None,
    "settled": {"search": "random", "scheduler": "asha", "trials": 6, "grace_period": 1},
    "replaced": {}, "made_of": {"setting": {}},
}  # fmt: skip
"""The first entry of a journal, which the simulation does not write."""


class Killed(BaseException):
    """The driver is no more; nothing in it hears of it."""


class KnownWorld:
    """Accuracies that depend on configuration and seed alone, whenever they are asked for."""

    def __init__(self, number: int, epochs: int = 5) -> None:
        self.number, self.epochs = number, epochs

    def curve(self, configuration, seed):
        rng = np.random.default_rng([self.number, configuration])
        level = rng.uniform(0.3, 0.9)
        noise = np.random.default_rng([self.number, configuration, seed]).normal(0, 0.05, 9)
        rise = level * np.linspace(0.5, 1.0, self.epochs)
        return np.round((rise + noise[: self.epochs]).clip(0, 1), 2)


class KilledSweep(Sweep):
    """A driver of a sweep, from its start or the end of a journal.

    Args:
        past: entries of the journal, which this driver adds to.
        kill_at: length of the journal at which it is killed; None: never.
        rng: decides when rows are written.
    """

    def __init__(self, world, settings, folder, past, kill_at=None, rng=None):
        self.entries, self.kill_at = past, kill_at
        self.chance = rng or random.Random(0)
        self.written_at = len(past)
        self.now = past[-1]["time"] if past else 0.0
        super().__init__(world, settings, folder, self.keep)
        self.now = past[-1]["time"] if past else 0.0
        self.left = []
        self.keep("session")
        if past[:-1]:
            self.go_on()
        self.ledger.before_writing = self.note_written

    def keep(self, kind, time=None, **fields):
        """Add an entry to the journal, as it will be read back."""
        moment = self.now if time is None else time
        self.entries.append(as_read({"kind": kind, "time": moment, **fields}))
        if len(self.entries) == self.kill_at:
            raise Killed

    def note_written(self):
        self.written_at = len(self.entries)

    def go_on(self):
        """As `OneSweep` does with Ray."""
        past = list(self.entries)
        assert out_of_order([BEGIN, *past]) is None
        ended = {self.ledger.job.trial_id(number) for number in ended_numbers(past)}
        found = find_written(self.folder, NAME)
        self.ledger.written = {k for k in found.keys if k[0] != "trials" or k[1] in ended}
        replay = Replay(
            self.searcher, self.scheduler, self.ledger, self.budget,
            lambda values: self._identify(values)["config_id"],
        )  # fmt: skip
        self.kill_at, kill_at = None, self.kill_at
        self.left = replay.run(past)
        self.kill_at = kill_at
        self.ledger.now = lambda: datetime.fromtimestamp(self.now, UTC)
        for number in replay.late:
            self.keep("end", number=number, error=None)
        self.ledger.written = ()
        self.said = []
        set_aside(self.folder, NAME, found.damaged, self.said.append)
        keep_rows(self.folder, "trials", NAME, ended, self.said.append)
        begun = {n for n, record in self.ledger.records.items() if record.epoch}
        kept = {self.ledger.job.trial_id(number) for number in begun}
        keep_rows(self.folder, "epochs", NAME, kept, self.said.append)
        self.feed = self._feed(self.left, replay.proposed)

    def _start(self, name, config):
        running: Running = super()._start(name, config)
        running.epoch = self.feed.heard.get(config["number"], 0)
        return running

    def _draws(self, number):
        return random.Random(f"{self.settings.seed} {number}")

    def _between(self):
        if self.chance.random() < 0.1:
            self.ledger.write()


def in_one_go(world, settings, folder):
    """The outcome of a sweep that nothing kills, and its journal."""
    folder.mkdir()
    entries = []
    return KilledSweep(world, settings, folder, entries).run(), entries


def killed_and_resumed(world, settings, folder, kills, rng, *, whole_journal=False):
    """The outcome of a sweep whose driver dies at each of `kills`, lengths of its journal.

    Unless `whole_journal`, entries since the last rows written may be lost as well.

    Returns:
        The outcome, the journal, and what it was at each kill.
    """
    folder.mkdir()
    entries, before = [], []
    for kill_at in [*kills, None]:
        own = remaining(settings, entries)
        (folder / "study.log").unlink(missing_ok=True)
        driver = None
        try:
            driver = KilledSweep(world, own, folder, entries, kill_at, rng)
            return driver.run(), entries, before
        except Killed:
            if driver is not None and not whole_journal:
                del entries[rng.randint(driver.written_at, len(entries)) :]
            before.append(json.loads(json.dumps(entries)))
    raise AssertionError


def remaining(settings, entries):
    """The settings with what is left of the time budget."""
    if settings.time_budget is None:
        return settings
    left = settings.time_budget - seconds_used(entries)
    return Settings(**{**vars(settings), "time_budget": max(left, 1.0)})
