"""Sweeps under Ray that end early: by the time budget, Ctrl-C, or errors of their own."""

import errno
import json
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

import sweep.search.searchers as searchers
from sweep import resume, run
from sweep.judge import judge_sweep
from sweep.search.schedulers import Asha
from sweep.search.tune_searcher import TuneSearcher
from sweep.tuning.confirming import SharedBudget
from sweep.use.unjudged import best_so_far
from tl_core.models.saved_model import load_model

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("ray_of_one_cpu")]

TINY = {"width": 8, "limit_train": 300, "precision": "fp32", "eval_precision": "fp32"}
FAILING = Path(__file__).with_name("failing_model.py")
HANGS = 6  # a depth of it
FOUR_TRIALS = (
    "BASE = TrainConfig(dataset='digits', width=4, epochs=1, limit_train=40, precision='fp32',"
    " eval_precision='fp32')\nSPACE = {'lr': Float(0.1, 0.2)}\nSEARCH, TRIALS = 'optuna', 4\n"
)
SETTINGS = [f"--set={name}={value}" for name, value in TINY.items()]


def test_time_budget_leaves_a_row_for_every_trial(
    tmp_path: Path, write_file: Callable[..., str], monkeypatch
) -> None:
    space = write_file(
        f"BASE = TrainConfig(dataset='digits', backbone='failing', width=8, epochs=50, depth="
        f"{HANGS}, limit_train=64, precision='fp32', eval_precision='fp32')\n"
        "SPACE = {'lr': Choice(0.1, 0.2, 0.3)}\nSEARCH = 'grid'\n",
    )

    def spend(budget: SharedBudget, trial_id: str, result: dict[str, object]) -> bool:
        budget.began = 0.0
        return False

    monkeypatch.setattr(SharedBudget, "__call__", spend)  # over when the first epoch was heard
    result = run(
        space, imports=(str(FAILING),), cpus=1, time_budget=3600.0, scheduler="none",
        results=tmp_path, quiet=True, name="short",
    )  # fmt: skip
    assert result.trials["status"].tolist() == ["timed_out"] * 3
    assert result.trials["lr"].tolist() == [0.1, 0.2, 0.3]
    assert result.trials["epochs_trained"].iloc[0] > 0
    assert math.isfinite(result.trials["best_val_accuracy"].iloc[0])
    assert result.trials["started_at"].isna().tolist() == [False, True, True]
    assert result.manifest.status == "timed_out"
    assert result.exit_code == 1


def test_a_signal_to_all_processes_keeps_what_was_measured(tmp_path: Path) -> None:
    """As `timeout` and some shells send it: exit code 130 and a row for every planned trial."""
    command = [
        sys.executable, "-m", "sweep", "ablation", "--dataset", "digits", "--epochs", "500",
        "--seeds", "1", "--cpus", "1", "--results", str(tmp_path), "--name", "cut", *SETTINGS,
    ]  # fmt: skip
    epochs = tmp_path / "epochs" / "sweep=cut"
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        start_new_session=True,
    ) as process:  # fmt: skip
        while not list(epochs.glob("part-*.parquet")) and process.poll() is None:
            time.sleep(0.2)
        os.killpg(process.pid, signal.SIGTERM)
        output, _ = process.communicate()
    assert process.returncode == 130, output
    assert "Traceback" not in output
    trials = pd.read_parquet(tmp_path / "trials")
    assert trials["status"].tolist() == ["interrupted"] * 9
    assert trials["epochs_trained"].max() == len(pd.read_parquet(epochs))
    assert json.loads((tmp_path / "runs/cut/sweep.json").read_text())["status"] == "interrupted"


@pytest.mark.parametrize(("how", "code"), [("timed_out", 1), ("interrupted", 130)])
def test_a_confirmation_that_is_cut_off_leaves_the_choice_to_the_search(
    tmp_path: Path,
    write_file: Callable[..., str],
    tiny_confirmed: str,
    monkeypatch,
    how: str,
    code: int,
) -> None:
    def cut(budget: SharedBudget, trial_id: str, result: dict[str, object]) -> bool:
        if trial_id not in budget.searcher.searching:  # the first epoch of a fresh run
            if how == "timed_out":
                budget.fired = True
            else:
                os.kill(os.getpid(), signal.SIGINT)
        return False

    monkeypatch.setattr(SharedBudget, "__call__", cut)
    slow = tiny_confirmed.replace("width=4", f"width=4, backbone='failing', depth={HANGS}")
    result = run(
        write_file(slow), imports=(str(FAILING),), confirm="2x2", cpus=1, results=tmp_path,
        quiet=True, name="cut",
    )  # fmt: skip
    trials = result.trials
    assert trials["phase"].tolist() == ["search"] * 3 + ["confirm"] * 4
    assert trials["status"].tolist()[3:] == [how] * 4
    assert trials["epochs_trained"].tolist()[3:] == [1, 0, 0, 0]
    best = trials[:3]["best_val_accuracy"].idxmax()
    if how == "timed_out":
        assert result.manifest.winner["trial_id"] == trials["trial_id"][best]
    else:  # nothing is judged
        assert result.manifest.winner is None
        weights, trial_id = best_so_far(tmp_path, "cut")
        assert trial_id == trials["trial_id"][best]
        assert load_model(weights).classes == tuple("0123456789")
    assert (result.manifest.status, result.exit_code) == (how, code)
    cause = "the time budget ended" if how == "timed_out" else "the sweep was interrupted"
    assert result.manifest.notes[-1] == (
        f"Of 2 configurations to confirm with 2 fresh seeds, 0 have all, 0 some, 2 none: {cause}."
    )


def test_an_interrupt_between_two_trials_ends_no_sweep_as_finished(
    tmp_path: Path, write_file: Callable[..., str], monkeypatch
) -> None:
    """No trial is under way then, and all that were proposed have ended."""
    space = write_file(FOUR_TRIALS)
    hear, ended = TuneSearcher.on_trial_complete, []

    def complete(self, *given, **named):
        hear(self, *given, **named)
        ended.append(given)
        if len(ended) == 2:
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(TuneSearcher, "on_trial_complete", complete)
    result = run(space, cpus=1, confirm=0, results=tmp_path, quiet=True, name="between")
    assert result.trials["status"].tolist()[:2] == ["completed"] * 2
    assert (result.manifest.status, result.exit_code) == ("interrupted", 130)
    assert result.manifest.winner is None


@pytest.mark.parametrize(("how", "code"), [("failed", 1), ("interrupted", 130)])
def test_judging_that_is_cut_off_is_done_again_with_the_same_weights(
    tmp_path: Path, write_file: Callable[..., str], monkeypatch, how: str, code: int
) -> None:
    """Precisions are measured, as by default, and known to the driver that goes on."""

    def cut(*given: object) -> None:
        if how == "interrupted":
            os.kill(os.getpid(), signal.SIGINT)
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    space = write_file(FOUR_TRIALS.replace("precision='fp32'", "precision='auto'"))
    with monkeypatch.context() as patch:
        patch.setattr(judge_sweep, "judge_sweep", cut)
        result = run(space, cpus=1, confirm=0, results=tmp_path, quiet=True, name="cut")
    assert (result.manifest.status, result.exit_code) == (how, code)
    weights, trial_id = best_so_far(tmp_path, "cut")
    assert load_model(weights).classes == tuple("0123456789")
    result = resume("cut", results=tmp_path, quiet=True)
    assert (result.manifest.status, result.exit_code) == ("finished", 0)
    assert result.manifest.winner["trial_id"] == trial_id
    assert not result.manifest.winner["retrained"]


def test_errors_on_the_driver_lose_no_row(
    tmp_path: Path, write_file: Callable[..., str], monkeypatch
) -> None:
    """A searcher and a scheduler that raise at every result, on two data sets."""
    space = write_file(
        "BASE = TrainConfig(dataset='digits', width=4, epochs=2, image_size=16, limit_train=40,"
        " augmentation='none')\n"
        "SPACE = {'dataset': Choice('digits', 'shapes'), 'lr': Choice(0.1, 0.2)}\n"
        "SEARCH, SCHEDULER = 'grid', 'asha'\n",
    )

    def fail(*args, **named):
        raise ValueError("a driver's own")

    monkeypatch.setattr(TuneSearcher, "on_trial_complete", fail)
    monkeypatch.setattr(TuneSearcher, "on_trial_result", fail)
    monkeypatch.setattr(Asha, "on_trial_result", fail)
    monkeypatch.setattr(Asha, "on_trial_complete", fail)
    result = run(space, cpus=1, results=tmp_path, quiet=True, name="faults")
    trials = result.trials
    assert trials["status"].tolist() == ["completed"] * 4
    assert trials["epochs_trained"].tolist() == [2] * 4
    assert result.exit_code == 1
    assert result.manifest.errors == [
        "Error while scheduling: ValueError: a driver's own",
        "Error while searching: ValueError: a driver's own",
    ]
    assert trials["config_id"].nunique() == 4
    prints = trials.groupby("dataset")["data_fingerprint"].unique()
    assert [len(found) for found in prints] == [1, 1]
    assert prints["digits"][0] != prints["shapes"][0]
    winner = result.manifest.winner
    assert winner["values"]["dataset"] == trials.set_index("trial_id").loc[
        winner["trial_id"], "dataset"
    ]  # fmt: skip


def test_a_search_that_breaks_off_keeps_what_it_found(
    tmp_path: Path, write_file: Callable[..., str], monkeypatch
) -> None:
    space = write_file(FOUR_TRIALS)
    ask = searchers.OptunaProposer.propose

    def propose(self):
        if self.proposed == 2:
            raise OSError(5, "Input/output error")
        return ask(self)

    monkeypatch.setattr(searchers.OptunaProposer, "propose", propose)
    result = run(
        space, cpus=1, scheduler="none", confirm=0, results=tmp_path, quiet=True, name="broken"
    )
    assert result.trials["status"].tolist() == ["completed"] * 2
    assert result.manifest.winner is not None
    assert (result.manifest.status, result.exit_code) == ("failed", 1)
    assert result.manifest.errors == [
        "Error while searching: OSError: [Errno 5] Input/output error"
    ]
