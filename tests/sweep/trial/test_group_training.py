"""Heads that a trainer process trains in groups: what they report is what each would alone."""

import math

import pytest
import torch

from sweep.options.user_modules import read_user_module
from sweep.trial.reports import Order
from sweep.trial.training import Training
from tl_core.heads import exact_groups, head_group
from tl_core.heads.head_group import HeadGroup
from tl_core.heads.heads import MOST_STEPS
from tl_core.train.optim import OPTIMIZERS, SCHEDULES, OptimizerSpec
from tl_core.train.stacked_steps import StackedSteps

VALUES = [{"lr": 0.001 * 1.2**n, "momentum": 0.1 * (n % 9)} for n in range(8)]


def orders(values, trained=0, until=None):
    return [Order(number, own, trained, until) for number, own in enumerate(values)]


def trained_together(process, values):
    """Reports of each trial, by number."""
    outcome = process.train(orders(values), grouped=True)
    assert outcome.alone == []
    return outcome.reports


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_trials_report_and_leave_what_they_would_by_themselves(
    heads, fresh, same, saved, optimizer
):
    told = heads(optimizer=optimizer)
    found = trained_together(Training(told), VALUES)
    weights = [saved(told, number) for number in range(len(VALUES))]
    for number, values in enumerate(VALUES):
        assert same(found[number], fresh(told, values))
        alone = saved(told, 0)
        assert alone.keys() == weights[number].keys()
        assert all(torch.equal(alone[name], weights[number][name]) for name in alone)


@pytest.mark.slow
def test_seeds_with_equal_bodies_are_one_group(heads, fresh, same, source, set_up):
    told = heads(weights=source)
    values = [{"lr": 0.01, "seed": number % 3} for number in range(6)]
    process = Training(told)
    found = trained_together(process, values)
    assert len(set_up) == 3
    assert {r["trained_together"] for reports in found.values() for r in reports} == {6}
    for number, own in enumerate(values):
        assert same(found[number], fresh(told, own))


def test_seeds_with_bodies_of_their_own_are_groups_of_their_own(heads, fresh, same):
    told = heads()
    values = [{"lr": 0.01 * (number + 1), "seed": number % 2} for number in range(3)]
    found = trained_together(Training(told), values)
    assert [found[number][-1]["trained_together"] for number in range(3)] == [2, 1, 2]
    for number, own in enumerate(values):
        assert same(found[number], fresh(told, own))


def test_trials_sit_out_at_their_rungs_while_others_join(heads, fresh, same):
    told = heads(epochs=4)
    process = Training(told)
    found = {number: [] for number in range(3)}
    for given in (
        [Order(0, VALUES[0], 0, 1), Order(1, VALUES[1], 0, 2)],
        [Order(0, VALUES[0], 1, 2), Order(1, VALUES[1], 2, None), Order(2, VALUES[2], 0, 1)],
        [Order(0, VALUES[0], 2, None), Order(2, VALUES[2], 1, None)],
    ):
        outcome = process.train(given, grouped=True)
        for order in given:
            new = outcome.reports[order.number]
            last = order.until or 4
            assert [r["epoch"] for r in new] == list(range(order.trained + 1, last + 1))
            found[order.number] += new
    for number, reports in found.items():
        assert same(reports, fresh(told, VALUES[number]))
        assert reports[-1]["status"] == "completed"


def test_trials_whose_process_died_are_trained_again_and_report_what_is_new(heads, fresh, same):
    told = heads(epochs=4)
    given = [Order(0, VALUES[0], 3, None), Order(1, VALUES[1], 1, 2), Order(2, VALUES[2], 0, 2)]
    reports = Training(told).train(given, grouped=True).reports
    for order in given:
        expected = fresh(told, order.values)[order.trained : order.until]
        assert same(reports[order.number], expected)


def test_one_that_diverges_leaves_the_others_alone(heads, fresh, same):
    told = heads()
    values = [VALUES[0], {"lr": 3e38}, VALUES[1]]
    found = trained_together(Training(told), values)
    assert [r["status"] for r in found[1]] == ["diverged"]
    assert math.isnan(found[1][0]["best_val_accuracy"])
    assert [told.checkpoint(number).exists() for number in range(3)] == [True, False, True]
    for number in (0, 2):
        assert same(found[number], fresh(told, values[number]))


@pytest.fixture
def room(monkeypatch):
    """room(members): more than so many do not fit into memory; sizes of groups tried."""
    tried = []
    run_epoch = HeadGroup.run_epoch

    def short(most, error=torch.OutOfMemoryError):
        def limited(group):
            tried.append(len(group.members))
            if len(group.members) > most and group.members[0].epoch > 0:
                raise error("can't allocate memory")
            return run_epoch(group)

        monkeypatch.setattr(HeadGroup, "run_epoch", limited)
        return tried

    return short


@pytest.mark.parametrize("error", [torch.OutOfMemoryError, MemoryError, RuntimeError])
def test_a_group_that_is_too_large_is_split_and_goes_on(heads, fresh, same, room, error):
    told = heads()
    process = Training(told)
    tried = room(3, error)
    found = trained_together(process, VALUES[:7])
    assert tried == [7, 7, *[3] * 6, 1, 1, 1]
    assert [found[number][0]["trained_together"] for number in range(7)] == [3] * 6 + [1]
    room(math.inf)
    for number in range(7):
        assert same(found[number], fresh(told, VALUES[number]))
    tried.clear()
    trained_together(process, VALUES[:4])
    assert max(tried) == 3


def test_one_that_does_not_fit_by_itself_is_out_of_memory(heads, room, train_alone):
    process = Training(heads())
    room(0)
    outcome = process.train(orders(VALUES[:2]), grouped=True)
    assert (outcome.reports, outcome.alone) == ({}, [0, 1])
    last = train_alone(process, 0, VALUES[0])[-1]
    assert (last["epoch"], last["status"]) == (0, "out_of_memory")


@pytest.mark.parametrize("most", [2, 0])
def test_a_group_that_the_memory_watch_ends_is_halved(heads, fresh, same, most, monkeypatch):
    told = heads()
    process = Training(told)
    train, tried = process.groups.train, []

    def watched(given):
        part = given[: process.groups.largest]
        tried.append(len(part))
        if len(part) > most:
            raise MemoryError("0.1 GiB of the machine's memory were left")
        return train(given)

    monkeypatch.setattr(process.groups, "train", watched)
    outcome = process.train(orders(VALUES[:6]), grouped=True)
    assert tried == [6, 3, 1]
    assert outcome.alone == ([] if most else [0, 1, 2, 3, 4, 5])
    for number, reports in outcome.reports.items():
        assert same(reports, fresh(told, VALUES[number]))


def test_an_error_in_a_group_sends_its_trials_back(heads, fresh, same, train_alone, monkeypatch):
    def broken(progress, config):
        if progress >= 1 and config.warmup_epochs == 2:
            raise ValueError("no such warmup")
        return 1.0

    monkeypatch.setitem(SCHEDULES, "broken", broken)
    told = heads(schedule="broken")
    values = [VALUES[0], {"warmup_epochs": 2.0}, VALUES[1]]
    process = Training(told)
    outcome = process.train(orders(values, until=1), grouped=True)
    assert outcome.alone == []
    outcome = process.train(orders(values, trained=1), grouped=True)
    assert (outcome.reports, outcome.alone, outcome.groupable) == ({}, [0, 1, 2], True)
    assert same(train_alone(process, 0, VALUES[0], trained=1), fresh(told, VALUES[0])[1:])
    (failed,) = train_alone(process, 1, values[1], trained=1)
    assert (failed["status"], failed["error"]) == ("failed", "ValueError: no such warmup")


def test_what_an_error_left_half_done_is_begun_anew(heads, fresh, same, monkeypatch):
    errors = [RuntimeError("in the middle of an epoch")]

    def step(state, gradients, momenta, counts, nesterov):
        if errors and counts.max() == 8:  # of 6 an epoch
            raise errors.pop()
        return gradients

    row = OptimizerSpec(OPTIMIZERS["sgd"].build, StackedSteps(step, ()))
    monkeypatch.setitem(OPTIMIZERS, "breaks", row)
    told = heads(optimizer="breaks", batch_size=32)
    process = Training(told)
    assert process.train(orders(VALUES[:3]), grouped=True).alone == [0, 1, 2]
    outcome = process.train([Order(1, VALUES[1], 1), Order(2, VALUES[2])], grouped=True)
    assert same(outcome.reports[1], fresh(told, VALUES[1])[1:])
    assert same(outcome.reports[2], fresh(told, VALUES[2]))


def test_one_that_cannot_be_is_trained_alone_and_says_so(heads, train_alone):
    process = Training(heads())
    values = [VALUES[0], {"lr": -1.0}, VALUES[1]]
    outcome = process.train(orders(values), grouped=True)
    assert (outcome.alone, outcome.groupable) == ([1], True)
    assert [outcome.reports[number][-1]["status"] for number in (0, 2)] == ["completed"] * 2
    assert "lr=-1.0" in train_alone(process, 1, values[1])[0]["error"]


def test_a_long_one_is_trained_alone_and_others_like_it_in_a_group(heads, train_alone, set_up):
    process = Training(heads())
    long = {**VALUES[0], "epochs": MOST_STEPS + 1, "target_accuracy": 0.01}
    outcome = process.train([Order(0, long)], grouped=True)
    assert (outcome.alone, outcome.groupable) == ([0], True)
    assert train_alone(process, 0, long)[-1]["status"] == "completed"
    outcome = process.train([Order(1, VALUES[1]), Order(2, long)], grouped=True)
    assert (list(outcome.reports), outcome.alone) == ([1], [2])
    assert len(set_up) == 2


DROPPED = {"head_units": 16, "head_dropout": 0.5}


@pytest.mark.parametrize(
    "fields",
    [{"freeze_depth": 3}, DROPPED, {"unfreeze_epochs": 1}],
    ids=["a stage left", "dropout", "stages that train later"],
)
def test_what_can_be_in_no_group_is_set_up_once(heads, fresh, same, train_alone, set_up, fields):
    told = heads(**fields)
    process = Training(told)
    outcome = process.train(orders(VALUES[:3]), grouped=True)
    assert (outcome.alone, outcome.groupable) == ([0, 1, 2], False)
    torch.rand(1)  # something else draws a number
    found = train_alone(process, 0, VALUES[0])
    assert len(set_up) == 1
    assert same(found, fresh(told, VALUES[0]))
    assert {r["trained_together"] for r in found} == {1}


def test_a_head_that_cannot_be_batched_trains_by_itself(heads, monkeypatch):
    def no_rule(head):
        raise RuntimeError("vmap has no rule for this operation")

    monkeypatch.setattr(head_group, "logits_of", no_rule)
    monkeypatch.setattr(exact_groups, "EXACT", {})
    outcome = Training(heads()).train(orders(VALUES[:2]), grouped=True)
    assert (outcome.alone, outcome.groupable) == ([0, 1], False)


LARS = """
import torch
from tl_core.train.optim import OPTIMIZERS

class Lars(torch.optim.Optimizer):
    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for p in group["params"]:
                p -= group["lr"] * p.norm() / (p.grad.norm() + 1e-9) * p.grad

OPTIMIZERS["lars"] = lambda groups, config: Lars(groups, {"lr": config.lr})
"""


def test_an_imported_optimizer_with_norms_of_tensors_trains_head_by_head(
    heads, monkeypatch, write_file
):
    """A group would take the norm of all heads for that of each."""
    monkeypatch.setitem(OPTIMIZERS, "lars", None)  # the module's row is gone after the test
    told = heads(modules=[read_user_module(write_file(LARS, "lars.py"))], optimizer="lars")
    outcome = Training(told).train(orders(VALUES[:2]), grouped=True)
    assert (outcome.alone, outcome.groupable) == ([0, 1], False)


def test_trials_of_other_threads_between_change_no_numbers(heads, fresh, same, train_alone):
    told = heads()
    process = Training(told)
    trained_together(process, VALUES[:1])
    outcome = process.train([Order(1, {**VALUES[1], "threads": 2})], grouped=True)
    assert outcome.reports[1]
    outcome = process.train([Order(2, VALUES[2])], grouped=True)
    assert torch.get_num_threads() == 1
    assert same(outcome.reports[2], fresh(told, VALUES[2]))
