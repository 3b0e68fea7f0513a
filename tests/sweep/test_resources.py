import itertools

import pytest

from sweep import resources
from sweep.resources import Resources, local_resources, share_out
from tl_core.errors import BadInput


@pytest.fixture
def machine(monkeypatch):
    """machine(cpus, gpus): as if this machine had so many."""

    def of(cpus, gpus):
        monkeypatch.setattr(resources.os, "sched_getaffinity", lambda pid: set(range(cpus)))
        monkeypatch.setattr(resources, "gpu_count", lambda: gpus)

    return of


def test_unset_options_take_what_the_machine_has(machine, options):
    machine(8, 2)
    assert local_resources(options()) == (8, 2)
    assert local_resources(options(cpus=3, gpus=0)) == (3, 0)
    assert local_resources(options(cpus=8, gpus=2)) == (8, 2)


def test_more_than_there_are_is_refused(machine, options):
    machine(8, 0)
    gpus = "`--gpus 4` asks for 4 GPUs; this machine has 0. Use --gpus 0 to train on the CPU."
    with pytest.raises(BadInput, match="--gpus") as caught:
        local_resources(options(gpus=4))
    assert str(caught.value) == gpus
    with pytest.raises(BadInput, match="`--cpus 9` asks for 9 CPUs; this machine has 8"):
        local_resources(options(cpus=9))


# cpus, gpus, trials, threads, trials per GPU → side by side, CPUs of each, GPUs of each
SHARES = [
    ((8, 0, 27, None, 1), (8, 1, 0.0)),
    ((8, 0, 3, None, 1), (3, 2, 0.0)),
    ((8, 0, 1, None, 1), (1, 8, 0.0)),
    ((8, 0, 27, 4, 1), (2, 4, 0.0)),
    ((8, 0, 27, 3, 1), (2, 3, 0.0)),
    ((2, 0, 27, None, 1), (2, 1, 0.0)),
    ((8, 2, 27, None, 1), (2, 4, 1.0)),
    ((8, 2, 27, None, 2), (4, 2, 0.5)),
    ((2, 4, 27, None, 1), (2, 1, 1.0)),
    ((2, 2, 27, 2, 1), (1, 2, 1.0)),
    ((8, 2, 1, None, 2), (1, 8, 0.5)),
]


@pytest.mark.parametrize(("asked", "expected"), SHARES)
def test_processors_are_shared_out(options, asked, expected):
    cpus, gpus, trials, threads, per_gpu = asked
    given = share_out(options(trials_per_gpu=per_gpu), cpus, gpus, trials=trials, threads=threads)
    assert (given.concurrent, given.cpus_per_trial, given.gpus_per_trial) == expected
    assert (given.cpus, given.gpus) == (cpus, gpus)


def test_a_measured_packing_counts_where_the_options_leave_it_open(options):
    shape = {"trials": 27, "threads": None, "packed": 4}
    measured = share_out(options(trials_per_gpu=None), 16, 2, **shape)
    assert (measured.concurrent, measured.gpus_per_trial, measured.trials_per_gpu) == (8, 0.25, 4)
    asked = share_out(options(trials_per_gpu=2), 16, 2, **shape)
    assert (asked.concurrent, asked.trials_per_gpu) == (4, 2)
    assert share_out(options(trials_per_gpu=None), 16, 0, **shape).trials_per_gpu == 1


def test_no_more_is_given_than_there_is(options):
    for cpus, gpus, trials, threads, per_gpu in itertools.product(
        (1, 2, 5, 16), (0, 1, 3), (1, 4, 100), (None, 1, 2, 5), (1, 3)
    ):
        if threads is not None and threads > cpus:
            continue
        given = share_out(
            options(trials_per_gpu=per_gpu), cpus, gpus, trials=trials, threads=threads
        )
        assert 1 <= given.concurrent <= trials
        assert given.concurrent * given.cpus_per_trial <= cpus
        assert given.concurrent * given.gpus_per_trial <= gpus + 1e-9


def test_more_threads_than_cpus_are_refused(options):
    with pytest.raises(BadInput, match="threads=3: there are 2 CPUs"):
        share_out(options(), 2, 0, trials=5, threads=3)


def test_resources_in_words():
    alone = Resources(cpus=2, gpus=0, concurrent=1, cpus_per_trial=1, gpus_per_trial=0.0)
    assert str(alone) == "1 trial at a time, each with 1 CPU (of 2 CPUs, 0 GPUs)"
    many = Resources(cpus=8, gpus=1, concurrent=3, cpus_per_trial=2, gpus_per_trial=1 / 3)
    assert str(many) == ("3 trials at a time, each with 2 CPUs and 0.333 GPU (of 8 CPUs, 1 GPUs)")
