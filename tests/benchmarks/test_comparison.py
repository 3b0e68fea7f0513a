"""Ratios and tables of benchmarks/compare.py."""

from rich.console import Console

from benchmarks.comparison import ratios_of, report


def run(seconds, **more):
    return {"seconds_per_trial": seconds, "epochs": 2.0, "best": 0.5, **more}


RUNS = {
    "by hand": [run(3.0, by_depth={0: 8.0, 6: 1.0}), run(5.0, by_depth={0: 8.0, 6: 3.0})],
    "peer": [run(20.0, epochs=1.0, by_depth={}), run(30.0, epochs=1.0, by_depth={})],
    "loop": [run(40.0)],
    "project": [
        run(2.0, by_depth={0: 4.0, 6: 2.0}, wait=7.0),
        run(2.0, by_depth={0: 4.0, 6: 2.0}, wait=9.0),
    ],
}


def test_ratios_are_the_peers_time_over_the_projects():
    assert ratios_of(RUNS) == {
        "": {"by hand": [1.5, 2.5], "peer": [10.0, 15.0], "loop": [20.0]},
        "by the epoch": {"by hand": [1.5, 2.5], "peer": [20.0, 30.0], "loop": [20.0]},
        "freeze_depth=6": {"by hand": [0.5, 1.5]},
        "freeze_depth=0": {"by hand": [2.0, 2.0]},
    }


def test_a_case_without_a_peer_has_no_ratios():
    assert ratios_of({"project": [{"seconds_per_trial": 1.0}], "peer": []}) == {}


def test_the_ratio_to_the_code_by_hand_comes_first():
    driver = {"case": "f", "runs": {"project": [{"seconds_per_trial": 1.0, "growth": 1.02}]}}
    found = [{"case": "c", "runs": RUNS, "ratios": ratios_of(RUNS)}, driver | {"ratios": {}}]
    console = Console(width=120, record=True)
    report(found, ["wait"], console)
    lines = [line.split() for line in console.export_text().splitlines()]
    assert lines[0][:7] == ["case", "×", "by", "hand", "×", "peer", "×"]
    assert ["c", "2.00", "12.50", "20.00", "4.000", "25.000", "40.000", "2.000"] in lines
    assert ["freeze_depth=6", "1.00", "-", "-"] in lines
    assert ["growth", "1.020"] in lines
    assert ["c", "8.000", "0.500", "0.500", "0.500", "0.500"] in lines
