import math
import random

import numpy as np
import pytest

from sweep.search.rungs import Rung, rung_epochs, usual_grace


@pytest.mark.parametrize(
    ("epochs", "grace"), [(1, 1), (3, 1), (5, 2), (8, 3), (12, 4), (27, 9), (100, 34)]
)
def test_the_usual_grace_period_is_a_third_of_the_epochs_where_values_are_learned_from(
    epochs, grace
):
    assert usual_grace(epochs, learns=True) == grace
    assert usual_grace(epochs, learns=False) == 1


@pytest.mark.parametrize(
    ("arguments", "rungs"),
    [
        ((27, 1, 3.0), [1, 3, 9]),
        ((28, 1, 3.0), [1, 3, 9, 27]),
        ((27, 3, 3.0), [3, 9]),
        ((244, 1, 3.0), [1, 3, 9, 27, 81, 243]),
        ((10, 1, 2.5), [1, 3, 7]),
        ((6, 1, 1.2), [1, 2, 3, 4, 5]),
        ((6, 2, 1 + 1e-12), [2, 3, 4, 5]),
        ((6, 2, 1e300), [2]),
        ((1, 1, 3.0), []),
        ((5, 20, 3.0), []),
    ],
)
def test_rungs_are_powers_of_the_factor_times_the_grace_period(arguments, rungs):
    assert rung_epochs(*arguments) == rungs


@pytest.mark.parametrize("factor", [1.5, 2.0, 3.0, 4.0])
def test_the_cutoff_is_the_percentile_of_the_values_there(factor):
    rung, values, rng = Rung(1, factor), {}, random.Random(0)
    assert rung.cutoff() == -math.inf
    for _ in range(200):
        configuration = rng.randrange(40)
        if rng.random() < 0.2:
            values.pop(configuration, None)
            rung.remove(configuration)
        else:
            values[configuration] = rng.choice([0.1, 0.2, 0.2, rng.random()])
            rung.record(configuration, values[configuration])
        if values:
            expected = np.percentile(list(values.values()), 100 * (1 - 1 / factor))
            assert rung.cutoff() == pytest.approx(expected, abs=1e-12)
