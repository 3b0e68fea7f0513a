"""Sweeps on a Queue whose processes, deaths and decisions come in any order."""

from random import Random

import pytest
from queue_simulation import Fate, Simulation, fate_of

RUNGS = (1, 3)


def heard_of(simulation, number):
    """(epoch, status) of what the driver has heard of a trial."""
    return [entry[1:] for entry in simulation.log if entry[0] == number and entry[1] != "ends"]


def expected(fate, heard, *, unlucky):
    """Whether a driver may hear this of a trial: each epoch once, to where it must end.

    `unlucky`: processes die of themselves, too.
    """
    *before, last = heard
    epochs = [epoch for epoch, _ in heard if epoch]
    in_order = epochs == list(range(1, len(epochs) + 1)) and all(s == "running" for _, s in before)
    if last[1] == "out_of_memory":
        return in_order and not fate.fits
    if last[1] == "failed":
        return in_order and (fate.fails or fate.kills or unlucky)
    stopped = fate.stoppable and last[0] == fate.stops
    return in_order and (stopped or last == (fate.epochs, "completed"))


@pytest.mark.parametrize("planned", [0, 40])
@pytest.mark.parametrize("seed", range(30))
def test_every_trial_ends_once_whatever_happens(seed, planned):
    random = Random(f"{seed} {planned}")
    fates = [fate_of(random, RUNGS, trouble=True) for _ in range(60)]
    devices = [random.choice("01") for _ in range(random.randint(1, 6))]
    death = random.choice([0.0, 0.02])
    simulation = Simulation(
        lambda number, log: fates[number], 60, random, processes=devices, rungs=RUNGS,
        planned=planned, death=death, under_way=random.choice([4, 16]),
    ).run()  # fmt: skip
    assert sorted(simulation.ended) == list(range(60))
    for number, fate in enumerate(fates):
        heard = heard_of(simulation, number)
        assert expected(fate, heard, unlucky=death > 0), (number, fate, heard)
    assert not simulation.queue.trials
    assert not simulation.queue.waiting


def test_a_trial_fails_by_what_kills_its_process_and_no_other_does():
    random = Random(0)
    fates = [Fate("small", 3, 99, kills=number % 7 == 3) for number in range(40)]
    simulation = Simulation(
        lambda number, log: fates[number], 40, random, processes="012", rungs=RUNGS
    ).run()
    for number, fate in enumerate(fates):
        assert (heard_of(simulation, number)[-1][1] == "failed") == fate.kills


def learned(number, log):
    """A fate that depends on all that the driver has heard before it proposed the trial."""
    return fate_of(Random(f"{number} {log}"), RUNGS, trouble=False)


@pytest.mark.parametrize("seed", range(20))
def test_one_process_gets_the_same_orders_however_events_are_spaced(seed):
    first = Simulation(learned, 60, Random(0), rungs=RUNGS).run()
    again = Simulation(learned, 60, Random(seed + 1), rungs=RUNGS).run()
    assert any(len(orders) > 1 for orders in first.given)
    assert again.given == first.given
    assert again.log == first.log


@pytest.mark.parametrize("seed", range(20))
def test_what_is_known_in_advance_is_heard_in_the_same_order_too(seed):
    random = Random(7)
    fates = [fate_of(random, RUNGS, trouble=False) for _ in range(90)]
    logs = [
        Simulation(
            lambda number, log: fates[number], 90, Random(turns), rungs=RUNGS, planned=90
        ).run().log
        for turns in (0, seed + 1)
    ]  # fmt: skip
    assert logs[0] == logs[1]
