"""Trials that go on in another process: what they report is what they would, never stopped."""

import math
import random
from dataclasses import replace

import numpy as np
import pytest
import torch

from sweep.trial import states
from sweep.trial.reports import Order
from sweep.trial.saved_run import save_run
from sweep.trial.states import States
from sweep.trial.training import Training
from tl_core import Trainer
from tl_core.heads.head_group import HeadGroup
from tl_core.train.checkpoint import load_state, save_checkpoint

BUSY = {
    "epochs": 4, "batch_size": 50, "dropout": 0.3, "mixup": 0.4, "augmentation": "standard",
    "schedule": "plateau", "plateau_patience": 0, "decay_factor": 0.5, "lr": 0.3, "momentum": 0.9,
    "clip_norm": 1.0,
}  # fmt: skip
KINDS = {
    "everything that draws": BUSY,
    "thaws": {**BUSY, "freeze_depth": 2, "unfreeze_epochs": 1, "optimizer": "adamw", "lr": 0.01},
    "patience": {"epochs": 9, "lr": 0.3, "patience": 2},
    "frozen": {"freeze_depth": 2, "optimizer": "adam", "lr": 0.01, "epochs": 4},
    "a head": {"freeze_depth": 4, "optimizer": "adam", "lr": 0.01, "epochs": 5, "patience": 3},
}
VALUES = [{"lr": 0.002 * 1.5**n, "seed": n % 2} for n in range(4)]


@pytest.fixture(autouse=True)
def saved_always(monkeypatch):
    """After each epoch, whatever it costs."""
    for name, limit in (("STATE_SECONDS", 0.0), ("RUNG_SECONDS", 0.0), ("MOST_SHARE", math.inf)):
        monkeypatch.setattr(states, name, limit)


@pytest.fixture
def trained(monkeypatch):
    """Epochs that a run or a group trained from now on, in order."""
    found = []
    for kind in (Trainer, HeadGroup):
        run_epoch = kind.run_epoch

        def noting(run, run_epoch=run_epoch):
            metrics = run_epoch(run)
            found.append(run.epoch if isinstance(run, Trainer) else run.members[0].epoch)
            return metrics

        monkeypatch.setattr(kind, "run_epoch", noting)
    return found


@pytest.fixture
def whole(fresh, saved):
    """whole(job, values) → reports and best weights of a trial that was never stopped."""

    def train(job, values):
        stateless = replace(job, states="")
        reports = fresh(stateless, values)
        weights = saved(stateless, 0)
        stateless.checkpoint(0).unlink()
        return reports, weights

    return train


def equal(first, second):
    return first.keys() == second.keys() and all(
        torch.equal(first[name], second[name]) for name in first
    )


def die(process):
    """What else a process draws must not matter to the next."""
    del process
    torch.rand(5), random.random(), np.random.random()  # noqa: NPY002


def begun(job, values, epochs, *, grouped=False):
    """The reports of a trial whose process dies after some epochs."""
    process = Training(job)
    found = []
    while len(found) < epochs:
        order = Order(0, values, len(found), len(found) + 1)
        found += process.train([order], grouped=grouped).reports[0]
    die(process)
    return found


@pytest.mark.parametrize("epochs", [1, 3])
@pytest.mark.parametrize("kind", KINDS)
def test_a_trial_goes_on_to_the_same_numbers(
    job, whole, same, train_alone, saved, trained, kind, epochs
):
    told = job(**KINDS[kind])
    expected, weights = whole(told, {})
    assert same(begun(told, {}, epochs), expected[:epochs])
    trained.clear()
    assert same(train_alone(Training(told), 0, {}, trained=epochs), expected[epochs:])
    assert trained[0] == epochs + 1
    assert equal(saved(told, 0), weights)


def test_a_student_goes_on(job, whole, same, train_alone, trained, tmp_path):
    teacher = Trainer(job(width=8).config({}))
    save_run(teacher, tmp_path / "teacher.safetensors", 0.5)
    told = job(**BUSY, teacher=str(tmp_path / "teacher.safetensors"))
    expected, _ = whole(told, {})
    begun(told, {}, 2)
    trained.clear()
    assert same(train_alone(Training(told), 0, {}, trained=2), expected[2:])
    assert trained == [3, 4]


def test_heads_of_a_group_go_on_alone_and_together(
    heads, whole, same, train_alone, saved, trained
):
    told = heads(epochs=4)
    expected = [whole(told, values) for values in VALUES]
    process = Training(told)
    process.train([Order(n, VALUES[n], 0, n or 1) for n in range(4)], grouped=True)
    die(process)
    trained.clear()
    given = [Order(n, VALUES[n], n or 1, None) for n in range(3)]
    found = Training(told).train(given, grouped=True).reports
    found[3] = train_alone(Training(told), 3, VALUES[3], trained=3)
    assert 1 not in trained
    for number in range(4):
        reports, weights = expected[number]
        assert same(found[number], reports[number or 1 :])
        assert equal(saved(told, number), weights)


@pytest.mark.parametrize("grouped", [False, True])
def test_what_the_driver_did_not_hear_is_reported_again_and_not_trained(
    heads, job, whole, same, trained, grouped
):
    """It died with the reports since the first rung; the next rung lies before the state."""
    told = heads(epochs=5) if grouped else job(epochs=5)
    expected, _ = whole(told, {})
    first = begun(told, {}, 3, grouped=grouped)
    trained.clear()
    process, found = Training(told), []
    for until in (1, 2, 3):
        found += process.train([Order(0, {}, len(found), until)], grouped=grouped).reports[0]
        assert len(found) == until
    assert found == first  # seconds and all
    assert trained == []
    while len(found) < 5:
        found += process.train([Order(0, {}, len(found), None)], grouped=grouped).reports[0]
    assert same(found, expected)


def test_what_was_heard_since_the_state_is_trained_again(job, whole, same, train_alone, trained):
    told = job(**BUSY)
    expected, _ = whole(told, {})
    begun(told, {}, 1)
    trained.clear()
    assert same(train_alone(Training(told), 0, {}, trained=3), expected[3:])
    assert trained == [2, 3, 4]


def truncated(path):
    path.write_bytes(path.read_bytes()[:-100])


def flipped(path):
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 200] = bytes(byte ^ 255 for byte in content[middle : middle + 200])
    path.write_bytes(content)


def emptied(path):
    path.write_bytes(b"")


def without_reports(path):
    state = load_state(path)
    save_checkpoint(path, {**state, "reports": state["reports"][1:]})


def of_another_kind(path):
    save_checkpoint(path, {**load_state(path), "kind": "another"})


def of_another_shape(path):
    """It breaks only as it is taken up."""
    state = load_state(path)
    model = {name: torch.stack([tensor] * 2) for name, tensor in state["model"].items()}
    save_checkpoint(path, {**state, "model": model})


@pytest.mark.parametrize(
    "broken",
    [truncated, flipped, emptied, without_reports, of_another_kind, of_another_shape],
)
@pytest.mark.parametrize("head", [False, True])
def test_a_state_of_no_use_is_passed_over_and_removed(
    heads, job, whole, same, train_alone, trained, broken, head
):
    told = heads() if head else job(dropout=0.3)
    expected, _ = whole(told, {})
    begun(told, {}, 2)
    broken(told.state(0))
    trained.clear()
    process = Training(told)
    (report,) = process.train([Order(0, {}, 2, None)], grouped=head).reports[0]
    assert same([report], expected[2:])
    assert trained == [1, 2, 3]


@pytest.mark.parametrize("changed", [{"lr": 0.02}, {"seed": 1}])
def test_a_state_of_another_configuration_is_passed_over(
    job, whole, same, train_alone, trained, changed
):
    told = job()
    expected, _ = whole(told, changed)
    begun(told, {}, 2)
    trained.clear()
    assert same(train_alone(Training(told), 0, changed, trained=2), expected[2:])
    assert trained == [1, 2, 3]


@pytest.mark.parametrize("folder", ["", "missing"])
def test_a_machine_without_the_folder_has_no_states(job, tmp_path, folder):
    told = replace(job(), states=folder and str(tmp_path / folder))
    begun(told, {}, 2)
    assert not told.state(0).exists()
    assert not (tmp_path / "missing").exists()
    assert sorted(path.name for path in (tmp_path / "states").iterdir()) == []


def test_a_state_that_cannot_be_written_costs_nothing(job, monkeypatch):
    def full(*arguments, **named):
        raise RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 64 vs 0")

    monkeypatch.setattr(states, "save_checkpoint", full)
    told = job()
    assert [report["status"] for report in begun(told, {}, 3)] == ["running"] * 2 + ["completed"]
    assert not told.state(0).exists()


@pytest.fixture
def saves(job, monkeypatch):
    """saves(seconds, writing=, at_rung=) → how many of two trials that trained so long are saved;
    writing a state takes `writing`."""
    monkeypatch.undo()

    def count(seconds, *, writing=0.0, at_rung=False):
        found, kept = [], States(job())
        monkeypatch.setattr(kept, "_save", lambda number, run: found.append(number))
        for number in (0, 1):
            kept.reports[number], kept.unsaved[number] = [], 0.0
            kept.add(number, {"train_seconds": seconds / 3, "eval_seconds": seconds / 6})
        kept.writing_seconds = writing
        kept.save_if_due({0: None, 1: None}, at_rung=at_rung)
        kept.save_if_due({0: None, 1: None}, at_rung=at_rung)  # nothing has changed since
        return len(found)

    return count


def test_a_state_is_written_where_training_again_would_take_long(saves):
    assert (saves(29.0), saves(31.0)) == (0, 2)
    assert (saves(1.9, at_rung=True), saves(2.1, at_rung=True)) == (0, 2)
    assert (saves(31.0, writing=0.8), saves(31.0, writing=0.7)) == (0, 2)  # 5% of the time
