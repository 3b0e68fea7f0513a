import dataclasses
import math
from io import StringIO
from pathlib import Path

import pandas as pd
import pytest
from rich.console import Console

from sweep.report.effects import effects, no_effects
from sweep.report.measures import absent_classes, top_counts, wrong_images_line
from sweep.report.summary import SweepResult, top_configurations
from sweep.report.tables import (
    count,
    gain_table,
    measures_table,
    print_result,
    strategies_table,
    top_table,
)
from sweep.results.schema import EVALUATIONS

NAN = math.nan
WINNER = {
    "trial_id": "s1_00003", "config_id": "b",
    "values": {"dropout": 0.2, "batch_size": 64, "momentum": None, "seed": 1},
    "val_accuracy": 0.97, "test_accuracy": 0.8765, "retrained": False,
    "weights": "results/runs/s1/winner.safetensors",
}  # fmt: skip


@pytest.fixture
def result(manifest, trial_row):
    """result(trials, **manifest) → a SweepResult of (config_id, seed, accuracy, fields)."""

    def make(trials, folder="results", **about):
        made = manifest(**about)
        rows = [
            trial_row(n, accuracy, config_id=identity, seed=seed, **more)
            for n, (identity, seed, accuracy, more) in enumerate(trials)
        ]
        frame = pd.DataFrame(rows)
        listed = made.search not in ("random", "optuna")
        return SweepResult(
            name=made.name, folder=Path(folder), manifest=made, trials=frame,
            epochs=pd.DataFrame(), classes=pd.DataFrame(), strategies=pd.DataFrame(),
            evaluations=pd.DataFrame(columns=EVALUATIONS.names),
            top=top_configurations(frame, list(made.fields)),
            analysis=effects(frame, made.fields, made.base, anyway=True)
            if listed else no_effects(""),
        )  # fmt: skip

    return make


TRIALS = [
    ("a", 0, 0.80, {"dropout": 0.0, "batch_size": 64}),
    ("a", 1, 0.90, {"dropout": 0.0, "batch_size": 64}),
    ("b", 0, 0.86, {"dropout": 0.2, "batch_size": 64}),
    ("b", 1, 0.96, {"dropout": 0.2, "batch_size": 64}),
    ("c", 0, 0.60, {"dropout": 0.0, "batch_size": 128}),
    ("c", 1, 0.71, {"dropout": 0.0, "batch_size": 128}),
]


def text_of(shown):
    console = Console(width=80, file=StringIO())
    console.print(shown)
    lines = console.file.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    return "\n".join(lines)


def words(text):
    return [line.split() for line in text.splitlines()]


def printed(result):
    """The whole report; only commands, which are copied, may be longer than a line."""
    console = Console(width=80, file=StringIO())
    print_result(result, console)
    text = console.file.getvalue()
    long = [line for line in text.splitlines() if len(line) > 80]
    assert all("pd.read_parquet" in line or "python -m sweep" in line for line in long)
    return text


def test_the_top_configurations(result):
    made = result(TRIALS)
    assert "Top configurations by validation, best of 3, 2 seeds each: mean ±" in printed(made)
    shown = words(text_of(top_table(made)))
    assert " ".join(shown[0]) == "# val accuracy dropout batch size params trained time"
    # std of two values: half their difference times √2.
    assert " ".join(shown[1]) == "1 0.9100 ± 0.0707 0.2 64 1.2k 1.0k 1:05"
    assert " ".join(shown[2]) == "2 0.8500 ± 0.0707 0 64 1.2k 1.0k 1:05"
    assert " ".join(shown[3]) == "3 0.6550 ± 0.0778 0 128 1.2k 1.0k 1:05"


def test_one_seed_has_no_spread_and_a_failure_no_accuracy(result):
    trials = [("a", 0, 0.8, {}), ("b", 0, None, {"status": "failed"})]
    made = result(trials, seeds=1, search="random")
    assert "Top configurations by validation, best of 1\n" in printed(made)
    shown = words(text_of(top_table(made)))
    assert shown[1][:2] == ["1", "0.8000"]
    assert "±" not in shown[1]
    assert shown[2][:2] == ["2", "–"]


def test_ten_are_shown(result):
    trials = [(f"c{n}", 0, n / 20, {"dropout": n / 100}) for n in range(15)]
    shown = words(text_of(top_table(result(trials, search="random"))))
    assert [line[0] for line in shown[1:]] == [str(n) for n in range(1, 11)]
    assert shown[1][1] == "0.7000"


def test_parameters_that_were_trained_are_shown_where_some_were_not(result):
    whole = ("a", 0, 0.8, {"params_trained": 1_234})
    assert "trained" not in text_of(top_table(result([whole], search="random")))
    part = ("b", 0, 0.7, {"params_trained": 56})
    shown = words(text_of(top_table(result([whole, part], search="random"))))
    assert "trained" in shown[0]
    assert [line[-3:-1] for line in shown[1:]] == [["1.2k", "1.2k"], ["1.2k", "56"]]


ABLATION = {
    "batch_size": [64, 128], "lr": [0.1, 0.2], "batch_norm": [True, False],
    "dropout": [0.0, 0.2], "pooling": ["avg", "none"],
}  # fmt: skip


def test_the_five_fields_of_the_ablation_fit(result):
    large = {"params_total": 11_181_642, "params_trained": 11_181_642}
    small = {"params_trained": 1_234, "batch_size": 256}
    trials = [
        ("a", 0, 0.98765, {"batch_norm": True, "pooling": "avg", **large}),
        ("a", 1, 0.98765, {"batch_norm": True, "pooling": "avg", **large}),
        ("b", 0, 0.97, {"batch_norm": False, "pooling": "none", **small}),
        ("b", 1, 0.97, {"batch_norm": False, "pooling": "none", **small}),
    ]
    text = text_of(top_table(result(trials, fields=ABLATION)))
    assert "…" not in text
    rows = [line.split() for line in text.splitlines() if line.split()[0] in ("1", "2")]
    assert " ".join(rows[0]) == "1 0.9877 ± 0.0000 128 0.2 on 0 avg 11.2M 1:05"
    assert " ".join(rows[1]) == "2 0.9700 ± 0.0000 256 0.2 off 0 none 1.2k 1:05"


def test_more_fields_are_one_text(result):
    levels = {**ABLATION, "backbone": ["timm:resnet18.a1_in1k", "residual"], "momentum": [0.9]}
    more = {"backbone": "timm:resnet18.a1_in1k", "batch_norm": True, "momentum": None}
    text = text_of(top_table(result([("a", 0, 0.5, more)], fields=levels, search="random")))
    flat = " ".join(text.split())
    for part in ("settings", "batch_norm=on", "lr=0.2", "timm:resnet18.a1_in1k", "1.2k"):
        assert part in flat, part
    assert "momentum" not in flat


def test_a_field_of_tuples(result):
    trials = [("a", 0, 0.5, {"channels": (8, 16)}), ("b", 0, 0.6, {"channels": (16, 32)})]
    made = result(trials, fields={"channels": [[8, 16], [16, 32]]}, search="random")
    assert "(16, 32)" in text_of(top_table(made))


def test_a_field_of_tuples_read_back_from_disk(tmp_path, manifest, trial_row):
    from sweep.report.summary import load_result
    from sweep.results.manifest import run_folder, write_manifest
    from sweep.results.tables import write_rows

    run_folder(tmp_path, "s1").mkdir(parents=True)
    levels = [(8, 16), (16, 32)]
    base = {**manifest().base, "channels": levels[0]}
    write_manifest(tmp_path, manifest(fields={"channels": levels}, base=base))
    rows = [trial_row(n, 0.5, config_id=str(n), channels=levels[n]) for n in range(2)]
    write_rows(tmp_path, "trials", "s1", rows)
    text = printed(load_result(tmp_path, "s1"))
    assert "(8, 16)" in text
    assert "(16, 32)" in text


def test_the_whole_report(result):
    text = printed(result(TRIALS, winner=WINNER))
    assert text.split("\n")[1] == "s1  Which matter?"
    assert "6 trials: 6 completed" in text
    flat = " ".join(text.split())
    assert "Winner: test accuracy 0.8765 validation accuracy 0.9700" in flat
    assert "trial s1_00003: dropout=0.2 batch_size=64 seed=1" in text
    assert "by validation, best of 3, 2 seeds each: mean ± standard deviation" in flat
    assert "weights: results/runs/s1/winner.safetensors" in text
    assert "momentum" not in text
    assert "results/trials, epochs, evaluations, classes, predictions" in flat
    assert 'pd.read_parquet("results/trials", filters=[("sweep", "==", "s1")])' in text
    assert "python -m sweep show s1" in text


def test_the_table_says_which_means_are_of_fresh_seeds(result):
    fresh = [("b", 2, 0.9, {"phase": "confirm"}), ("b", 3, 0.92, {"phase": "confirm"})]
    searched = [(*row[:3], {**row[3], "phase": "search"}) for row in TRIALS]
    text = printed(result(searched + fresh, search="random"))
    assert "by validation, best of 3" in text
    assert "the first: mean ± deviation of fresh seeds; the rest: of the search" in text


def commands(text):
    tail = text.split("Next: ")[1].splitlines()
    return [line.split("#")[0].strip() for line in tail]


def test_what_to_type_next(result):
    searched, again = commands(printed(result(TRIALS)))
    assert searched == "python -m sweep ablation --dataset digits --search auto"
    assert again == "python -m sweep show s1"
    assert commands(printed(result(TRIALS, search="random"))) == [again]


def test_the_next_command_finds_results_elsewhere(result):
    made = result(TRIALS, folder="/data/my results", search="random")
    assert commands(printed(made)) == ["python -m sweep show s1 --results '/data/my results'"]


def test_counts_and_errors(result):
    trials = [
        ("a", 0, 0.5, {}),
        ("b", 0, None, {"status": "failed", "error": "KeyError: 'x'"}),
        ("c", 0, None, {"status": "failed", "error": "KeyError: 'x'"}),
        ("d", 0, None, {"status": "out_of_memory", "error": "torch [bold] ran out"}),
    ]
    text = printed(result(trials, search="random"))
    assert "4 trials: 2 failed, 1 completed, 1 out of memory" in text
    assert "2 × KeyError: 'x'" in text
    assert "1 × torch [bold] ran out" in text
    assert "Winner" not in text


def test_a_sweep_that_runs_or_died_says_so(result):
    running = printed(result(TRIALS, status="running"))
    assert "The sweep is running; these are the trials so far." in running
    dead = printed(result(TRIALS, status="running", pid=2**22 + 1))
    assert "The sweep has died; these are the trials so far." in dead
    assert "so far" not in printed(result(TRIALS))


def test_a_sweep_without_trials(result, manifest, trial_row, tmp_path):
    from sweep.report.summary import load_result
    from sweep.results.manifest import run_folder, write_manifest

    run_folder(tmp_path, "s1").mkdir(parents=True)
    write_manifest(tmp_path, manifest(status="running"))
    assert "0 trials: none yet" in printed(load_result(tmp_path, "s1"))


def test_numbers_in_short():
    shown = {0: "0", 999: "999", 1234: "1.2k", 11_181_642: "11.2M", 2.5e9: "2.5G", 56.7: "56"}
    assert {number: count(number) for number in shown} == shown
    assert count(math.nan) == "–"


def test_a_sweep_without_a_winner_says_why(result):
    trials = [("a", 0, None, {"status": "diverged", "lr": 9.0})] * 2
    text = printed(result(trials, errors=["weights='bad.pth': a holds NaN"]))
    assert "No winner: all 2 trials diverged; lower lr (here 9)" in " ".join(text.split())
    assert "weights='bad.pth': a holds NaN" in text
    assert "No winner" not in printed(result(trials, status="running"))
    assert "No winner" not in printed(result(TRIALS, winner=WINNER))


def of_classes(*splits):
    """Rows of `classes`: (trial, images of each class of its test split)."""
    return pd.DataFrame(
        [
            {
                "trial_id": trial,
                "split": "test",
                "class_name": f"c{index}",
                "class_index": index,
                "images": number,
            }
            for trial, images in splits
            for index, number in enumerate(images)
        ]
    )


@pytest.mark.parametrize(
    ("splits", "shown"),
    [
        ([("t", [3, 3])], "precision recall F1 calibration"),
        ([("t", [3, 3, 3])], "precision recall F1 top 2 calibration"),
        ([("t", [3] * 10), ("u", [3] * 10)], "precision recall F1 top 5 calibration"),
        ([("t", [3] * 10), ("u", [3] * 4)], "precision recall F1 top k calibration"),
    ],
)
def test_the_column_of_top_k_says_which_k(splits, shown):
    frame = pd.DataFrame(
        [{"strategy": "full", "limit_train": math.nan, "precision": 0.5, "recall": 0.5,
          "f1": 0.5, "top_accuracy": 0.75, "calibration_error": 0.1, "train_val_gap": 0.0}]
    )  # fmt: skip
    text = text_of(measures_table(frame, top_counts(of_classes(*splits))))
    assert shown in " ".join(text.split())
    assert ("0.7500" in text) == ("top" in shown)


def test_classes_without_test_images_are_named():
    assert absent_classes(of_classes(("t", [3, 0, 1]), ("u", [3, 0, 1]))) == ["c1"]
    assert absent_classes(of_classes(("t", [1] + [0] * 7)))[4:] == ["c5", "and 2 more"]
    assert absent_classes(pd.DataFrame()) == []


def test_wrong_images_that_are_not_kept_are_counted():
    rows = [("s1_00003", 1234, 100), ("s1_00004", 5, 0), ("s1_00005", 7, 7)]
    frame = pd.DataFrame(
        [{"trial_id": t, "split": "test", "wrong": w, "wrong_kept": k} for t, w, k in rows]
    )
    line = "100 of 1,234 wrong images kept, the most confident"
    assert wrong_images_line(frame, "s1_00003") == line
    assert wrong_images_line(frame, "s1_00005") is None
    assert wrong_images_line(frame.assign(wrong=math.nan), "s1_00003") is None


def test_a_sweep_that_is_silent_may_still_end(result):
    silent = {"status": "running", "host": "elsewhere", "machine": "other", "seen_at": 0.0}
    text = " ".join(printed(result(TRIALS, winner=None, **silent)).split())
    assert "has given no sign of life for some time; these are the trials so far." in text
    assert "No winner" not in text


def test_a_status_of_a_later_version_and_a_time_that_is_not_known(result):
    trials = [("a", 0, 0.8, {"status": "paused", "train_seconds": math.nan, "dropout": 0.0})]
    text = printed(result(trials))
    assert "1 paused" in text
    assert text.index("0.8000") < text.index("–")


def test_no_command_is_offered_that_runs_more_than_this_sweep(result):
    assert "# the best combination" in printed(result(TRIALS))
    text = printed(result(TRIALS, command=""))
    assert "# the best combination" not in text
    assert "python -m sweep show s1" in text


COMPARED = pd.DataFrame(
    {
        "strategy": ["fine_tuned", "features", "scratch"], "limit_train": [10000.0] * 2 + [NAN],
        "tried": [12, 4, 9], "seeds": [3, 3, 3], "fresh": [True, True, True],
        "val_accuracy": [0.91, 0.85, 0.5],
        "val_accuracy_std": [0.0123, 0.01, 0.02], "test_accuracy": [0.90, 0.84, 0.5],
        "test_accuracy_std": [0.0123, 0.01, 0.02], "gain": [0.40, 0.34, 0.0],
        "gain_low": [0.3721, 0.33, NAN], "gain_high": [0.4333, NAN, NAN],
        "scratch_tried": [9.0, 9.0, 9.0], "epochs_to_scratch": [12.25, NAN, 9.0],
    }
)  # fmt: skip


def test_strategies_say_how_many_configurations_they_are_the_best_of():
    found = words(text_of(strategies_table(COMPARED)))
    assert found[1][:7] == ["fine_tuned", "10000", "12", "3", "0.9100", "±", "0.0123"]


def test_gains_have_their_interval_and_what_they_compare():
    """A row for each strategy but scratch: best of, of how many from scratch, gain, interval."""
    frame = COMPARED.assign(gain_low=[0.3721, NAN, NAN])
    assert words(text_of(gain_table(frame)))[-2:] == [
        ["fine_tuned", "10000", "12", "9", "+40.00", "+37.21", "…", "+43.33", "12.2"],
        ["features", "10000", "4", "9", "+34.00", "–", "–"],
    ]


def test_the_report_shows_gains_only_against_scratch_runs(result):
    made = dataclasses.replace(result(TRIALS), strategies=measured(COMPARED))
    text = printed(made)
    assert "What transfer bought" in text
    assert "Without fresh seeds" not in text
    mixed = COMPARED.assign(fresh=[True, False, True])
    made = dataclasses.replace(made, strategies=measured(mixed))
    assert "Without fresh seeds with 10000 images: features." in " ".join(printed(made).split())
    alone = COMPARED[:2].assign(gain=NAN, gain_low=NAN, gain_high=NAN, scratch_tried=NAN)
    made = dataclasses.replace(made, strategies=measured(alone))
    assert "What transfer bought" not in printed(made)


def measured(frame):
    """The other columns of the strategies."""
    names = (
        "precision", "recall", "f1", "top_accuracy", "calibration_error", "train_val_gap",
        "train_seconds", "epochs_trained", "seconds_per_epoch", "images_per_second",
        "params_trained", "params_total", "memory_bytes",
    )  # fmt: skip
    return frame.assign(**dict.fromkeys(names, 1.0))
