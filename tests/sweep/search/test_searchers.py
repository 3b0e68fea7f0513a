import errno
import re

import optuna
import pytest
from optuna.distributions import IntDistribution
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from search_spaces.domains import Choice, Float, Int, Points
from sweep.configurations.distinct import Distinct, by_settings
from sweep.search.searchers import SEARCHERS, ListProposer, is_exhaustive
from sweep.search.tpe.optuna_proposer import OptunaProposer
from sweep.search.tune_searcher import TuneSearcher
from tl_core.config import TrainConfig, config_from_dict

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


def drive(proposer, most=50):
    """Every proposal, each finished at once with a value that favours a high rate."""
    proposed = []
    for number in range(most + 1):
        values = proposer.propose()
        if values is None:
            return proposed
        proposed.append(values)
        rate = values.get("lr", 0.5)
        proposer.report(number, 1, rate / 2)
        proposer.finish(number, "complete", rate)
    pytest.fail("the proposer does not end")


@pytest.mark.parametrize("name", SEARCHERS)
def test_contract_as_many_valid_configurations_as_asked_for(name, check_point, context):
    proposer = SEARCHERS[name].build(context(LEVELS, trials=5))
    proposed = drive(proposer)
    assert len(proposed) == 5
    for values in proposed:
        check_point(LEVELS, values, BASE)
        config_from_dict(values, BASE)
    assert proposer.propose() is None


@pytest.mark.parametrize("name", SEARCHERS)
def test_contract_the_seed_decides(name, context):
    first, again, other = (
        drive(SEARCHERS[name].build(context(LEVELS, trials=8, seed=seed))) for seed in (0, 0, 1)
    )
    assert first == again
    assert first != other


@pytest.mark.parametrize("name", [n for n in SEARCHERS if not is_exhaustive(n)])
def test_contract_ranges_conditions_and_limits(name, check_point, context):
    proposed = drive(SEARCHERS[name].build(context(RANGES, trials=20)))
    assert len(proposed) == 20
    for values in proposed:
        check_point(RANGES, values, BASE, lambda name, known: 2)
    for field in ("channels", "batch_norm", "weights", "freeze_depth"):
        assert len({values[field] for values in proposed}) > 1, field
    assert {values["channels"] for values in proposed} == {(8, 16), (16, 32)}


@pytest.mark.parametrize("name", SEARCHERS)
def test_contract_no_configuration_twice_and_a_space_that_is_used_up(name, context):
    said = []
    trials = None if is_exhaustive(name) else 40
    proposer = SEARCHERS[name].build(context(LEVELS, trials=trials, say=said.append))
    proposed = drive(proposer)
    assert len({tuple(values.items()) for values in proposed}) == len(proposed) == POINTS
    assert proposer.propose() is None
    assert [POINTS] * len(said) == [int(*re.findall(r"its (\d+) different", s)) for s in said]
    assert len(said) == (not is_exhaustive(name))


ALIKE = {
    "a label": (
        {"strategy": Points(a={"lr": 0.7}, b={"lr": 0.7}, c={}), "dropout": Choice(0.0, 0.2)}, 4,
    ),
    "a level twice": ({"lr": Choice(0.1, 0.1, 0.2), "dropout": Choice(0.0, 0.2)}, 4),
    "a whole number as a real one": ({"width": Choice(8, 16, 8), "lr": Choice(1, 1.0)}, 2),
}  # fmt: skip


@pytest.mark.parametrize("case", ALIKE)
@pytest.mark.parametrize("name", SEARCHERS)
def test_contract_proposals_that_train_the_same_are_one(name, case, context):
    space, different = ALIKE[case]
    said = []
    trials = None if is_exhaustive(name) else 20
    proposer = SEARCHERS[name].build(context(space, trials, say=said.append))
    proposed = []
    while (values := proposer.propose()) is not None:
        proposer.finish(len(proposed), "pruned", None)
        proposed.append(by_settings(BASE)(values))
    assert len(proposed) == len(set(proposed)) == different
    assert len(said) == 1


@pytest.mark.parametrize("name", SEARCHERS)
def test_contract_the_sweep_says_what_is_the_same(name, context):
    """Two paths of one file, and a configuration that the sweep has had."""
    space = {"weights": Choice("a.pth", "./a.pth", "b.pth"), "lr": Choice(0.1, 0.2)}
    distinct = Distinct(lambda values: (values["weights"][-5], values["lr"]))
    assert distinct.add({"weights": "b.pth", "lr": 0.1})
    trials = None if is_exhaustive(name) else 6
    said = []
    proposer = SEARCHERS[name].build(context(space, trials, distinct=distinct, say=said.append))
    proposed = drive(proposer)
    assert {(values["weights"][-5], values["lr"]) for values in proposed} == {
        ("a", 0.1), ("a", 0.2), ("b", 0.2),
    }  # fmt: skip
    assert len(proposed) == 3
    assert len(said) == 1


def test_a_random_search_of_a_long_range_ends_with_it(context):
    assert len(drive(SEARCHERS["random"].build(context({"width": Int(1, 70)}, 90)), 90)) == 70


@pytest.mark.parametrize("name", [n for n in SEARCHERS if not is_exhaustive(n)])
def test_contract_a_range_that_is_rarely_active_is_not_used_up(name, context):
    rates = Choice(*(step / 1000 for step in range(1, 101)))
    space = {"lr": rates, "clip_norm": Float(0.1, 1.0, when={"lr": 0.05})}
    said = []
    search = SEARCHERS[name].build(context(space, trials=130, say=said.append))
    found = list(iter(search.propose, None))
    assert (len(found), said) == (130, [])


def test_a_grid_is_proposed_whole_and_once(context):
    proposed = drive(SEARCHERS["grid"].build(context(LEVELS, trials=None)))
    assert len({tuple(values.items()) for values in proposed}) == len(proposed) == POINTS


def test_a_grid_is_in_order_where_repeats_are_left_out_and_a_part_is_drawn(context):
    rates = tuple(range(1, 13))
    for trials, in_order in ((10, True), (9, False)):
        distinct = Distinct(lambda values: min(values["lr"], 10))  # ten of the twelve
        grid = SEARCHERS["grid"].build(context({"lr": Choice(*rates)}, trials, distinct=distinct))
        found = [values["lr"] for values in iter(grid.propose, None)]
        assert len(found) == trials
        assert (found == sorted(found)) == in_order


def test_a_list_is_proposed_in_order():
    proposer = ListProposer([{"lr": 0.2}, {"lr": 0.1}])
    assert [proposer.propose() for _ in range(4)] == [{"lr": 0.2}, {"lr": 0.1}, None, None]


def test_optuna_hears_every_epoch_and_every_end(context):
    proposer = OptunaProposer(context(LEVELS, trials=4))
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


def test_optuna_may_hear_that_a_trial_was_stopped_before_any_value(context):
    proposer = OptunaProposer(context(LEVELS))
    proposer.propose()
    proposer.report(0, 1, float("nan"))
    proposer.finish(0, "pruned", None)
    (told,) = proposer.study.get_trials()
    assert (told.state, told.value) == (TrialState.PRUNED, None)


def test_optuna_learns_from_what_it_hears(context):
    space = {"lr": Float(0.001, 0.4)}
    proposed = [values["lr"] for values in drive(OptunaProposer(context(space, trials=40)))]
    assert sum(proposed[20:]) / 20 > 0.3  # at random 0.2


def test_no_trial_is_left_running_when_the_sweep_ends_early(context):
    proposer = OptunaProposer(context(LEVELS, trials=4))
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


def test_the_study_is_kept_in_a_file_that_optuna_reads(tmp_path, context):
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


def test_the_study_holds_what_was_trained_and_nothing_else(context):
    proposer = OptunaProposer(context(LEVELS, trials=POINTS))
    proposed = drive(proposer)
    told = proposer.study.get_trials()
    assert {trial.state for trial in told} == {TrialState.COMPLETE}
    assert [trial.user_attrs["values"] for trial in told] == proposed
    assert len(told) == POINTS
    for trial in told:
        params = dict(trial.params, lr=LEVELS["lr"].values[trial.params["lr"]])
        assert params == {k: v for k, v in trial.user_attrs["values"].items() if v is not None}
        assert trial.value == trial.user_attrs["values"]["lr"]
    assert not any("without_result" in trial.user_attrs for trial in told)


def test_a_proposal_that_still_trains_is_not_repeated(context):
    proposer = OptunaProposer(context(LEVELS, trials=POINTS))
    proposed = [proposer.propose() for _ in range(POINTS)]
    assert len({tuple(values.items()) for values in proposed}) == POINTS
    running = [t for t in proposer.study.get_trials() if t.state == TrialState.RUNNING]
    assert len(running) == POINTS


def test_optuna_gets_numbers_in_their_order(context):
    space = {
        "lr": Choice(0.4, 0.1, 0.2),
        "batch_size": Choice(256, 64, 128),
        "dropout": Choice(0.0, 0.2),
        "clip_norm": Choice(None, 1.0, 5.0),
        "batch_norm": Choice(True, False),
        "channels": Choice((8,), (16,), (32,)),
    }
    proposer = OptunaProposer(context(space, trials=20))
    proposed = [proposer.propose() for _ in range(20)]
    trials = [t for t in proposer.study.get_trials() if t.state == TrialState.RUNNING]
    for trial, values in zip(trials, proposed, strict=True):
        ranks = {n for n, d in trial.distributions.items() if isinstance(d, IntDistribution)}
        assert ranks == {"lr", "batch_size"}
        for name in ranks:
            assert sorted(space[name].values)[trial.params[name]] == values[name]
            assert trial.user_attrs["values"][name] == values[name]
        assert trial.params["clip_norm"] == values["clip_norm"]


def test_a_full_disk_does_not_end_the_search(tmp_path, monkeypatch, context):
    file = tmp_path / "study.log"
    said = []
    proposer = OptunaProposer(context(LEVELS, trials=8, study=file, name="full", say=said.append))
    for _ in range(3):
        proposer.propose()
    proposer.finish(0, "complete", 0.4)
    whole = file.read_bytes()

    def full(self, logs):
        with file.open("ab") as torn:
            torn.write(b'{"op_code"')
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(JournalFileBackend, "append_logs", full)
    proposer.report(1, 1, 0.3)
    proposer.finish(1, "complete", 0.3)
    rest = [proposer.propose() for _ in range(5)]
    assert None not in rest
    assert len(said) == 1
    assert "study.log is written no further (No space left on device)" in said[0]
    assert file.read_bytes() == whole  # no half line, which Optuna could not read
    assert proposer.study.best_value == 0.4
    assert proposer.study.get_trials()[1].state == TrialState.COMPLETE
    monkeypatch.undo()
    storage = JournalStorage(JournalFileBackend(str(file)))
    assert len(optuna.load_study(study_name="full", storage=storage).get_trials()) == 3
