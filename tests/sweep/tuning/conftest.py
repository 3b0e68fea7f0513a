"""What tests of a sweep's trials share: a ledger told by hand."""

import math
from types import SimpleNamespace

import pytest
from ray.tune.trainable.metadata import _TrainingRunMetadata

from sweep.results.tables import read_table
from sweep.trial.job import Job
from sweep.trial.reports import pack
from sweep.tuning.ledger import Ledger
from tl_core.config import config_from_dict


class ToldLedger:
    """A ledger, told by hand what Tune would tell it."""

    def __init__(self, folder):
        self.results = folder / "results"
        folders = (str(folder / name) for name in ("checkpoints", "states"))
        self.job = Job("s1", {"width": 4, "epochs": 2}, (), {}, *folders)
        provenance = {"space": "ablation", "search": "grid", "search_seed": 7}
        self.ledger = Ledger(self.job, self.results, provenance, self.identify)
        self.handed_out = []

    def identify(self, values):
        config = config_from_dict({**self.job.base, **values})
        return {**config.to_dict(), "config_id": f"lr{config.lr}"}

    def hand_out(self, **values):
        self.handed_out.append({"seed": 0, **values})
        config = {"number": len(self.handed_out) - 1, "values": self.handed_out[-1]}
        metadata = _TrainingRunMetadata()
        return SimpleNamespace(
            config=config, error_file=None, run_metadata=metadata, trial_id=f"t{config['number']}"
        )

    def start(self, **values):
        trial = self.hand_out(**values)
        self.ledger.on_trial_start(0, [], trial)
        return trial

    def epoch(self, trial, **fields):
        self.ledger.on_trial_result(0, [], trial, pack(result(**fields)))

    def fail(self, trial, status, error):
        """As a trial reports that it failed before an epoch ended."""
        self.epoch(
            trial, epoch=0, val_accuracy=math.nan, val_loss=math.nan, train_seconds=0.0,
            best=math.nan, status=status, error=error,
        )  # fmt: skip

    def complete(self, trial):
        self.ledger.on_trial_complete(0, [], trial)

    def die(self, trial, error_file=None):
        trial.error_file = error_file
        self.ledger.on_trial_error(0, [], trial)

    def rows(self, table="trials", *, status="interrupted"):
        """All rows by trial number, after the end of the sweep."""
        self.ledger.close(self.handed_out, status)
        return read_table(self.results, table, "s1").sort_values("trial_id", ignore_index=True)

    def row(self, **fields):
        (row,) = (row for _, row in self.rows(**fields).iterrows())
        return row


def result(epoch=1, val_accuracy=0.5, best=None, status="running", error=None, **fields):
    return {
        "epoch": epoch, "train_loss": 1.5, "train_accuracy": 0.4, "val_loss": 1.25,
        "val_accuracy": val_accuracy, "lr": 0.1, "train_seconds": 2.0, "eval_seconds": 0.5,
        "images_per_second": 100.0, "device_memory_bytes": 0, "host_memory_bytes": 1_000,
        "params_total": 90, "params_trained": 80, "startup_seconds": 0.25,
        "device_name": "cpu", "host_name": "here", "status": status, "error": error,
        "best_val_accuracy": val_accuracy if best is None else best, "best_epoch": 1,
        "done": status != "running", "training_iteration": epoch, "config": {}, **fields,
    }  # fmt: skip


@pytest.fixture
def told(tmp_path):
    """A ledger, told by hand what Tune would tell it."""
    return ToldLedger(tmp_path)
