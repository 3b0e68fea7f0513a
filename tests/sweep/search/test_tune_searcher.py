import math
import pickle

import pytest
from ray.tune.search import Searcher

from sweep.faults import Faults
from sweep.search.scratch_runs import Supply, WithScratchRuns
from sweep.search.searchers import ListProposer
from sweep.search.tune_searcher import TuneSearcher, end_of


class Heard:
    """A proposer of endless rates that writes down what it is told."""

    planned = False

    def __init__(self, most=100):
        self.most = most
        self.proposed = 0
        self.reports = []
        self.ends = []

    def propose(self):
        if self.proposed == self.most:
            return None
        self.proposed += 1
        return {"lr": self.proposed / 10}

    def report(self, number, epoch, value):
        self.reports.append((number, epoch, value))

    def finish(self, number, verdict, value):
        self.ends.append((number, verdict, value))


def epoch(number, accuracy, status="running", best=None):
    best = accuracy if best is None else best
    return {
        "epoch": number, "val_accuracy": accuracy, "best_val_accuracy": best, "status": status,
    }  # fmt: skip


@pytest.fixture
def heard():
    return Heard()


def test_trials_are_numbered_and_every_seed_has_its_own(heard):
    searcher = TuneSearcher(heard, [3, 4])
    handed = [searcher.suggest(name) for name in "abc"]
    assert handed == [
        {"number": 0, "configuration": 0, "values": {"lr": 0.1, "seed": 3}},
        {"number": 1, "configuration": 0, "values": {"lr": 0.1, "seed": 4}},
        {"number": 2, "configuration": 1, "values": {"lr": 0.2, "seed": 3}},
    ]
    assert searcher.handed_out == [trial["values"] for trial in handed]


def test_the_search_ends_with_the_proposer():
    searcher = TuneSearcher(Heard(most=1), [0, 1])
    assert searcher.suggest("a")["number"] == 0
    assert searcher.suggest("b")["number"] == 1
    assert searcher.suggest("c") == Searcher.FINISHED
    assert searcher.suggest("d") == Searcher.FINISHED
    assert len(searcher.handed_out) == 2


def test_the_mean_over_seeds_is_reported_when_all_have_it(heard):
    searcher = TuneSearcher(heard, [0, 1])
    for name in "abcd":
        searcher.suggest(name)
    searcher.on_trial_result("a", epoch(1, 0.25))
    searcher.on_trial_result("a", epoch(2, 0.5))
    searcher.on_trial_result("c", epoch(1, 0.9))
    assert heard.reports == []
    searcher.on_trial_result("b", epoch(1, 0.75))
    assert heard.reports == [(0, 1, 0.5)]
    searcher.on_trial_complete("b", epoch(2, 1.0, "completed"))
    assert heard.reports == [(0, 1, 0.5), (0, 2, 0.75)]
    assert heard.ends == []
    searcher.on_trial_complete("a", epoch(3, 0.4, "completed", best=0.5))
    assert heard.ends == [(0, "complete", 0.75)]


ENDS = {
    "completed": (epoch(2, 0.5, "completed", best=0.75), False, "complete", 0.75),
    "stopped by the scheduler": (epoch(2, 0.5), False, "pruned", None),
    "diverged": (epoch(2, math.nan, "diverged", best=0.5), False, "fail", None),
    "failed": (epoch(0, math.nan, "failed"), False, "fail", None),
    "out of memory": (epoch(0, math.nan, "out_of_memory"), False, "fail", None),
    "crashed": (epoch(2, 0.5), True, "fail", None),
    "crashed without a result": (None, True, "fail", None),
    "never started": (None, False, "fail", None),
}


@pytest.mark.parametrize("case", ENDS)
def test_what_the_proposer_hears_of_each_end(heard, case):
    result, error, verdict, value = ENDS[case]
    assert end_of(result, error) == verdict
    searcher = TuneSearcher(heard, [0])
    searcher.suggest("a")
    searcher.on_trial_result("a", epoch(1, 0.25))
    searcher.on_trial_complete("a", result, error)
    assert heard.ends == [(0, verdict, value)]
    last = [(0, 2, 0.5)] if verdict in ("complete", "pruned") else []
    assert heard.reports == [(0, 1, 0.25), *last]
    searcher.close()
    assert len(heard.ends) == 1


@pytest.mark.parametrize(
    ("results", "verdict", "value"),
    [
        (["completed", "completed"], "complete", 0.5),
        (["completed", "running"], "pruned", None),
        (["running", "diverged"], "fail", None),
        (["failed", "completed"], "fail", None),
    ],
)
def test_the_worst_seed_decides_the_verdict(heard, results, verdict, value):
    searcher = TuneSearcher(heard, [0, 1])
    for name in "ab":
        searcher.suggest(name)
    searcher.on_trial_complete("a", epoch(1, 0.25, results[0]))
    searcher.on_trial_complete("b", epoch(1, 0.75, results[1]))
    assert heard.ends == [(0, verdict, value)]


def test_at_the_end_unfinished_configurations_have_failed(heard):
    searcher = TuneSearcher(heard, [0, 1])
    for name in "abcde":
        searcher.suggest(name)
    searcher.on_trial_complete("a", epoch(1, 0.5, "completed"))
    searcher.on_trial_complete("b", epoch(1, 0.5, "completed"))
    searcher.on_trial_complete("c", epoch(1, 0.5, "completed"))  # d runs, e's other seed waits
    searcher.close()
    assert heard.ends == [(0, "complete", 0.5), (1, "fail", None), (2, "fail", None)]


def test_a_list_hands_out_its_rest_and_a_learner_does_not(heard):
    points = [{"lr": 0.1}, {"lr": 0.2}]
    listed = TuneSearcher(ListProposer(points), [0, 1])
    listed.suggest("a")
    listed.hand_out_rest(4)
    assert listed.handed_out == [{"lr": lr, "seed": seed} for lr in (0.1, 0.2) for seed in (0, 1)]
    short = TuneSearcher(ListProposer(points), [0])
    short.hand_out_rest(5)
    assert len(short.handed_out) == 2
    learning = TuneSearcher(heard, [0])
    learning.suggest("a")
    learning.hand_out_rest(4)
    assert (len(learning.handed_out), heard.proposed) == (1, 1)


def test_the_seeds_left_of_a_configuration_are_handed_out_at_the_end(heard):
    searcher = TuneSearcher(heard, [0, 1, 2])
    for name in "abcd":
        searcher.suggest(name)
    searcher.hand_out_rest(30)
    assert searcher.handed_out == [{"lr": lr, "seed": s} for lr in (0.1, 0.2) for s in range(3)]
    assert heard.proposed == 2


@pytest.mark.parametrize(("before", "handed_out"), [(0, 0), (1, 2), (2, 2), (3, 4)])
def test_no_learner_is_asked_for_a_trial_that_nobody_will_run(heard, before, handed_out):
    """Scratch runs that are due are handed out, as many as the search's own configurations."""
    values = [{"strategy": "scratch", "lr": n} for n in range(9)]
    supply = Supply(lambda limit: iter(values), {None: 9})
    proposer = WithScratchRuns(heard, supply, lambda values: ("full", None), ["full"])
    searcher = TuneSearcher(proposer, [0])
    for number in range(before):
        searcher.suggest(str(number))
    proposed = heard.proposed
    searcher.hand_out_rest(10)
    assert len(searcher.handed_out) == handed_out
    assert heard.proposed == proposed


class Broken(Heard):
    """Raises whenever it is told something, and after two proposals."""

    def propose(self):
        if self.proposed == 2:
            raise RuntimeError("no more")
        return super().propose()

    def report(self, number, epoch, value):
        raise OSError("disk full")

    def finish(self, number, verdict, value):
        raise OSError("disk full")


def test_an_error_of_the_proposer_costs_no_trial_and_is_said_once():
    faults = Faults()
    searcher = TuneSearcher(Broken(), [0], faults)
    for name in "ab":
        assert searcher.suggest(name) != Searcher.FINISHED
    for name in "ab":
        searcher.on_trial_result(name, epoch(1, 0.5))
        searcher.on_trial_complete(name, epoch(2, 0.5, "completed"))
    assert searcher.suggest("c") == searcher.suggest("d") == Searcher.FINISHED
    searcher.close()
    assert len(searcher.handed_out) == 2
    assert faults.lines == [
        "Error while searching: OSError: disk full",
        "Error while searching: RuntimeError: no more",
    ]


def test_tune_can_pickle_it_whatever_the_proposer_holds(heard):
    heard.file = open(__file__)  # noqa: SIM115 - stands for what cannot be pickled
    try:
        assert pickle.loads(pickle.dumps(TuneSearcher(heard, [0]))) is not None
    finally:
        heard.file.close()


def test_seeds_of_a_stopped_configuration_are_numbered_and_not_trained(heard):
    told = []
    searcher = TuneSearcher(
        heard, [0, 1, 2], stop_unstarted=lambda number, values: told.append((number, values))
    )
    searcher.suggest("a")
    searcher.on_trial_complete("a", epoch(1, 0.25))
    assert told == [(1, {"lr": 0.1, "seed": 1}), (2, {"lr": 0.1, "seed": 2})]
    assert heard.reports == [(0, 1, 0.25)]
    assert heard.ends == [(0, "pruned", None)]
    following = {"number": 3, "configuration": 1, "values": {"lr": 0.2, "seed": 0}}
    assert searcher.suggest("b") == following
    assert [values["seed"] for values in searcher.handed_out] == [0, 1, 2, 0]


def test_a_stopped_configuration_reports_the_epochs_that_all_its_trained_seeds_have(heard):
    searcher = TuneSearcher(heard, [0, 1, 2])
    for name in "ab":
        searcher.suggest(name)
    searcher.on_trial_result("a", epoch(1, 0.25))
    searcher.on_trial_result("a", epoch(2, 0.5))
    searcher.on_trial_result("b", epoch(1, 0.75))
    assert heard.reports == []
    searcher.on_trial_complete("a", epoch(3, 0.9))
    searcher.on_trial_complete("b", epoch(2, 1.0))
    assert heard.reports == [(0, 1, 0.5), (0, 2, 0.75)]
    assert heard.ends == [(0, "pruned", None)]


def test_an_epoch_that_all_seeds_reported_is_not_reported_again_at_the_stop(heard):
    searcher = TuneSearcher(heard, [0, 1])
    for name in "ab":
        searcher.suggest(name)
    searcher.on_trial_result("a", epoch(1, 0.25))
    searcher.on_trial_complete("b", epoch(1, 0.75))
    searcher.on_trial_complete("a", epoch(2, 0.9))
    assert heard.reports == [(0, 1, 0.5)]


def test_a_failed_seed_leaves_the_others_to_be_trained(heard):
    searcher = TuneSearcher(heard, [0, 1])
    searcher.suggest("a")
    searcher.on_trial_complete("a", epoch(1, math.nan, "diverged"))
    assert searcher.suggest("b")["values"] == {"lr": 0.1, "seed": 1}
    searcher.on_trial_complete("b", epoch(1, 0.5))
    assert heard.ends == [(0, "fail", None)]


def test_a_value_that_is_no_number_enters_no_mean(heard):
    searcher = TuneSearcher(heard, [0, 1])
    for name in "ab":
        searcher.suggest(name)
    searcher.on_trial_result("a", epoch(1, math.nan))
    searcher.on_trial_result("b", epoch(1, 0.5))
    assert heard.reports == []
