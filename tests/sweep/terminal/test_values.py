"""How numbers are shown."""

import math

from sweep.terminal.values import accuracy, count, counted, points


def test_numbers_in_short():
    shown = {0: "0", 999: "999", 1234: "1.2k", 11_181_642: "11.2M", 2.5e9: "2.5G", 56.7: "56"}
    assert {number: count(number) for number in shown} == shown
    assert count(math.nan) == "–"


def test_one_is_no_plural():
    assert [counted(number, "seed") for number in (0, 1, 2)] == ["0 seeds", "1 seed", "2 seeds"]


def test_an_accuracy_has_its_deviation_where_there_is_one():
    assert accuracy(0.91234, 0.0071) == "0.9123 ± 0.0071"
    assert accuracy(0.91234, math.nan) == accuracy(0.91234) == "0.9123"
    assert accuracy(math.nan, 0.1) == accuracy(None) == "–"


def test_points_have_a_sign_and_no_negative_zero():
    assert [points(0.012), points(-0.2), points(-1e-12)] == ["+1.20", "−20.00", "+0.00"]
