"""TPE hears of trials without a result."""

from search_spaces.domains import Float
from sweep.searchers import OptunaProposer, SearchContext
from tl_core.config import TrainConfig


def context(space, trials=5, seed=0):
    return SearchContext(
        space=space, base=TrainConfig(), limits=lambda name, known: 2, seed=seed, trials=trials,
        study=None, name="s1",
    )  # fmt: skip


def test_a_trial_without_a_result_ranks_last():
    proposer = OptunaProposer(context({"lr": Float(1e-4, 1e-1, log=True)}))
    for _ in range(4):
        proposer.propose()
    proposer.finish(0, "fail", None)
    proposer.finish(1, "pruned", None)
    proposer.finish(2, "complete", 0.5)
    proposer.finish(3, "complete", float("nan"))
    told = proposer.study.get_trials()
    violated = [sum(trial.constraints.values()) > 0 for trial in told]
    assert violated == [True, False, False, True]
    assert [trial.state.name for trial in told] == ["FAIL", "PRUNED", "COMPLETE", "FAIL"]


def test_optuna_leaves_where_trials_diverge():
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


def test_while_all_fail_the_search_goes_on_at_random():
    proposer = OptunaProposer(context({"lr": Float(0.0, 1.0)}, trials=40))
    for number in range(40):
        rate = proposer.propose()["lr"]
        proposer.finish(number, "fail", None)
        if number > 20:
            assert 0 <= rate <= 1
    rates = [trial.params["lr"] for trial in proposer.study.get_trials()[20:]]
    assert max(rates) - min(rates) > 0.8
