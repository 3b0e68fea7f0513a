"""The table of effects in a terminal of 80 columns, and what stands around it."""

import dataclasses

import pytest

from sweep.report.mattered.effects_report import caption, caveats, effects_table, print_effects
from sweep.report.summary import load_result

LEVELS = {"dropout": [0.0, 0.2], "batch_size": [64, 128]}
NOISE = [0.0, 0.011, -0.007, 0.004, -0.009]


def one_at_a_time(**changed):
    """Five seeds: dropout gives 1.2 points, batch size 128 takes 20; by (config, seed) changed."""
    trials = []
    base = {"dropout": 0.0, "batch_size": 64}
    for config, effect, own in (
        ("a", 0.0, {}), ("b", 0.012, {"dropout": 0.2}), ("c", -0.2, {"batch_size": 128})
    ):  # fmt: skip
        for seed, noise in enumerate(NOISE):
            shifted = NOISE[(seed + ord(config)) % 5]
            more = changed.get(f"{config}{seed}", {})
            accuracy = None if more else 0.8 + effect + noise / 2 + shifted
            trials.append((config, seed, accuracy, {**base, **own, **more}))
    return trials


@pytest.fixture
def told(printed):
    """told(result) → the part on effects as one line."""
    return lambda result: " ".join(printed(result, print_effects).split())


def test_both_intervals_side_by_side_the_largest_effect_first(keep, text_of):
    made = keep(one_at_a_time())
    header, batch_size, dropout = text_of(effects_table(made.analysis)).splitlines()
    assert header.split() == [
        "factor", "base", "level", "effect", "by", "itself", "all", "2", "together", "trials"
    ]  # fmt: skip
    assert batch_size.split()[:5] == ["batch", "size", "64", "128", "−20.00"]
    low, high, low_all, high_all = [
        float(word.replace("−", "-")) for word in batch_size.split()[5:11] if word != "…"
    ]
    assert low_all < low < -20 < high < high_all < 0
    assert batch_size.split()[-1] == "5"
    assert dropout.split()[:4] == ["dropout", "0", "0.2", "+1.20"]
    assert "-" not in batch_size + dropout


def test_bold_is_what_the_interval_of_all_together_excludes(keep):
    made = keep(one_at_a_time())
    table = made.analysis.table.copy()
    table.loc[table["factor"] == "dropout", ["low", "low_all"]] = 0.001, -0.001
    analysis = dataclasses.replace(made.analysis, table=table)
    cells = list(effects_table(analysis).columns[3].cells)
    assert cells == ["[bold]−20.00[/bold]", "+1.20"]


def test_the_design_and_the_method_in_one_line(keep, text_of):
    made = keep(one_at_a_time()).analysis
    said = "One factor at a time, against the base. Error: between seeds, equal variances, "
    assert caption(made).startswith(said)
    assert caption(made).endswith(f"{made.spare} degrees of freedom.")
    table = made.table.copy()
    table.loc[0, "method"] = "own variance"
    one = dataclasses.replace(made, table=table, unit="cell", design="fraction", spare=1)
    assert caption(one) == (
        "A part of all combinations, averaged over the other factors. Error: between"
        " configurations, equal variances but for *, 1 degree of freedom."
    )
    assert "*" in text_of(effects_table(one))
    every = dataclasses.replace(made, table=table.assign(method="own variance"))
    assert "variances of their own" in caption(every)


def test_the_whole_part_of_the_report(keep, told):
    text = told(keep(one_at_a_time()))
    assert text.startswith("Effects on validation accuracy, in points, with 95% intervals One")
    assert "batch size 128: −20.0 points (−" in text
    assert "Interactions are assumed away" in text
    assert text.count("assumed away") == 1


def test_a_level_with_diverged_trials_has_its_rate_and_no_interval(keep, told, text_of):
    bad = {f"b{seed}": {"status": "diverged"} for seed in (1, 2, 4)}
    made = keep(one_at_a_time(**bad))
    row = text_of(effects_table(made.analysis)).splitlines()[-1]
    assert "3 of 5 diverged" in row
    assert row.split()[:4] == ["dropout", "0", "0.2", "–"]
    assert row.endswith("2 (–3) ")
    text = told(made)
    assert "dropout 0.2: 3 of 5 diverged (23 to 88%), the others reach 0.8" in text
    assert "left out because they diverged, failed or did not end" in text


def test_early_stopping_has_no_effects_unless_asked_for(keep, told):
    made = keep(one_at_a_time(b1={"status": "stopped"}, b2={"status": "stopped"}))
    text = told(made)
    assert text.startswith("No effects: 2 of 15 trials were stopped early")
    assert text.endswith("python -m sweep show s1 --effects-anyway")
    asked = load_result(made.folder, "s1", effects_anyway=True)
    assert len(asked.effects) == 2
    assert "Biased: 2 of 15 trials were stopped early" in told(asked)


def test_a_search_has_no_effects_and_no_such_line(keep, told):
    assert told(keep(one_at_a_time(), search="optuna")) == ""


@pytest.mark.parametrize(("seeds", "way"), [(1, "more trials, such as --seeds 5"), (3, "trials")])
def test_no_intervals_and_what_they_need(seeds, way, keep, words):
    made = keep([trial for trial in one_at_a_time() if trial[1] == 0], seeds=seeds)
    shown = {line[0]: line for line in words(effects_table(made.analysis))}
    assert shown["dropout"][:3] == ["dropout", "0", "0.2"]
    assert shown["dropout"][4:] == ["–", "1"]
    assert any(line.startswith(f"No intervals: they need {way}") for line in caveats(made))


def test_seeds_are_not_what_a_fraction_lacks(keep):
    made = keep(one_at_a_time()[::5], seeds=1)
    table = made.analysis.table.assign(reason="no spare configurations")
    analysis = dataclasses.replace(made.analysis, table=table, unit="cell", design="fraction")
    lines = caveats(dataclasses.replace(made, analysis=analysis))
    assert any("they need more configurations that end, such as by a larger" in n for n in lines)


def test_an_effect_that_rounds_to_nothing_has_no_minus(keep, text_of):
    made = keep(one_at_a_time()).analysis
    tiny = dict.fromkeys(("effect", "low", "high", "low_all", "high_all"), -1e-12)
    text = text_of(effects_table(dataclasses.replace(made, table=made.table.assign(**tiny))))
    assert "+0.00 … +0.00" in text
    assert "−0.00" not in text
