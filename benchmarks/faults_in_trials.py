"""A sweep whose trials end in every way: its rows, its study, its exit code."""

import json
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks.fault_bench import LIMIT, Bench, Part

MODEL = Path(__file__).parents[1] / "tests" / "sweep" / "driver" / "failing_model.py"
SPACE = '''"""Does each end have its row?"""
from search_spaces.domains import Choice, Float
from tl_core.config import TrainConfig

BASE = TrainConfig(dataset="digits", backbone="failing", width=4, epochs=3, limit_train=200,
                   precision="fp32", eval_precision="fp32")
SPACE = {"depth": Choice(1, 2, 3, 8, 11, 12), "lr": Float(1e-6, 1, log=True)}
SEARCH, SCHEDULER = "in_order", "asha"
'''
SEARCHER = '''"""A searcher that proposes what a file lists."""
import json
from pathlib import Path

from sweep.search.searchers import SEARCHERS, OptunaProposer, SearcherSpec

LISTED = json.loads(Path(__file__).with_name("listed.json").read_text())


class InOrder(OptunaProposer):
    def propose(self):
        return self.start(LISTED[self.proposed]) if self.proposed < len(LISTED) else None


SEARCHERS["in_order"] = SearcherSpec(InOrder, learns=True)
'''
ENDINGS: dict[int, tuple[str, float, tuple[str, ...]]] = {
    2: ("NaN", 0.10, ("diverged",)),
    3: ("crash", 0.10, ("failed",)),
    12: ("out of memory", 0.05, ("out_of_memory",)),
    8: ("segfault", 0.05, ("failed",)),
    11: ("hang", 0.05, ("timed_out",)),
}
"""Depth → how such a trial ends, its share of the trials, what its row may say."""
FINE = ("completed", "stopped")
STATES = {"completed": "COMPLETE", "stopped": "PRUNED"}
TRIALS = 200
TIMEOUT = "20s"


def mix_endings(bench: Bench, part: Part, times: int) -> None:
    """Run sweeps of which a third of the trials end badly, at random places."""
    for number in range(times):
        name = f"mixed{number}"
        folder = bench.folder / name
        folder.mkdir()
        listed = shuffled(bench.random)
        (folder / "listed.json").write_text(json.dumps(listed))
        (folder / "space.py").write_text(SPACE)
        (folder / "in_order.py").write_text(SEARCHER)
        words = ("space.py", "--name", name, "--trials", str(TRIALS), "--trial-timeout", TIMEOUT,
                 "--import", str(MODEL), "--import", "in_order.py", "--confirm", "0")  # fmt: skip
        began = time.time()
        with (folder / "log").open("wb") as log:
            command = [sys.executable, "-m", "sweep", *words]
            done = subprocess.run(command, cwd=folder, stdout=log, stderr=log, timeout=6 * LIMIT)
        part.seconds.append(time.time() - began)
        part.sweeps += 1
        part.faults += sum(each["depth"] in ENDINGS for each in listed)
        wrong = [] if done.returncode == 1 else [f"exit code {done.returncode}"]
        wrong += wrong_rows(folder / "results", name, listed)
        wrong += wrong_study(folder / "results", name)
        part.wrong += [f"{name}: {line}" for line in wrong]
        print(f"{name}: {len(wrong)} wrong", *wrong[:1], file=sys.stderr, flush=True)


def shuffled(drawn: random.Random) -> list[dict[str, Any]]:
    """Values of all trials; each ending as often as its share says."""
    depths = [
        depth for depth, (_, share, _) in ENDINGS.items() for _ in range(int(share * TRIALS))
    ]
    depths += [1] * (TRIALS - len(depths))
    drawn.shuffle(depths)
    return [{"depth": depth, "lr": 10 ** drawn.uniform(-5, -0.5)} for depth in depths]


def wrong_rows(results: Path, name: str, listed: list[dict[str, Any]]) -> list[str]:
    """What of a sweep's tables is not what its trials did."""
    rows = pd.read_parquet(results / "trials" / f"sweep={name}").sort_values("trial_id")
    epochs = pd.read_parquet(results / "epochs" / f"sweep={name}")["trial_id"].value_counts()
    if len(rows) != len(listed) or not rows["trial_id"].is_unique:
        return [f"{len(rows)} rows of {len(listed)} trials"]
    wrong = []
    errors = results / "runs" / name / "errors"
    for row, values in zip(rows.to_dict("records"), listed, strict=True):
        trial, status = row["trial_id"], row["status"]
        fine = values["depth"] not in ENDINGS
        allowed = FINE if fine else ENDINGS[values["depth"]][2]
        told = status in (*FINE, "diverged") or (errors / f"{trial}.txt").is_file()
        if row["depth"] != values["depth"] or status not in allowed or not told:
            wrong.append(f"{trial} of depth {values['depth']} is {status}: {row['error']}")
        if row["epochs_trained"] != epochs.get(trial, 0):
            wrong.append(f"{trial} has {epochs.get(trial, 0)} epochs of {row['epochs_trained']}")
    return wrong


def wrong_study(results: Path, name: str) -> list[str]:
    """Trials whose state in the Optuna study is not that of their row."""
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    rows = pd.read_parquet(results / "trials" / f"sweep={name}").sort_values("trial_id")
    file = results / "runs" / name / "study.log"
    storage = JournalStorage(JournalFileBackend(str(file)))
    (study,) = storage.get_all_studies()
    states = [trial.state.name for trial in storage.get_all_trials(study._study_id)]
    wanted = [STATES.get(status, "FAIL") for status in rows["status"]]
    return [] if states == wanted else [f"the study's states are {states}, not {wanted}"]
