"""Malformed inputs of every kind: refused or used, never a crash, and no code of theirs is run.

The cases are those of `benchmarks/malformed.py`, which runs thousands.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.hostile.kinds import KINDS, SHARES, Canary
from benchmarks.malformed import TimeLimit, outcome
from tests.properties import few


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "command lines"])
def test_a_malformed_file_is_refused_or_used(kind, tmp_path):
    canary, case = Canary(tmp_path), KINDS[kind](tmp_path)
    assert canary.works()

    @few
    @given(st.randoms(use_true_random=False))
    def check(rng):
        assert case(rng) in ("refused", "accepted")
        assert not canary.sang()

    check()


def test_a_random_command_line_is_refused_or_planned(tmp_path):
    canary, case = Canary(tmp_path), KINDS["command lines"](tmp_path)

    @few
    @given(st.randoms(use_true_random=True))
    def check(rng):
        assert case(rng) in ("refused", "accepted")
        assert not canary.sang()

    check()


def test_what_the_benchmark_counts():
    def hangs(rng):
        while True:
            pass

    def crashes(rng):
        raise TypeError("x")

    assert outcome(lambda rng: "refused", None, 5) == ("refused", "")
    assert outcome(hangs, None, 0.05)[0] == "hangs"
    what, lines = outcome(crashes, None, 5)
    assert (what, "TypeError: x" in lines) == ("crashes", True)
    assert issubclass(TimeLimit, BaseException)
    assert sum(SHARES.values()) == pytest.approx(1)
