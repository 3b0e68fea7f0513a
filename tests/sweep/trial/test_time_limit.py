"""Trials that take longer than they may, in the process that trains them."""

import time
from collections import Counter

import pytest

from sweep.trial import time_limit as module
from sweep.trial.reports import Order
from sweep.trial.time_limit import OverTime, TimeLimit, duration
from sweep.trial.training import Training
from tl_core.train.optim import SCHEDULES


def hang():
    while True:
        time.sleep(0.01)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(module, "LOOK_SECONDS", 0.001)


def test_work_that_takes_too_long_ends_and_says_where_it_was():
    with pytest.raises(OverTime) as caught:
        TimeLimit().during(hang, 0.05)
    assert "in hang\n" in caught.value.stack


def test_work_in_time_is_let_be():
    limit = TimeLimit()
    assert limit.during(lambda: 7, None) == 7
    assert limit.thread is None
    assert limit.during(lambda: 7, 100) == 7
    time.sleep(0.05)


def test_no_other_work_is_ended():
    """Runs end at about the time at which they are over time."""
    limit, ends = TimeLimit(), Counter()
    for number in range(300):
        try:
            limit.during(lambda number=number: time.sleep(number % 30 / 10_000), 0.0015)
            ends["done"] += 1
        except OverTime:
            ends["over"] += 1
        limit.during(lambda: [None for _ in range(100)], 100)
    assert min(ends["done"], ends["over"]) > 10


@pytest.fixture
def hanging(monkeypatch):
    """The schedule `hangs` does so in the second epoch."""

    def schedule(progress, config):
        if progress >= 1:
            hang()
        return 1.0

    monkeypatch.setitem(SCHEDULES, "hangs", schedule)


def test_a_trial_that_hangs_is_timed_out_and_the_next_is_trained(job, hanging, train_alone):
    training = Training(job())
    first = training.train([Order(0, {"schedule": "hangs"}, 0, 1)], grouped=False).reports[0]
    assert [report["status"] for report in first] == ["running"]
    order = Order(0, {"schedule": "hangs"}, 1, timeout=1800.0, left=0.3)
    (last,) = training.train([order], grouped=False).reports[0]
    assert (last["status"], last["done"]) == ("timed_out", True)
    assert last["error"] == "--trial-timeout 30m: the trial took longer; 1 epoch had ended"
    assert "in hang\n" in last["traceback"]
    assert not training.lone
    assert train_alone(training, 1, {})[-1]["status"] == "completed"


def test_of_a_group_that_hangs_none_is_blamed(heads, hanging):
    training = Training(heads(schedule="hangs"))
    orders = [Order(number, {"lr": 0.01 * number}, timeout=1.0, left=0.5) for number in (1, 2)]
    outcome = training.train(orders, grouped=True)
    assert (outcome.alone, outcome.reports) == ([1, 2], {})


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (SystemExit(2), "SystemExit: 2"),
        (KeyboardInterrupt(), "KeyboardInterrupt"),
        (GeneratorExit("odd"), "GeneratorExit: odd"),
    ],
)
def test_what_would_end_the_process_fails_the_trial(job, train_alone, monkeypatch, error, line):
    def schedule(progress, config):
        raise error

    monkeypatch.setitem(SCHEDULES, "leaves", schedule)
    training = Training(job())
    (last,) = train_alone(training, 0, {"schedule": "leaves"})
    assert (last["status"], last["error"]) == ("failed", line)
    assert "in schedule\n" in last["traceback"]
    assert last["traceback"].splitlines()[-1] == line
    assert train_alone(training, 1, {})[-1]["status"] == "completed"


def test_a_time_is_written_as_the_option_takes_it():
    assert list(map(duration, (90, 60, 1800, 7200, 0.5))) == [
        "90s", "1m", "30m", "2h", "0.5s",
    ]  # fmt: skip
