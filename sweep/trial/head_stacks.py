"""Train a sweep's heads on frozen stages as stacks, many trials at a time.

    <checkpoints>/heads/<host>/<first trial of the stack>.pt

Where all trials are known in advance, the first worker with a trial of a stack trains the whole
stack and writes all its epochs to this file. A worker that gets another trial of the stack
meanwhile trains the next stack before it waits. Tune, its scheduler and the results see ordinary
trials.
"""

import contextlib
import dataclasses
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from sweep.trial.job import Job
from tl_core.config import TrainConfig
from tl_core.errors import BadInput
from tl_core.train.checkpoint import load_state, save_checkpoint
from tl_core.train.epoch import EpochMetrics
from tl_core.train.heads import HeadRun, shared_config, train_heads
from tl_core.train.trainer import Trainer

REACH = 32
"""Stacks are formed among this many consecutive trials."""
BEHIND = 8 * REACH
"""Number of trials after which a stack's file is deleted: trials begin in order."""
Facts = dict[str, Any]
Stack = dict[int, TrainConfig]
"""The trials of a stack, by number."""


class HeadStacks:
    """The stacks of one sweep in one worker.

    Args:
        job: of the sweep, with its `planned` trials.
        facts: returns the columns known once a run is set up.
    """

    def __init__(self, job: Job, facts: Callable[[Trainer], Facts]) -> None:
        self.job = job
        self.facts = facts
        self.folder = Path(job.checkpoints) / "heads" / socket.gethostname()
        self.blocks: dict[int, dict[int, Stack]] = {}
        self.read: dict[Path, dict[str, Any]] = {}

    def run_of(self, number: int, values: dict[str, Any]) -> tuple[HeadRun, Facts] | None:
        """A trial's run and its facts; None where it trains alone.

        Args:
            number: of the trial.
            values: of the trial; if they are not as planned, it trains alone.
        """
        stack = self._stack_of(number, values)
        if len(stack) < 2:
            return None
        path = self._path(stack)
        if not path.exists():
            lock = self._lock(path)
            try:
                lock.acquire(blocking=False)
            except Timeout:
                self.train_next(number)
                lock.acquire()
            try:
                if not path.exists():
                    self._train(stack)
            finally:
                lock.release()
        return self._found(path, number)

    def _stack_of(self, number: int, values: dict[str, Any]) -> Stack:
        """The stack of a trial; empty if its values are not as planned."""
        stack = self._stack(number)
        return stack if stack and stack[number] == self.job.config(values) else {}

    def _stack(self, number: int) -> Stack:
        """The trials of a trial's stack, itself included; empty: none."""
        if self.job.planned_values(number) is None:
            return {}
        start = number - number % REACH
        if start not in self.blocks:
            self.blocks = {start: self._block(start)} | dict(list(self.blocks.items())[:1])
        return self.blocks[start].get(number, {})

    def _block(self, start: int) -> dict[int, Stack]:
        """Trial → its stack, for the REACH trials from `start` on."""
        stacks: dict[tuple[TrainConfig, bool], Stack] = {}
        for number in range(start, start + REACH):
            values = self.job.planned_values(number)
            if values is None:
                continue
            with contextlib.suppress(BadInput):  # that trial will report it
                config = self.job.config(values)
                key = (shared_config(config), number < self.job.fresh_from)
                stacks.setdefault(key, {})[number] = config
        return {
            number: stack if shared.freeze_depth > 0 else {}
            for (shared, _), stack in stacks.items()
            for number in stack
        }

    def _path(self, stack: Stack) -> Path:
        return self.folder / f"{min(stack):05d}.pt"

    def _lock(self, path: Path) -> FileLock:
        path.parent.mkdir(parents=True, exist_ok=True)
        return FileLock(path.with_suffix(".lock"))

    def train_next(self, number: int) -> None:
        """Train the first stack that no worker has begun, in this block and the next."""
        start = number - number % REACH
        for other in range(start, start + 2 * REACH):
            stack = self._stack(other)
            if len(stack) < 2 or other != min(stack) or self._path(stack).exists():
                continue
            with (
                contextlib.suppress(Timeout),
                self._lock(self._path(stack)).acquire(blocking=False),
            ):
                if self._path(stack).exists():
                    continue
                with contextlib.suppress(Exception):  # its own trials will meet the error
                    self._train(stack)
                return

    def _train(self, stack: Stack) -> None:
        """Train a stack and write its runs to its file; none where trials must train alone."""
        began = time.perf_counter()
        trainer = Trainer(next(iter(stack.values())))
        startup_seconds = (time.perf_counter() - began) / len(stack)
        trained = zip(stack, train_heads(trainer, list(stack.values())), strict=True)
        runs = {number: run for number, run in trained if run is not None}
        kept = {
            "facts": {**self.facts(trainer), "startup_seconds": startup_seconds},
            "runs": {number: _plain(run) for number, run in runs.items()},
        }
        save_checkpoint(self._path(stack), kept)
        for path in self.folder.glob("[!.]*.pt"):  # not what another worker is writing
            if int(path.stem) < min(stack) - BEHIND:
                path.unlink(missing_ok=True)

    def _found(self, path: Path, number: int) -> tuple[HeadRun, Facts] | None:
        if path not in self.read:
            self.read = {path: load_state(path)} | dict(list(self.read.items())[:3])
        kept = self.read[path]
        if number not in kept["runs"]:
            return None
        run = kept["runs"][number]
        epochs = [EpochMetrics(**metrics) for metrics in run["epochs"]]
        values = self.job.planned_values(number)
        assert values is not None
        config = self.job.config(values)
        together = run["trained_together"]
        facts = {**kept["facts"], "trained_together": together}
        return HeadRun(config, epochs, run["best_weights"], together), facts


def _plain(run: HeadRun) -> dict[str, Any]:
    return {
        "epochs": [dataclasses.asdict(metrics) for metrics in run.epochs],
        "best_weights": run.best_weights,
        "trained_together": run.trained_together,
    }
