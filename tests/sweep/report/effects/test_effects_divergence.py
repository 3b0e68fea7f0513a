import itertools

import numpy as np
import pandas as pd
import pytest

from sweep.report.effects import effects
from sweep.report.effects.divergence import rate
from sweep.report.mattered.effects_words import sentences

VALUES = {"lr": (0.1, 0.2, 0.4), "norm": (True, False), "drop": (0.0, 0.2), "width": (8, 16, 32)}
BASE = {"lr": 0.1, "norm": True, "drop": 0.0, "width": 8}


def trials(seeds=3, scatter=0.01):
    rng = np.random.default_rng(0)
    points = itertools.product(*VALUES.values(), range(seeds))
    frame = pd.DataFrame(list(points), columns=[*VALUES, "seed"]).assign(status="completed")
    return frame.assign(best_val_accuracy=0.8 + rng.normal(0, scatter, len(frame)))


def one_at_a_time():
    frame = trials()
    away = (frame[list(BASE)] != pd.Series(BASE)).sum(axis=1)
    return frame[away <= 1].reset_index(drop=True)


def by_level(found):
    return found.table.set_index(["factor", "level"])


def test_one_at_a_time_a_level_that_diverged_has_a_rate_and_a_mean_but_no_interval():
    frame = one_at_a_time()
    frame.loc[frame["norm"].eq(False) & frame["seed"].eq(0), "status"] = "diverged"
    table = by_level(effects(frame, VALUES, BASE))
    off = table.loc[("norm", False)]
    left = frame[frame["norm"].eq(False) & frame["seed"].gt(0)]["best_val_accuracy"].mean()
    assert (off["n"], off["diverged"], off["reason"]) == (2, 1, "diverged")
    assert (off["rate_low"], off["rate_high"]) == pytest.approx((0.0615, 0.7923), abs=1e-4)
    assert off["mean"] == pytest.approx(left)
    assert np.isfinite(off["effect"])
    assert off[["low", "high", "low_all", "high_all"]].isna().all()
    others = table.drop(("norm", False))
    assert others["low_all"].notna().all()
    assert others["rate_low"].isna().all()


def test_survivors_do_not_enter_the_intervals_of_others():
    frame = one_at_a_time()
    off = frame["norm"].eq(False)
    frame.loc[off & frame["seed"].eq(0), "status"] = "diverged"
    wild = frame.assign(best_val_accuracy=frame["best_val_accuracy"].where(~off, frame["seed"]))
    here, there = (by_level(effects(f, VALUES, BASE)).drop(("norm", False)) for f in (frame, wild))
    assert np.allclose(here["high_all"], there["high_all"])


def test_a_base_that_diverged_leaves_no_interval():
    frame = one_at_a_time()
    frame.loc[0, "status"] = "diverged"
    found = effects(frame, VALUES, BASE)
    assert set(found.table["reason"]) == {"base diverged"}
    assert any("base configuration diverged in 1 of 3 trials" in note for note in found.notes)


def unstable(frame):
    return frame["norm"].eq(False) & frame["lr"].ge(0.2)


def test_in_a_factorial_the_unstable_part_is_set_apart():
    frame = trials()
    accuracy = frame["best_val_accuracy"]
    frame.loc[unstable(frame) & accuracy.lt(accuracy.median()), "status"] = "diverged"
    found = effects(frame, VALUES, BASE)
    table = by_level(found)
    for term in (("norm", False), ("lr", 0.2), ("lr", 0.4)):
        assert table.loc[term, "reason"] == "diverged"
        assert np.isnan(table.loc[term, "low_all"])
    for term in (("drop", 0.2), ("width", 16), ("width", 32)):
        assert table.loc[term, "low_all"] < 0 < table.loc[term, "high_all"]
    assert any("norm=False and lr=0.2 or 0.4" in n or "lr=0.2 or 0.4 and norm=False" in n
               for n in found.notes)  # fmt: skip


def test_the_others_are_not_biased_by_what_diverged():
    """Of the unstable part the worst are lost, all of them at one width."""
    frame = trials(scatter=0.001)
    frame.loc[frame["width"].eq(32), "best_val_accuracy"] -= 0.02
    lost = unstable(frame) & frame["width"].eq(32) & frame["seed"].lt(2)
    frame.loc[unstable(frame) & frame["seed"].eq(2), "best_val_accuracy"] += 0.05
    frame.loc[lost, "status"] = "diverged"
    width = by_level(effects(frame, VALUES, BASE)).loc[("width", 32)]
    if not width["reason"]:
        assert width["low_all"] < -0.02 < width["high_all"]


def test_divergence_by_chance_takes_no_interval_away():
    frame = trials()
    frame.loc[::20, "status"] = "diverged"
    found = effects(frame, VALUES, BASE)
    assert found.table["low_all"].notna().all()
    assert any("missing by chance" in note for note in found.notes)
    assert (found.table["diverged"] > 0).all()


def test_divergence_everywhere_and_more_at_one_level_takes_all_away():
    frame = trials()
    frame.loc[::9, "status"] = "diverged"
    frame.loc[frame["norm"].eq(False) & frame["seed"].eq(1), "status"] = "diverged"
    found = effects(frame, VALUES, BASE)
    assert found.table["low_all"].isna().all()
    assert found.table["effect"].notna().all()


def test_a_level_at_which_nothing_diverged_has_no_rate():
    """Trials diverge at every rate, at one more often; by chance at none of width 64."""
    levels = {"lr": (0.1, 0.2, 0.4), "width": (8, 16, 32, 64)}
    points = itertools.product(*levels.values(), range(3))
    frame = pd.DataFrame(points, columns=[*levels, "seed"]).assign(status="completed")
    frame["best_val_accuracy"] = 0.8 + np.random.default_rng(0).normal(0, 0.01, len(frame))
    often = frame["lr"].eq(0.4) & frame["width"].ne(64) & frame["seed"].lt(2)
    seldom = frame["lr"].ne(0.4) & frame["width"].eq(8) & frame["seed"].eq(0)
    frame.loc[often | seldom, "status"] = "diverged"
    found = effects(frame, levels, {"lr": 0.1, "width": 8})
    table = by_level(found)
    assert table.loc[("lr", 0.4), "reason"] == "diverged"
    assert table.loc[("width", 64), ["diverged", "reason"]].tolist() == [0, "base diverged"]
    assert "nan" not in " ".join(sentences(found))


def test_where_everything_diverged_each_level_has_its_rate():
    found = effects(trials().assign(status="diverged"), VALUES, BASE)
    assert set(found.table["reason"]) == {"diverged"}
    assert found.table["rate_high"].eq(1.0).all()
    assert any("Training diverged in 108 of 108 trials" in note for note in found.notes)
    assert not any("by chance" in note for note in found.notes)


def test_wilsons_interval():
    assert rate(0, 0) == (0.0, 1.0)
    low, high = rate(5, 10)
    assert (low, high) == pytest.approx((0.2366, 0.7634), abs=1e-4)
