import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from search_spaces.checks import check_point
from search_spaces.domains import Choice, Float, Int
from sweep.searchers import EXHAUSTIVE, SEARCHERS, ListProposer, OptunaProposer, SearchContext
from sweep.tune_searcher import TuneSearcher
from tl_core.config import TrainConfig, config_from_dict
from tl_core.errors import BadInput

BASE = TrainConfig()
# Three rates, and per rate two momenta under SGD and none under AdamW: 3 · (2 + 1) = 9 points.
LEVELS = {
    "lr": Choice(0.1, 0.2, 0.4),
    "optimizer": Choice("sgd", "adamw"),
    "momentum": Choice(0.5, 0.9, when={"optimizer": "sgd"}),
}
POINTS = 9
RANGES = {
    "lr": Float(1e-4, 1e-1, log=True),
    "width": Int(1, 64, log=True),
    "channels": Choice((8, 16), (16, 32)),
    "batch_norm": Choice(True, False),
    "weights": Choice(None, "pretrained"),
    "freeze_depth": Int(0, "stages"),
}


def context(space=LEVELS, trials=5, seed=0, study=None, name="s1"):
    return SearchContext(
        space=space, base=BASE, limits=lambda name, known: 2, seed=seed, trials=trials,
        study=study, name=name,
    )  # fmt: skip


def drive(proposer, most=50):
    """Every proposal, each finished at once with a value that favours a high rate."""
    proposed = []
    for number in range(most):
        values = proposer.propose()
        if values is None:
            return proposed
        proposed.append(values)
        proposer.report(number, 1, values["lr"] / 2)
        proposer.finish(number, "complete", values["lr"])
    pytest.fail("the proposer does not end")


@pytest.mark.parametrize("name", SEARCHERS)
def test_contract_as_many_valid_configurations_as_asked_for(name):
    proposer = SEARCHERS[name](context(trials=5))
    proposed = drive(proposer)
    assert len(proposed) == 5
    for values in proposed:
        check_point(LEVELS, values, BASE)
        config_from_dict(values, BASE)
    assert proposer.propose() is None


@pytest.mark.parametrize("name", SEARCHERS)
def test_contract_the_seed_decides(name):
    first, again, other = (
        drive(SEARCHERS[name](context(trials=8, seed=seed))) for seed in (0, 0, 1)
    )
    assert first == again
    assert first != other


@pytest.mark.parametrize("name", sorted(set(SEARCHERS) - set(EXHAUSTIVE)))
def test_contract_ranges_conditions_and_limits(name):
    proposed = drive(SEARCHERS[name](context(RANGES, trials=20)))
    assert len(proposed) == 20
    for values in proposed:
        check_point(RANGES, values, BASE, lambda name, known: 2)
    for field in ("channels", "batch_norm", "weights", "freeze_depth"):
        assert len({values[field] for values in proposed}) > 1, field
    assert {values["channels"] for values in proposed} == {(8, 16), (16, 32)}


def test_a_grid_is_proposed_whole_and_once():
    proposed = drive(SEARCHERS["grid"](context(trials=None)))
    assert len({tuple(values.items()) for values in proposed}) == len(proposed) == POINTS
    with pytest.raises(BadInput, match="--trials 10: the grid has 9 points"):
        SEARCHERS["grid"](context(trials=10))


def test_a_random_search_repeats_nothing_and_ends_with_the_space():
    proposed = drive(SEARCHERS["random"](context(trials=40)))
    assert len({tuple(values.items()) for values in proposed}) == len(proposed) == POINTS


def test_a_list_is_proposed_in_order():
    proposer = ListProposer([{"lr": 0.2}, {"lr": 0.1}])
    assert [proposer.propose() for _ in range(4)] == [{"lr": 0.2}, {"lr": 0.1}, None, None]


def test_optuna_hears_every_epoch_and_every_end():
    proposer = OptunaProposer(context(trials=4))
    for _ in range(3):
        proposer.propose()
    proposer.report(1, 1, 0.2)
    proposer.report(0, 1, 0.5)
    proposer.report(0, 2, 0.75)
    proposer.report(0, 3, 0.7)
    proposer.report(2, 1, 0.1)
    proposer.report(2, 2, float("nan"))
    proposer.finish(1, "pruned", None)
    proposer.finish(0, "complete", 0.75)
    proposer.finish(2, "fail", None)
    told = proposer.study.get_trials()
    assert [trial.state for trial in told] == [
        TrialState.COMPLETE,
        TrialState.PRUNED,
        TrialState.FAIL,
    ]
    assert [trial.intermediate_values for trial in told] == [
        {1: 0.5, 2: 0.75, 3: 0.7},
        {1: 0.2},
        {1: 0.1},
    ]
    assert [trial.value for trial in told] == [0.75, 0.2, None]
    assert proposer.study.best_value == 0.75


def test_optuna_may_hear_that_a_trial_was_stopped_before_any_value():
    proposer = OptunaProposer(context())
    proposer.propose()
    proposer.report(0, 1, float("nan"))
    proposer.finish(0, "pruned", None)
    (told,) = proposer.study.get_trials()
    assert (told.state, told.value) == (TrialState.PRUNED, None)


def test_optuna_learns_from_what_it_hears():
    space = {"lr": Float(0.001, 0.4)}
    proposed = [values["lr"] for values in drive(OptunaProposer(context(space, trials=40)))]
    assert sum(proposed[20:]) / 20 > 0.3  # at random 0.2


def test_no_trial_is_left_running_when_the_sweep_ends_early():
    proposer = OptunaProposer(context(trials=4))
    searcher = TuneSearcher(proposer, [0, 1])
    for name in ("a", "b", "c"):
        searcher.suggest(name)
    last = {"epoch": 1, "val_accuracy": 0.5, "best_val_accuracy": 0.5, "status": "completed"}
    searcher.on_trial_complete("a", last)
    searcher.on_trial_complete("b", {**last, "best_val_accuracy": 0.7})
    searcher.hand_out_rest(8)
    searcher.close()
    told = proposer.study.get_trials()
    assert [trial.state for trial in told] == [TrialState.COMPLETE, TrialState.FAIL]
    assert told[0].value == pytest.approx(0.6)
    assert len(searcher.handed_out) == 4  # the other seed of the second configuration


def test_the_study_is_kept_in_a_file_that_optuna_reads(tmp_path):
    file = tmp_path / "runs" / "s1" / "study.log"
    proposer = OptunaProposer(context(RANGES, trials=3, study=file, name="my-sweep"))
    proposed = [proposer.propose() for _ in range(3)]
    proposer.report(0, 1, 0.25)
    proposer.finish(0, "complete", 0.25)
    proposer.finish(1, "fail", None)
    storage = JournalStorage(JournalFileBackend(str(file)))
    loaded = optuna.load_study(study_name="my-sweep", storage=storage)
    trials = loaded.get_trials()
    assert [trial.state.name for trial in trials] == ["COMPLETE", "FAIL", "RUNNING"]
    assert trials[0].intermediate_values == {1: 0.25}
    assert loaded.best_value == 0.25
    for trial, values in zip(trials, proposed, strict=True):
        assert trial.params["lr"] == values["lr"]
        assert trial.params["channels"] == str(values["channels"])
        assert trial.params["weights"] == values["weights"]
