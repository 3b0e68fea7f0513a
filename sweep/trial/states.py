"""States of live trials: a trial goes on from its own where its process or its driver died.

A state is that of an epoch's end, with the reports of all epochs up to it. The driver may have
heard fewer of them, so that they are reported again, or more, so that the epochs since are trained
again; either way the numbers are those of a trial that was never stopped.
"""

import contextlib
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sweep.trial.job import Job
from sweep.trial.reports import Report
from tl_core.config import TrainConfig
from tl_core.heads.head_group import Member
from tl_core.heads.member_state import member_state, restore_member
from tl_core.machine.disk import LEAST_FREE, free_bytes
from tl_core.train.checkpoint import load_state, refuse_other_run, save_checkpoint
from tl_core.train.trainer import Trainer

STATE_SECONDS = 30.0
"""So many seconds of training at most are lost with a process."""
RUNG_SECONDS = 2.0
"""The same at a rung, where a trial may wait long. Less is trained again at once. Own choice."""
MOST_SHARE = 0.05
"""Most of the time of training that writing states may take."""


class States:
    """Reads and writes the states of the trials that a process trains.

    Args:
        job: of the sweep.
    """

    def __init__(self, job: Job) -> None:
        self.job = job
        self.reports: dict[int, list[Report]] = {}
        """Trial → reports of all its epochs so far, also those that an earlier process trained."""
        self.unsaved: dict[int, float] = {}
        """Trial → seconds that it trained since its last state."""
        self.writing_seconds = 0.0
        """That the last state took."""

    def take_up(self, number: int, run: Trainer | Member) -> bool:
        """Let a new run of a trial go on from the trial's state, where there is one of use.

        Returns:
            False if the run is spoilt and is to be made anew, without a state.
        """
        self.reports[number], self.unsaved[number] = [], 0.0
        if (state := self._read(number, run.config)) is None:
            return True
        try:
            _restore(run, state)
        except Exception:  # such as that of another version
            self._remove(number)
            return False
        self.reports[number] = [dict(report) for report in state["reports"]]
        return True

    def known(self, number: int, epoch: int) -> Report | None:
        """The report of a trial's epoch, from 1; None if it is not trained yet."""
        reports = self.reports[number]
        return reports[epoch - 1] if epoch <= len(reports) else None

    def together(self, number: int) -> int:
        """Most trials that trained together with a trial so far, itself included."""
        return max((r["trained_together"] for r in self.reports[number]), default=1)

    def add(self, number: int, report: Report) -> None:
        """Take in the report of a trial's next epoch."""
        self.reports[number].append(report)
        self.unsaved[number] += report["train_seconds"] + report["eval_seconds"]

    def save_if_due(self, runs: Mapping[int, Trainer | Member], *, at_rung: bool) -> None:
        """Write the states of trials where training them again would take long.

        Args:
            runs: the run of each trial; those of a group all together.
            at_rung: whether they wait for the driver's decision.
        """
        changed = [number for number in runs if self.unsaved[number] > 0]
        again = sum(self.unsaved[number] for number in changed)
        pays = self.writing_seconds * len(changed) / MOST_SHARE
        if not changed or again < max(RUNG_SECONDS if at_rung else STATE_SECONDS, pays):
            return
        for number in changed:
            began = time.perf_counter()
            self._save(number, runs[number])
            self.writing_seconds = time.perf_counter() - began
            self.unsaved[number] = 0.0

    def forget(self, number: int) -> None:
        """Forget a trial that the process has no more; its state stays until the driver's end."""
        self.reports.pop(number, None)
        self.unsaved.pop(number, None)

    def _save(self, number: int, run: Trainer | Member) -> None:
        """Write a state; where that fails, the trial is trained again from an earlier one."""
        if not self._is_shared() or free_bytes(Path(self.job.states)) < LEAST_FREE:
            return
        with contextlib.suppress(Exception):  # a user's optimizer may have anything in its state
            state = {**_state_of(run), "reports": self.reports[number]}
            save_checkpoint(self.job.state(number), state, synced=True)

    def _read(self, number: int, config: TrainConfig) -> dict[str, Any] | None:
        """A trial's state; None where there is none of this run, or it is damaged."""
        path = self.job.state(number)
        if not self._is_shared() or not path.exists():
            return None
        with contextlib.suppress(Exception):
            state: dict[str, Any] = load_state(path)
            refuse_other_run(state["config"], config)
            epochs = [report["epoch"] for report in state["reports"]]
            if epochs == list(range(1, state["epoch"] + 1)) and state["stop_reason"] is None:
                return state
        self._remove(number)
        return None

    def _remove(self, number: int) -> None:
        with contextlib.suppress(OSError):
            self.job.state(number).unlink(missing_ok=True)

    def _is_shared(self) -> bool:
        """Whether this machine has the sweep's folder."""
        return bool(self.job.states) and Path(self.job.states).is_dir()


def _state_of(run: Trainer | Member) -> dict[str, Any]:
    """The state of a run; of a model only what the run may change."""
    if isinstance(run, Member):
        return {"kind": "member", **member_state(run)}
    state = run.state_dict()
    moving = {name: state["model"][name] for name in run.moving}
    return {"kind": "trainer", **state, "model": moving}


def _restore(run: Trainer | Member, state: dict[str, Any]) -> None:
    kind = "member" if isinstance(run, Member) else "trainer"
    if state["kind"] != kind:
        raise ValueError(f"a state of a {state['kind']}, not of a {kind}")
    if isinstance(run, Member):
        restore_member(run, state)
        return
    tensors = {name: state["model"][name] for name in run.moving}
    run.load_state_dict({**state, "model": {**run.model.state_dict(), **tensors}})
