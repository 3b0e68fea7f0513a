"""TPE compares trials by their values at one epoch, and hears of trials without a result."""

import pytest

from search_spaces.domains import Choice, Float
from sweep.search.tpe.common_epoch import ENOUGH
from sweep.search.tpe.optuna_proposer import OptunaProposer


def test_a_trial_without_a_result_ranks_last(context):
    proposer = OptunaProposer(context({"lr": Float(1e-4, 1e-1, log=True)}))
    for _ in range(4):
        proposer.propose()
    proposer.finish(0, "fail", None)
    proposer.finish(1, "pruned", None)
    proposer.finish(2, "complete", 0.5)
    proposer.finish(3, "complete", float("nan"))
    told = proposer.study.get_trials()
    marked = [trial.user_attrs.get("without_result", False) for trial in told]
    assert marked == [True, False, False, True]
    assert [trial.state.name for trial in told] == ["FAIL", "PRUNED", "COMPLETE", "FAIL"]


def test_optuna_leaves_where_trials_diverge(context):
    """The best rates border on those that diverge, 37.5% of the space."""
    space = {"lr": Float(1e-3, 1.0, log=True)}
    edge = 10 ** (-3 + 3 * 0.625)
    shares = []
    for seed in range(3):
        proposer = OptunaProposer(context(space, trials=40, seed=seed))
        diverged = 0
        for number in range(40):
            lr = proposer.propose()["lr"]
            diverged += lr > edge
            proposer.finish(number, *(("fail", None) if lr > edge else ("complete", lr)))
        shares.append(diverged / 40)
    assert max(shares) < 0.5  # told nothing of failures: 0.7 to 0.9


def test_while_all_fail_the_search_goes_on_at_random(context):
    proposer = OptunaProposer(context({"lr": Float(0.0, 1.0)}, trials=40))
    for number in range(40):
        rate = proposer.propose()["lr"]
        proposer.finish(number, "fail", None)
        if number > 20:
            assert 0 <= rate <= 1
    rates = [trial.params["lr"] for trial in proposer.study.get_trials()[20:]]
    assert max(rates) - min(rates) > 0.8


def drive(proposer, value, most, epochs=1):
    """The next proposals, each of which trains some epochs and is stopped.

    Args:
        value: (values, epoch) → accuracy.
        most: how many.
        epochs: that each trains.
    """
    proposed = []
    for number in range(proposer.proposed, proposer.proposed + most):
        values = proposer.propose()
        for epoch in range(1, epochs + 1):
            proposer.report(number, epoch, value(values, epoch))
        proposer.finish(number, "pruned", None)
        proposed.append(values)
    return proposed


def complete_poor_ones(proposer, value):
    """Eight trials, of which the poor ones train to their end: ASHA lets the first ones pass."""
    for number in range(8):
        found = value(proposer.propose())
        for epoch in (1, 2, 3):
            proposer.report(number, epoch, found * epoch / 3)
        if found < 0.5:
            proposer.report(number, 9, found)
            proposer.finish(number, "complete", found)
        else:
            proposer.finish(number, "pruned", None)


@pytest.mark.parametrize("seed", range(3))
def test_stopped_and_complete_trials_are_compared_at_the_epoch_that_both_reached(seed, context):
    proposer = OptunaProposer(context({"lr": Float(0.0, 1.0)}, trials=60, seed=seed))
    complete_poor_ones(proposer, lambda values: values["lr"])
    proposed = drive(proposer, lambda values, epoch: values["lr"] * epoch / 3, 50, epochs=3)
    assert {t.state.name for t in proposer.study.get_trials()} == {"COMPLETE", "PRUNED"}
    assert sorted(values["lr"] for values in proposed[30:])[5] > 0.8


@pytest.mark.parametrize("seed", range(3))
def test_fields_under_a_condition_are_learned_and_the_rest_is_not_asked_again(seed, context):
    """AdamW is one configuration; TPE would propose it again and again."""
    space = {
        "optimizer": Choice("sgd", "adamw"),
        "momentum": Float(0.0, 1.0, when={"optimizer": "sgd"}),
    }
    proposer = OptunaProposer(context(space, trials=60, seed=seed))
    complete_poor_ones(proposer, lambda values: values["momentum"] or 0.0)
    proposed = drive(proposer, lambda values, epoch: values["momentum"] or 0.0, 50, epochs=3)
    assert sorted(values["momentum"] for values in proposed[30:])[5] > 0.6


@pytest.mark.parametrize("seed", range(3))
def test_the_latest_epoch_that_enough_trials_reached_decides(seed, context):
    """A low rate is better after the first epoch, and a high one after the second."""
    proposer = OptunaProposer(context({"lr": Float(0.0, 1.0)}, trials=80, seed=seed))

    def value(values, epoch):
        return 1 - values["lr"] if epoch == 1 else values["lr"]

    drive(proposer, value, 30)
    early = drive(proposer, value, ENOUGH - 1, epochs=2)
    late = drive(proposer, value, 40, epochs=2)
    assert sorted(values["lr"] for values in early)[6] < 0.3
    assert sorted(values["lr"] for values in late[20:])[5] > 0.6


def test_a_trial_that_diverges_after_a_good_value_ranks_last(context):
    proposer = OptunaProposer(context({"lr": Float(0.0, 1.0)}, trials=80))
    rates = []
    for number in range(60):
        rate = proposer.propose()["lr"]
        rates.append(rate)
        proposer.report(number, 1, rate)
        proposer.finish(number, "fail" if rate > 0.6 else "pruned", None)
    assert sum(rate > 0.6 for rate in rates[30:]) < 15


def test_shorter_trials_count_with_their_final_value(context):
    """`epochs` may be a field: those of one epoch never reach the second."""
    proposer = OptunaProposer(context({"epochs": Choice(1, 2), "lr": Float(0.0, 1.0)}, trials=80))
    proposed = []
    for number in range(60):
        values = proposer.propose()
        found = values["lr"] if values["epochs"] == 1 else values["lr"] / 3
        for epoch in range(1, values["epochs"] + 1):
            proposer.report(number, epoch, found)
        proposer.finish(number, *(("pruned", None) if number < 9 else ("complete", found)))
        proposed.append(values)
    assert sum(values["epochs"] == 1 for values in proposed[30:]) > 20
    assert sorted(values["lr"] for values in proposed[30:])[10] > 0.75


def test_the_first_proposals_and_a_tenth_of_the_others_do_not_depend_on_the_values(context):
    def rates(value):
        proposer = OptunaProposer(context({"lr": Float(0.0, 1.0)}, trials=110))
        return [v["lr"] for v in drive(proposer, lambda v, epoch: value(v["lr"]), 110)]

    pairs = zip(rates(lambda rate: rate), rates(lambda rate: 1 - rate), strict=True)
    same = [one == other for one, other in pairs]
    assert all(same[:ENOUGH])
    assert 3 <= sum(same[ENOUGH:]) <= 20


def test_the_seed_decides_what_is_proposed_after_the_first_epochs(context):
    def proposed(seed):
        proposer = OptunaProposer(context({"lr": Float(0.0, 1.0)}, trials=60, seed=seed))
        return drive(proposer, lambda values, epoch: values["lr"], 20)

    assert proposed(0) == proposed(0) != proposed(1)
