import os
import re
from pathlib import Path

import pytest

from sweep.cli.dry_run import print_plan
from sweep.plan import resources
from sweep.plan.make_plan import make_plan
from tl_core.errors import BadInput


@pytest.fixture
def show(options, page, monkeypatch):
    """show(space, **options) → label → what stands behind it, on a machine of 2 CPUs."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1})
    monkeypatch.setattr(resources, "gpu_count", lambda: 0)

    def printed(space="ablation", **fields):
        print_plan(options(space, **fields), page)
        lines = page.file.getvalue().splitlines()
        assert max(map(len, lines)) <= 80
        starts = [i for i, line in enumerate(lines) if not line.startswith(" ")]
        parts = [
            " ".join(" ".join(lines[a:b]).split())
            for a, b in zip(starts, [*starts[1:], len(lines)], strict=True)
        ]
        cut = [
            len("data set") if part.startswith("data set ") else part.index(" ") for part in parts
        ]
        return {part[:at]: part[at:].strip() for part, at in zip(parts, cut, strict=True)}

    return printed


def test_the_ablation(show):
    shown = show(epochs=3)
    assert shown["trials"] == "45 = 9 configurations × 5 seeds"
    assert shown["epochs"] == "3 each at most, 135 in all at most"
    assert shown["search"] == "one-at-a-time with no scheduler"
    assert "stopping" not in shown
    assert shown["data set"] == "cifar10, to be downloaded; where it cannot be, digits serves"
    assert shown["sweep"].startswith("ablation-20")
    assert shown["resources"] == "2 trials at a time, each with 1 CPU (of 2 CPUs, 0 GPUs)"
    assert shown["question"].startswith("Which of batch size")
    assert shown["batch_norm"] == "on, off"
    assert shown["lr"] == "0.1, 0.2, 0.4"


def test_one_configuration_is_no_plural(show, write_file):
    path = Path(write_file("BASE = TrainConfig(dataset='digits')\nSPACE = {'lr': Choice(0.1)}"))
    path.write_text('"""Does it?"""\n' + path.read_text())
    shown = show(str(path))
    assert shown["trials"] == "1 = 1 configuration × 1 seed"
    assert "the one configuration is trained" in shown["search"]


def test_part_of_a_factorial_of_one_thread(show):
    shown = show(trials=24, name="mine", dataset="digits", settings=("threads=2", "lr=0.1"))
    assert shown["trials"].startswith("24 = 24 configurations × 1 seed")
    assert (shown["sweep"], shown["data set"]) == ("mine", "digits")
    assert shown["resources"].startswith("1 trial at a time, each with 2 CPUs")
    assert "lr" not in shown


def test_a_search_over_ranges(show):
    shown = show("transfer")
    pattern = r"about (\d+) = \1 configurations, about (\d+) of them from scratch, × 1 seed"
    total, scratch = map(int, re.match(pattern, shown["trials"]).groups())
    assert total == 32 + scratch > 32 + 1
    assert shown["search"].startswith("optuna with asha (auto): 32 configurations of 10 epochs")
    assert shown["stopping"] == "after epoch 4: one configuration in 3 goes on"
    assert shown["freeze_depth"] == "Int(0, 'stages')"
    assert shown["momentum"] == "Float(0.5, 0.99, when={'optimizer': 'sgd'})"
    assert "timm:resnet18.a1_in1k" in shown["backbone"]


def test_the_confirmation_of_a_search(show):
    shown = show("transfer", confirm="4x2")
    more = "8 trials, and the best of each strategy: at most 6 more"
    assert shown["confirmation"] == f"4 × 2 seeds = {more}"
    assert shown["trials"].startswith("about 36 = ")
    epochs = int(shown["epochs"].split()[0])
    assert shown["epochs"].endswith(f"{(36 + 14) * epochs} in all at most")


def test_without_a_confirmation_there_is_no_line_of_it(show):
    assert "confirmation" not in show("ablation")
    assert "confirmation" not in show("transfer", confirm=0)


def test_the_grace_period_is_shown(show):
    given = {"search": "random", "scheduler": "asha", "epochs": 27}
    shown = show(**given)
    assert shown["search"] == "random with asha"
    assert shown["stopping"] == "after epoch 1, 3, 9: one configuration in 3 goes on"
    shown = show(**given, grace_period=2, reduction_factor=2.5)
    assert shown["stopping"] == "after epoch 2, 5, 13: one configuration in 2.5 goes on"
    shown = show(**given, grace_period=27)
    assert shown["stopping"] == "none: trials end before the grace period does"
    assert shown["note"] == (
        "--grace-period 27: trials of 27 epochs end before asha could stop one; give fewer."
    )


def test_a_cluster_is_not_asked(show):
    assert show(address="auto")["resources"] == "those of the cluster at auto"


def test_the_count_is_that_of_the_plan(show, options):
    plan = make_plan(options(search="grid", seeds=2))
    assert show(search="grid", seeds=2)["trials"].startswith(f"{plan.trials} = ")


def test_what_a_run_would_refuse_is_refused(options, page, tmp_path, monkeypatch):
    monkeypatch.setattr(resources, "gpu_count", lambda: 0)
    (tmp_path / "results" / "runs" / "mine").mkdir(parents=True)
    for fields in ({"gpus": 4}, {"name": "mine"}, {"settings": ("threads=100000",)}):
        with pytest.raises(BadInput):
            print_plan(options(**fields), page)
    assert page.file.getvalue() == ""


def test_the_files_of_a_data_set_on_disk(show, tmp_path):
    for split, count in (("Training", 3), ("Testing", 2)):
        for name in ("cat", "dog"):
            (tmp_path / "set" / split / name).mkdir(parents=True)
            for number in range(count):
                (tmp_path / "set" / split / name / f"{number}.png").write_bytes(b"not read")
    (tmp_path / "set" / "extra").mkdir()
    (tmp_path / "set" / "extra" / "x.png").touch()
    shown = show(dataset=f"folder:{tmp_path / 'set'}")["files"]
    assert "train: 6 images in Training/: cat 3, dog 3 val: held out of train test: 4" in shown
    assert shown.endswith("left aside: files in extra/, which is no split: 1, such as extra/x.png")


def test_nothing_is_said_of_the_files_of_bundled_data(show):
    assert "files" not in show(dataset="digits")


def test_data_sets_are_those_of_trials_and_the_base_may_have_another(show, write_file):
    space = """BASE = TrainConfig(dataset='folder:/not/there')
SPACE = {'dataset': Choice('digits', 'cifar10')}
SEARCH = 'grid'"""
    file = Path(write_file(space))
    file.write_text(f"'Which data?'\n{file.read_text()}")
    shown = show(str(file))
    assert shown["data set"] == "digits; cifar10, to be downloaded"
    assert "files" not in shown
