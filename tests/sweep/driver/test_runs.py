"""Whole sweeps under Ray, on tiny models."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import duckdb
import numpy as np
import optuna
import pandas as pd
import polars as pl
import pytest

import sweep.search.searchers as searchers
from sweep import run
from sweep.judge.judge_trial import judge_trial
from sweep.options.sweep_options import SweepOptions
from sweep.plan.make_plan import make_plan
from sweep.trial.job import Job

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("ray_of_one_cpu")]

TINY = {"width": 8, "limit_train": 300, "precision": "fp32", "eval_precision": "fp32"}
FAILING = Path(__file__).with_name("failing_model.py")
DIVERGES, RAISES, DIES, NO_MEMORY, EATS = 2, 3, 4, 5, 7  # its depths
SEGFAULTS, LEAVES, EXITS, SLEEPS, OVERFLOWS = 8, 9, 10, 11, 12


def test_ablation_accounts_for_everything(tmp_path: Path) -> None:
    asked = {"dataset": "digits", "epochs": 2, "seeds": 2, "cpus": 1}
    options = SweepOptions(
        space="ablation", settings=tuple(f"{k}={v}" for k, v in TINY.items()), **asked
    )
    planned = make_plan(options).trials
    handler = signal.getsignal(signal.SIGINT)
    result = run("ablation", set=TINY, results=tmp_path, quiet=True, name="first", **asked)
    assert signal.getsignal(signal.SIGINT) is handler

    assert result.exit_code == 0
    assert len(result.trials) == planned == 18
    assert result.trials["trial_id"].is_unique
    assert set(result.trials["status"]) == {"completed"}
    assert result.trials["config_id"].nunique() == 9
    reported = result.epochs.groupby("trial_id").size()
    assert reported.to_dict() == dict(
        zip(result.trials["trial_id"], result.trials["epochs_trained"], strict=True)
    )
    best = result.epochs.groupby("trial_id")["val_accuracy"].max()
    row_best = result.trials.set_index("trial_id")["best_val_accuracy"]
    assert best.to_dict() == row_best.to_dict()
    assert set(result.effects["factor"]) == {
        "batch_size", "lr", "batch_norm", "dropout", "pooling",
    }  # fmt: skip
    assert len(result.effects) == 8
    assert result.effects["low"].notna().all()

    winner = result.manifest.winner
    assert winner is not None
    assert not winner["retrained"]
    means = result.trials.groupby("config_id")["best_val_accuracy"].mean()
    assert means[winner["config_id"]] == means.max()
    assert winner["val_accuracy"] == pytest.approx(row_best[winner["trial_id"]], abs=1e-6)
    of_winner = result.classes[result.classes["trial_id"] == winner["trial_id"]]
    test = of_winner[of_winner["split"] == "test"]
    right = sum(row["predicted"][row["class_index"]] for _, row in test.iterrows())
    assert right / test["images"].sum() == pytest.approx(winner["test_accuracy"])
    assert test["images"].sum() == 359  # 20% of 1,797, rounded class by class
    assert not list((tmp_path / "runs" / "first" / "checkpoints").glob("*"))

    trials = tmp_path / "trials"
    assert len(pd.read_parquet(trials)) == planned
    assert pl.read_parquet(trials / "**" / "*.parquet").height == planned
    query = f"select count(*) from '{trials}/*/*.parquet'"
    assert duckdb.sql(query).fetchall() == [(planned,)]


def test_reused_actor_equals_fresh_process(tmp_path: Path, write_file: Callable[..., str]) -> None:
    """One actor trains a trial with dropout and mixup, then the same trial in a fresh process."""
    space = write_file(
        "BASE = TrainConfig(dataset='digits', width=8, epochs=2, dropout=0.2, mixup=0.2,"
        " augmentation='standard', precision='fp32', eval_precision='fp32')\n"
        "SPACE = {'batch_norm': Choice(True, False), 'lr': Choice(0.1, 0.2)}\nSEARCH = 'grid'\n",
    )
    note = tmp_path / "note.py"
    note.write_text(
        f"import os, pathlib\npathlib.Path({str(tmp_path)!r}, f'pid-{{os.getpid()}}').touch()\n"
    )
    result = run(
        space, imports=(str(note),), cpus=1, scheduler="none", results=tmp_path, quiet=True,
        name="reused",
    )  # fmt: skip
    processes = {path.name for path in tmp_path.glob("pid-*")} - {f"pid-{os.getpid()}"}
    assert 1 <= len(processes) <= 2  # one trained the four trials; another may have judged
    last = result.trials.iloc[-1]
    config = {"lr": last["lr"], "batch_norm": bool(last["batch_norm"]), "seed": int(last["seed"])}
    fresh = subprocess.run(
        [sys.executable, "-c", _FRESH, json.dumps({**make_plan_base(space), **config})],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    expected = [tuple(row) for row in json.loads(fresh.stdout)]
    epochs = result.epochs[result.epochs["trial_id"] == last["trial_id"]].sort_values("epoch")
    columns = ["train_loss", "train_accuracy", "val_loss", "val_accuracy"]
    assert [tuple(row) for row in epochs[columns].to_numpy().tolist()] == expected


_FRESH = """
import json, sys
from tl_core.config import config_from_dict
from tl_core.train.trainer import fit
config = config_from_dict({**json.loads(sys.argv[1]), "threads": 1, "device": "cpu"})
rows = [(m.train_loss, m.train_accuracy, m.val_loss, m.val_accuracy) for m in fit(config)]
print(json.dumps(rows))
"""


def make_plan_base(space: str) -> dict[str, object]:
    return make_plan(SweepOptions(space=space)).base.to_dict()


def assert_each_error_is_told(errors, folder) -> None:
    """In the row one line, in the folder of errors the whole traceback."""
    assert errors[2] == "RuntimeError: the model broke"
    assert errors[3].startswith("the trainer process died: killed from outside (SIGKILL)")
    assert errors[4] == "OutOfMemoryError: no room"
    assert errors[5].startswith("MemoryError: 0.0 GiB of the machine's memory were left, and this")
    place = "in end_process (failing_model.py, line"
    assert errors[6].startswith(f"the trainer process died: Segmentation fault {place}")
    assert errors[7].startswith(f"the trainer process died: os._exit(3) {place}")
    assert errors[8] == "SystemExit: 2"
    assert errors[9] == (
        "--trial-timeout 20s: the trial took longer; 0 epochs had ended; its process did not"
        " answer and was ended"
    )
    assert "can't allocate memory" in errors[10]
    assert errors[[0, 1, 11]].isna().all()
    kept = {path.name: path.read_text() for path in folder.iterdir()}
    assert kept["ends_00002.txt"].endswith("RuntimeError: the model broke\non purpose\n")
    for number in (6, 7, 8, 9, 10):
        assert "in end_process" in kept[f"ends_{number:05d}.txt"]
    assert "in eat" in kept["ends_00005.txt"]


def assert_study_heard_each_end(result, wanted) -> None:
    """Every state in Optuna's study, and every epoch's value."""
    storage = optuna.storages.JournalStorage(
        optuna.storages.journal.JournalFileBackend(str(result.run_folder / "study.log"))
    )
    study = optuna.load_study(study_name="ends", storage=storage)
    assert [trial.state.name for trial in study.trials] == [state for _, _, state in wanted]
    told = study.trials[0]
    heard = result.epochs[result.epochs["trial_id"] == "ends_00000"].sort_values("epoch")
    assert list(told.intermediate_values) == [1, 2, 3]
    assert list(told.intermediate_values.values()) == heard["val_accuracy"].tolist()
    assert told.value == result.trials["best_val_accuracy"][0]
    assert list(study.trials[11].intermediate_values) == [1]


def test_every_end_has_its_row_and_its_study_state(
    tmp_path: Path, write_file: Callable[..., str], monkeypatch
) -> None:
    """Whatever one trial does, the others are trained, under Optuna and ASHA."""
    space = write_file(
        "BASE = TrainConfig(dataset='digits', backbone='failing', width=8, epochs=3,"
        " schedule='constant', precision='fp32', eval_precision='fp32')\n"
        "SPACE = {'depth': Choice(1, 2, 3, 4, 5, 7, 8, 9, 10, 11, 12),"
        " 'lr': Float(1e-6, 1, log=True)}\n",
    )
    wanted = [
        ({"depth": 1, "lr": 0.1}, "completed", "COMPLETE"),
        ({"depth": DIVERGES, "lr": 0.1}, "diverged", "FAIL"),
        ({"depth": RAISES, "lr": 0.1}, "failed", "FAIL"),
        ({"depth": DIES, "lr": 0.1}, "failed", "FAIL"),
        ({"depth": NO_MEMORY, "lr": 0.1}, "out_of_memory", "FAIL"),
        ({"depth": EATS, "lr": 0.1}, "out_of_memory", "FAIL"),
        ({"depth": SEGFAULTS, "lr": 0.1}, "failed", "FAIL"),
        ({"depth": LEAVES, "lr": 0.1}, "failed", "FAIL"),
        ({"depth": EXITS, "lr": 0.1}, "failed", "FAIL"),
        ({"depth": SLEEPS, "lr": 0.1}, "timed_out", "FAIL"),
        ({"depth": OVERFLOWS, "lr": 0.1}, "out_of_memory", "FAIL"),
        ({"depth": 1, "lr": 1e-6}, "stopped", "PRUNED"),
    ]

    class InOrder(searchers.OptunaProposer):
        def propose(self):
            return self.start(wanted[self.proposed][0]) if self.proposed < len(wanted) else None

    row = searchers.SearcherSpec(InOrder, learns=True)
    monkeypatch.setitem(searchers.SEARCHERS, "optuna", row)
    result = run(
        space, imports=(str(FAILING),), trials=len(wanted), search="optuna", scheduler="asha",
        reduction_factor=2.0, confirm=0, cpus=1, results=tmp_path, quiet=True, name="ends",
        retries=0, trial_timeout="20s",
    )  # fmt: skip

    assert result.trials["status"].tolist() == [status for _, status, _ in wanted]
    assert result.trials["depth"].tolist() == [values["depth"] for values, _, _ in wanted]
    assert result.trials["epochs_trained"].tolist() == [3, 1, *[0] * 9, 1]
    assert_each_error_is_told(result.trials["error"], tmp_path / "runs/ends/errors")
    shown = {group.error: group for group in result.failures}
    assert [len(group.trials) for group in shown.values()] == [1] * len(shown)
    assert shown["SystemExit: 2"].shared == {"depth": EXITS, "lr": 0.1}
    assert shown["SystemExit: 2"].file.is_file()
    assert sum("died" in line for line in result.manifest.notes) == 3
    left = {path.name for path in (tmp_path / "runs/ends").iterdir()}
    assert not left & {"processes", "checkpoints", "engine"}
    assert len(result.epochs) == 5
    assert result.exit_code == 1
    assert result.manifest.winner["trial_id"] == "ends_00000"

    assert_study_heard_each_end(result, wanted)


def test_failures_in_a_row_end_a_sweep(tmp_path: Path, write_file: Callable[..., str]) -> None:
    space = write_file(
        "BASE = TrainConfig(dataset='digits', backbone='failing', width=8, epochs=1,"
        " precision='fp32', eval_precision='fp32')\n"
        f"SPACE = {{'depth': Choice(1, {RAISES}), 'lr': Choice(0.1, 0.2, 0.3, 0.4)}}\n"
        "SEARCH, SCHEDULER = 'grid', 'none'\n",
    )
    result = run(
        space, imports=(str(FAILING),), cpus=1, max_failures=2, results=tmp_path, quiet=True,
        name="in_a_row",
    )  # fmt: skip
    statuses = result.trials["status"].tolist()
    assert statuses == ["completed"] * 4 + ["failed"] * 2 + ["interrupted"] * 2
    assert result.manifest.errors == [
        "--max-failures 2: 2 trials in a row failed by one cause, so the others were not trained:"
        " RuntimeError: the model broke"
    ]
    assert (result.exit_code, result.manifest.status) == (1, "failed")
    assert result.manifest.winner is not None


def test_winner_trained_again_equals_its_checkpoint(
    tmp_path: Path, write_file: Callable[..., str]
) -> None:
    """Without a checkpoint the winner is trained again to its best epoch, to the same weights."""
    space = write_file(
        "BASE = TrainConfig(dataset='digits', width=8, epochs=3, precision='fp32',"
        " eval_precision='fp32')\n"
        "SPACE = {'lr': Choice(0.1, 0.2)}\nSEARCH = 'grid'\n",
    )
    result = run(space, cpus=1, scheduler="none", results=tmp_path, quiet=True, name="again")
    winner = result.manifest.winner
    base = {**make_plan_base(space), "threads": 1, "device": "cpu"}
    job = Job("again", base, (), {}, str(tmp_path / "nothing"))
    row = result.trials.set_index("trial_id").loc[winner["trial_id"]]
    number = int(winner["trial_id"].rsplit("_", 1)[1])
    values = {name: value for name, value in winner["values"].items() if name in ("lr", "seed")}
    again = judge_trial(job, number, values, int(row["best_epoch"]))
    assert again.retrained
    assert again.accuracy == {"val": winner["val_accuracy"], "test": winner["test_accuracy"]}


def test_transfer_searches_within_the_stages(tmp_path: Path) -> None:
    """A timm backbone under Optuna and ASHA: conditions and bounds hold in every row."""
    result = run(
        "transfer", dataset="digits", backbone="timm:test_resnet", source="none", epochs=2,
        trials=4, confirm=0, cpus=1, results=tmp_path, quiet=True, name="stages",
        set={"image_size": 32, "limit_train": 200, "precision": "fp32", "eval_precision": "fp32"},
    )  # fmt: skip
    trials = result.trials
    assert len(trials) == 4
    assert set(trials["status"]) <= {"completed", "stopped", "diverged"}
    assert (trials["momentum"].notna() == (trials["optimizer"] == "sgd")).all()
    assert trials["freeze_depth"].between(0, 5).all()
    frozen = trials["freeze_depth"] > 0
    assert (trials["params_trained"][frozen] < trials["params_total"][frozen]).all()
    assert np.isclose(trials["image_size"], 32).all()


def test_heads_on_frozen_stages_are_trained_together_and_stay_trials(
    tmp_path: Path, write_file: Callable[..., str]
) -> None:
    space = write_file(
        "BASE = TrainConfig(dataset='digits', width=4, freeze_depth=4, augmentation='none')\n"
        "SPACE = {'lr': Float(1e-5, 1e-3, log=True), 'batch_size': Choice(32, 64)}\n"
        "SEARCH, SCHEDULER = 'random', 'asha'\n",
    )
    settings = {"precision": "fp32", "eval_precision": "fp32"}
    result = run(
        space, epochs=4, trials=12, confirm=0, cpus=1, results=tmp_path, quiet=True, name="heads",
        set=settings,
    )  # fmt: skip
    trials = result.trials
    assert set(trials["status"]) == {"completed", "stopped"}
    sizes = trials.groupby("batch_size")["batch_size"].transform("size")
    assert (trials["trained_together"] == sizes).all()
    reported = result.epochs.groupby("trial_id").size()
    assert reported.to_dict() == trials.set_index("trial_id")["epochs_trained"].to_dict()
    assert trials["best_val_accuracy"].nunique() > 4
    winner = result.manifest.winner
    assert winner is not None
    assert not winner["retrained"]
    assert winner["val_accuracy"] == pytest.approx(trials["best_val_accuracy"].max())
    assert not list((tmp_path / "runs" / "heads").glob("checkpoints*"))


def test_fresh_runs_of_the_best_name_the_winner(
    tmp_path: Path, write_file: Callable[..., str], tiny_confirmed: str
) -> None:
    """In the same process as the search, each to its end."""
    note = tmp_path / "note.py"
    note.write_text(
        f"import os, pathlib\npathlib.Path({str(tmp_path)!r}, f'pid-{{os.getpid()}}').touch()\n"
    )
    result = run(
        write_file(tiny_confirmed), imports=(str(note),), confirm="2x2", cpus=1,
        results=tmp_path, quiet=True, name="sure",
    )  # fmt: skip
    trials = result.trials
    assert trials["phase"].tolist() == ["search"] * 3 + ["confirm"] * 4
    assert trials["seed"].tolist() == [0] * 3 + [1, 1, 2, 2]
    fresh = trials[trials["phase"] == "confirm"]
    assert fresh["epochs_trained"].tolist() == [3] * 4
    assert set(fresh["status"]) == {"completed"}
    ranked = trials[:3].sort_values("best_val_accuracy", ascending=False, kind="stable")
    assert fresh["config_id"].tolist() == ranked["config_id"].tolist()[:2] * 2
    means = fresh.groupby("config_id")["best_val_accuracy"].mean()
    winner = result.manifest.winner
    assert means[winner["config_id"]] == means.max()
    assert not winner["retrained"]
    judged = set(result.evaluations["trial_id"])
    assert judged == set(fresh[fresh["config_id"] == winner["config_id"]]["trial_id"])
    phases = result.epochs.groupby("trial_id")["phase"].unique().explode()
    assert phases.tolist() == trials["phase"].tolist()
    assert (result.manifest.trials_planned, result.manifest.status) == (7, "finished")
    assert 1 <= len(list(tmp_path.glob("pid-*"))) <= 3  # here, one that trained, one that judged


def test_a_stopped_configuration_trains_no_other_seed(
    tmp_path: Path, write_file: Callable[..., str]
) -> None:
    space = write_file(
        'BASE = TrainConfig(dataset="digits", epochs=3)\n'
        'SPACE = {"lr": Choice(0.1, 1e-6, 2e-6)}\n'
        'SEARCH, SCHEDULER, SEEDS = "grid", "asha", 3\n',
    )
    result = run(space, set=TINY, results=tmp_path, quiet=True, cpus=1)
    assert result.exit_code == 0
    trials = result.trials.sort_values("trial_id")
    assert list(trials["status"]) == ["completed"] * 3 + ["stopped"] * 6
    assert list(trials["epochs_trained"]) == [3, 3, 3, 1, 0, 0, 1, 0, 0]
    assert list(trials["seed"]) == [0, 1, 2] * 3
    assert trials["config_id"].nunique() == 3
    assert result.manifest.winner["values"]["lr"] == 0.1
