from sweep.configurations.distinct import Distinct, by_settings
from tl_core.config import TrainConfig

BASE = TrainConfig(lr=0.1)


def test_a_configuration_is_new_once():
    distinct = Distinct(lambda values: values["lr"])
    assert distinct.add({"lr": 0.1, "strategy": "a"})
    assert not distinct.add({"lr": 0.1, "strategy": "b"})
    assert {"lr": 0.1} in distinct
    assert {"lr": 0.2} not in distinct


def test_by_settings_what_trains_the_same_is_the_same():
    identify = by_settings(BASE)
    same = [{}, {"lr": 0.1}, {"strategy": "a"}, {"device": "cpu"}, {"lr": 0.1, "threads": 2}]
    assert len({identify(values) for values in same}) == 1
    others = [
        {"lr": 0.2},
        {"dataset": "shapes"},
        {"data_dir": "elsewhere"},
        {"weights": "pretrained"},
        {"lr": -1.0},
        {"x": 1},
    ]
    assert len({identify(values) for values in (*same, *others)}) == 1 + len(others)
