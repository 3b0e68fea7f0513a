"""The baseline from scratch: which configurations it has, and who hears of it."""

import pytest

from search_spaces.domains import Choice, Float, Int, Points
from sweep.baseline import AfterBaseline, baseline
from sweep.searchers import ListProposer
from tl_core.config import FROM_SCRATCH, TrainConfig, config_from_dict

BASE = TrainConfig(weights="pretrained", lr=0.01, freeze_depth=2, head_lr_ratio=10.0, l2_sp=0.1)


def of(free, own=None, base=BASE):
    return baseline(free, base, own or {}, lambda name, values: 4)


def test_it_is_the_base_without_anything_of_a_source():
    (values,) = of({"lr": Float(0.001, 0.1), "freeze_depth": Int(0, "stages")})
    config = config_from_dict(values, BASE)
    assert {name: getattr(config, name) for name in FROM_SCRATCH} == FROM_SCRATCH
    assert (config.lr, config.strategy) == (0.01, "scratch")


def test_the_file_may_set_what_suits_it():
    (values,) = of({"lr": Choice(0.01, 0.1)}, {"lr": 0.1, "epochs": 3})
    assert (values["lr"], values["epochs"]) == (0.1, 3)


def test_there_is_one_for_each_backbone_and_size():
    free = {
        "limit_train": Choice(100, None),
        "backbone": Choice("plain", "residual"),
        "lr": Choice(0.3, 0.4),
        "momentum": Float(0.5, 0.9, when={"optimizer": "sgd"}),
    }
    found = of(free)
    assert [(v["limit_train"], v["backbone"]) for v in found] == [
        (100, "plain"), (100, "residual"), (None, "plain"), (None, "residual"),
    ]  # fmt: skip
    assert {(v["lr"], v["momentum"]) for v in found} == {(0.3, 0.9)}


def test_a_space_that_has_its_own_gets_no_other():
    assert of({"weights": Choice(None, "pretrained")}) == []
    assert of({"strategy": Points(full={}, scratch={"weights": None})}) == []
    assert len(of({"strategy": Points(full={}, probe={"freeze_depth": "stages"})})) == 1


class Learner(ListProposer):
    """Writes down what it hears."""

    planned = False

    def __init__(self):
        super().__init__([{"lr": 1.0}, {"lr": 2.0}])
        self.heard = []

    def report(self, number, epoch, value):
        self.heard.append(("report", number, value))

    def finish(self, number, verdict, value):
        self.heard.append(("finish", number, value))


def test_the_searcher_does_not_hear_of_it():
    inner = Learner()
    proposer = AfterBaseline([{"lr": 9.0}], inner)
    assert proposer.planned
    assert proposer.propose() == {"lr": 9.0}
    assert not proposer.planned  # the next is the learner's, which has not been asked
    assert [proposer.propose() for _ in range(3)] == [{"lr": 1.0}, {"lr": 2.0}, None]
    for number in range(3):
        proposer.report(number, 1, 0.1 * number)
        proposer.finish(number, "complete", 0.1 * number)
    assert inner.heard == [
        ("report", 0, 0.1), ("finish", 0, 0.1),
        ("report", 1, pytest.approx(0.2)), ("finish", 1, pytest.approx(0.2)),
    ]  # fmt: skip
