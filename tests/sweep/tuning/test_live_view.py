import math
from io import StringIO
from types import SimpleNamespace

import pytest
from rich.console import Console

from sweep.results.leader import Leader
from sweep.results.schema import STATUSES
from sweep.terminal.loading import loading
from sweep.terminal.values import STATUS_STYLE, clock, describe, short
from sweep.tuning import live_view
from sweep.tuning.ledger import TrialRecord
from sweep.tuning.live_view import LiveView, live

START = 1_000.0
LONG = {
    "lr": 0.123456789, "batch_size": 128, "augmentation": "standard", "optimizer": "adamw",
    "backbone": "timm:mobilenetv3_small_100.lamb_in1k", "head_lr_ratio": 12.3456, "dropout": 0.2,
}  # fmt: skip


@pytest.fixture
def now(monkeypatch):
    """Sets the clock: now(60) is a minute after the start."""
    time = [START]
    monkeypatch.setattr(live_view, "time", SimpleNamespace(monotonic=lambda: time[0]))
    return lambda seconds: time.__setitem__(0, START + seconds)


def record(
    number, epoch, *, ended=False, status="running", accuracy=None, values=None, phase="search"
):
    result = {} if accuracy is None else {"val_accuracy": accuracy, "best_val_accuracy": accuracy}
    made = TrialRecord(number, values or {"lr": 0.1}, phase, epoch=epoch, status=status)
    made.result = result
    made.ended_at = object() if ended else None
    return made


def view(*records, trials=10, epochs=8, confirm=0, confirm_from=math.inf, **statuses):
    leader = Leader()
    for heard in records:
        leader.hear(heard)
    ledger = SimpleNamespace(
        records={r.number: r for r in records},
        statuses=statuses,
        confirm_from=confirm_from,
        epochs_reported=sum(r.epoch for r in records),
        leader=leader,
        disk=SimpleNamespace(problem=None),
    )
    return LiveView(ledger, title="ablation-1", trials=trials, epochs=epochs, confirm=confirm)


def lines(made):
    console = Console(width=80, file=StringIO())
    console.print(made)
    return console.file.getvalue().splitlines()


def test_time_left_by_hand(now):
    now(0)
    # Two ended after 6 and 2 epochs, so 4 each; one is at 1 epoch, one at 5; six wait.
    # To come: 6 · 4 + 3 + 0 = 27 epochs; 14 were done in 140 s, 10 s each.
    made = view(record(0, 6, ended=True), record(1, 2, ended=True), record(2, 1), record(3, 5))
    now(140)
    assert made.seconds_left() == pytest.approx(270)


def test_time_left_with_a_confirmation_by_hand(now):
    now(0)
    # One ended after 2 of 8 epochs and two more like it wait; three fresh runs of 8 follow.
    made = view(record(0, 2, ended=True), trials=3, confirm=3)
    now(20)
    assert made.seconds_left() == pytest.approx(10 * (2 * 2 + 3 * 8))
    # The search ended after two; of two fresh runs one is at 5 epochs.
    fresh = record(2, 5, phase="confirm")
    made = view(
        record(0, 2, ended=True), record(1, 2, ended=True), fresh, trials=3, confirm=3,
        confirm_from=2, stopped=2,
    )  # fmt: skip
    assert "2 of 6 trials, confirming the best" in " ".join(lines(made))
    made.begin_confirmation(4)
    now(90)
    assert made.seconds_left() == pytest.approx(70 / 9 * (3 + 8))
    assert "2 of 4 trials, confirming the best" in " ".join(lines(made))


def test_time_left_is_not_known_before_a_trial_has_ended(now):
    now(0)
    assert view(record(0, 3)).seconds_left() is None
    assert view().seconds_left() is None
    assert view(record(0, 0, ended=True, status="failed")).seconds_left() is None


def test_no_time_is_left_at_the_end(now):
    now(0)
    made = view(record(0, 4, ended=True), trials=1)
    now(10)
    assert made.seconds_left() == 0


def test_the_view_at_80_columns(now):
    now(0)
    made = view(
        record(
            0, 8, ended=True, status="completed", accuracy=0.9876, values={**LONG, "dropout": 0.3}
        ),
        record(1, 2, ended=True, status="out_of_memory"),
        record(2, 3, accuracy=0.5, values=LONG),
        record(3, 0, values=LONG),
        completed=1,
        out_of_memory=1,
    )
    now(65)
    shown = lines(made)
    assert max(map(len, shown)) <= 80
    head, bar, counts = shown[:3]
    assert head.startswith("ablation-1  1:05 elapsed · 12.0 epochs/min · ")
    assert head.endswith(" left")
    assert bar.endswith("2 of 10 trials")
    assert counts.split() == ["running", "2", "completed", "1", "out", "of", "memory", "1"]
    assert shown[3].startswith("best validation of 2 0.9876  lr=0.123 batch_size=128")
    rows = [line.split() for line in shown if line.lstrip()[:2] in ("2 ", "3 ")]
    assert [row[:4] for row in rows] == [
        ["2", "3/8", "0.5000", "lr=0.123"],
        ["3", "0/8", "–", "lr=0.123"],
    ]


def best_line(*records):
    return next(line for line in lines(view(*records)) if line.startswith("best"))


def of_seed(number, accuracy, rate, **fields):
    return record(
        number, 8, status="completed", accuracy=accuracy, values={"lr": rate, "seed": number},
        **fields,
    )  # fmt: skip


def test_the_best_is_a_mean_where_there_are_several_seeds(now):
    now(0)
    seeds = [
        of_seed(0, 0.9, 0.1),
        of_seed(1, 0.5, 0.1),
        of_seed(2, 0.8, 0.2),
        of_seed(3, 0.8, 0.2),
    ]
    assert best_line(*seeds) == "best validation of 2 0.8000 over 2 seeds  lr=0.2"


def test_the_best_by_fresh_seeds_is_no_best_of_all(now):
    now(0)
    fresh = [of_seed(2, 0.7, 0.1, phase="confirm"), of_seed(3, 0.6, 0.1, phase="confirm")]
    shown = best_line(of_seed(0, 0.9, 0.1), of_seed(1, 0.8, 0.2), *fresh)
    assert shown == "best by fresh seeds 0.6500 over 2  lr=0.1"


def test_the_view_before_anything_happened(now):
    now(0)
    text = "\n".join(lines(view()))
    assert "0 of 10 trials" in text
    assert "no epoch finished yet" in text


def test_a_trial_of_its_own_length(now):
    now(0)
    assert "1/3" in "\n".join(lines(view(record(0, 1, values={"epochs": 3, "lr": 0.1}))))


def test_many_running_trials_are_summed_up(now):
    now(0)
    shown = lines(view(*(record(n, 1, values=LONG) for n in range(40)), trials=100))
    assert max(map(len, shown)) <= 80
    assert len(shown) < 24  # a small terminal
    assert "… and 34 more" in "\n".join(shown)
    assert "running 40" in "\n".join(shown)


def test_every_status_has_a_style(now):
    now(0)
    assert set(STATUS_STYLE) == {*STATUSES, "running"}
    text = "\n".join(lines(view(**dict.fromkeys(STATUSES, 3), trials=100)))
    assert all(f"{status.replace('_', ' ')} 3" in " ".join(text.split()) for status in STATUSES)


def test_a_pipe_sees_nothing(now, page):
    now(0)
    with loading(page) as advance:
        assert advance is None
    with live(page, view(record(0, 1))):
        pass
    assert page.file.getvalue() == ""


def test_a_terminal_sees_the_view_and_what_is_loaded(now, terminal):
    now(0)
    with live(terminal, view(record(0, 1))):
        pass
    assert "ablation-1" in terminal.file.getvalue()
    with loading(terminal) as advance:
        advance("decode images", 50, 200)
        advance("decode images", 100, 200)
        advance("read images", 7, 70)
    text = terminal.file.getvalue()
    assert "decode images" in text
    assert "100/200" in text
    assert "7/70" in text


def test_clock():
    shown = {0: "0:00", 9.4: "0:09", 59.6: "1:00", 125: "2:05", 3599.7: "1:00:00", 3725: "1:02:05"}
    assert {seconds: clock(seconds) for seconds in shown} == shown
    assert clock(100 * 3600) == "100:00:00"


def test_values_in_short():
    cases = [
        (0.1, "0.1"), (0.123456, "0.123"), (1e-5, "1e-05"), (5000.0, "5000"),
        (True, "on"), (False, "off"), (64, "64"), ("sgd", "sgd"), (None, "–"),
        ((8, 16), "(8, 16)"),
    ]  # fmt: skip
    assert [short(value) for value, _ in cases] == [text for _, text in cases]


def test_a_trial_described():
    values = {"lr": 0.1, "momentum": None, "batch_norm": False, "seed": 0, "channels": (8, 16)}
    assert describe(values) == "lr=0.1 batch_norm=off seed=0 channels=(8, 16)"
    assert describe({}) == ""


def test_that_trials_wait_for_space_is_shown():
    shown = view()
    assert "no new trial" not in " ".join(lines(shown))
    shown.ledger.disk.problem = "12.0 MB are free on the disk of /data, 200.0 MB needed"
    assert "no new trial begins: 12.0 MB are free on the disk of /data" in " ".join(lines(shown))
