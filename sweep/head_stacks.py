"""Trials of a sweep that are heads on frozen stages, trained many at a time.

    <checkpoints>/heads/<host>/<first trial of the stack>.pt

Where it is known in advance which trials there will be, the worker that meets the first of a stack
trains all of it and keeps the others' epochs for whoever gets these trials. A worker that meets
another trial of it meanwhile trains the next stack before it waits. Tune, its scheduler and the
results see ordinary trials.
"""

import contextlib
import dataclasses
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from filelock import FileLock, Timeout

from tl_core.checkpoint import load_state, save_checkpoint
from tl_core.config import TrainConfig
from tl_core.head_stack import HeadStack
from tl_core.heads import HeadRun, shared_config, stackable
from tl_core.trainer import EpochMetrics, Trainer

if TYPE_CHECKING:
    from sweep.trainable import Job

REACH = 32
"""Consecutive trials of which those that are alike are trained together."""
Facts = dict[str, Any]


class HeadStacks:
    """The stacks of one sweep, as one worker sees them.

    Args:
        job: of the sweep; its `planned` trials are looked through.
        facts: what the results say of a run that was set up.
    """

    def __init__(self, job: "Job", facts: Callable[[Trainer], Facts]) -> None:
        self.job = job
        self.facts = facts
        self.folder = Path(job.checkpoints) / "heads" / socket.gethostname()
        self.read: dict[Path, dict[str, Any]] = {}

    def run_of(self, number: int) -> tuple[HeadRun, Facts] | None:
        """A trial's run and its facts; None where it has to train by itself."""
        stack = self._stack(number)
        if len(stack) < 2:
            return None
        path = self._path(stack)
        if not path.exists():
            lock = self._lock(path)
            try:
                lock.acquire(blocking=False)
            except Timeout:
                self._train_next(number)
                lock.acquire()
            try:
                if not path.exists():
                    self._train(stack)
            finally:
                lock.release()
        return self._found(path, number)

    def _stack(self, number: int) -> dict[int, TrainConfig]:
        """The trials that are trained with one, itself too, by number; empty: none."""
        start = number - number % REACH
        values = dict(enumerate(self.job.planned[start : start + REACH], start))
        if number not in values:
            return {}
        configs = {trial: self.job.config(values[trial]) for trial in values}
        wanted = shared_config(configs[number])
        if wanted.freeze_depth == 0:
            return {}
        return {n: config for n, config in configs.items() if shared_config(config) == wanted}

    def _path(self, stack: dict[int, TrainConfig]) -> Path:
        return self.folder / f"{min(stack):05d}.pt"

    def _lock(self, path: Path) -> FileLock:
        path.parent.mkdir(parents=True, exist_ok=True)
        return FileLock(path.with_suffix(".lock"))

    def _train_next(self, number: int) -> None:
        """Train the first stack that nobody has begun, among these trials and as many more."""
        start = number - number % REACH
        for other in range(start, start + 2 * REACH):
            stack = self._stack(other)
            if len(stack) < 2 or other != min(stack) or self._path(stack).exists():
                continue
            with (
                contextlib.suppress(Timeout),
                self._lock(self._path(stack)).acquire(blocking=False),
            ):
                with contextlib.suppress(Exception):  # those whom it concerns will meet it too
                    self._train(stack)
                return

    def _train(self, stack: dict[int, TrainConfig]) -> None:
        """Train a stack and keep its runs; none where its trials have to train by themselves."""
        began = time.perf_counter()
        trainer = Trainer(next(iter(stack.values())))
        startup_seconds = (time.perf_counter() - began) / len(stack)
        runs: list[HeadRun] = []
        if stackable(trainer):
            try:
                runs = HeadStack(trainer, list(stack.values())).train()
            except torch.OutOfMemoryError:
                raise
            except Exception:  # an operation that cannot be batched: alone, they will do
                runs = []
        facts = {"startup_seconds": startup_seconds, "trained_together": len(runs)}
        kept = {
            "facts": {**self.facts(trainer), **facts},
            "runs": {n: _plain(run) for n, run in zip(stack, runs, strict=False)},
        }
        save_checkpoint(self._path(stack), kept)

    def _found(self, path: Path, number: int) -> tuple[HeadRun, Facts] | None:
        if path not in self.read:
            self.read = {path: load_state(path)} | dict(list(self.read.items())[:3])
        kept = self.read[path]
        if number not in kept["runs"]:
            return None
        run = kept["runs"][number]
        epochs = [EpochMetrics(**metrics) for metrics in run["epochs"]]
        config = self.job.config(self.job.planned[number])
        return HeadRun(config, epochs, run["best_weights"]), dict(kept["facts"])


def _plain(run: HeadRun) -> dict[str, Any]:
    return {
        "epochs": [dataclasses.asdict(metrics) for metrics in run.epochs],
        "best_weights": run.best_weights,
    }
