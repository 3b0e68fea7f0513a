import itertools

import pytest

from sweep.plan import resources
from sweep.plan.resources import (
    Node,
    Pool,
    Resources,
    local_resources,
    ray_resources,
    share_out,
)
from tl_core.errors import BadInput


@pytest.fixture
def machine(monkeypatch):
    """machine(cpus, gpus): as if this machine had so many."""

    def of(cpus, gpus):
        monkeypatch.setattr(resources, "cpu_count", lambda: cpus)
        monkeypatch.setattr(resources, "gpu_count", lambda: gpus)

    return of


def test_unset_options_take_what_the_machine_has(machine, options):
    machine(8, 2)
    here = (Node(8, 2),)
    assert local_resources(options()) == Pool(8, 2, here)
    assert local_resources(options(cpus=3, gpus=0)) == Pool(3, 0, here)
    assert local_resources(options(cpus=8, gpus=2)) == Pool(8, 2, here)


def test_more_than_there_are_is_refused(machine, options):
    machine(8, 0)
    gpus = "`--gpus 4` asks for 4 GPUs; this machine has 0. Use --gpus 0 to train on the CPU."
    with pytest.raises(BadInput, match="--gpus") as caught:
        local_resources(options(gpus=4))
    assert str(caught.value) == gpus
    with pytest.raises(BadInput, match="`--cpus 9` asks for 9 CPUs; this machine has 8"):
        local_resources(options(cpus=9))


def one_machine(cpus, gpus):
    return Pool(cpus, gpus, (Node(cpus, gpus),))


def pool_of(*nodes, limits=None):
    """Machines of (CPUs, GPUs) each, all of them allowed or only so many."""
    allowed = limits or (sum(c for c, _ in nodes), sum(g for _, g in nodes))
    return Pool(*allowed, tuple(Node(*node) for node in nodes))


# cpus, gpus, trials, threads, trials per GPU → side by side, CPUs of each, trials on a GPU
SHARES = [
    ((8, 0, 27, None, 1), (8, 1, 1)),
    ((8, 0, 3, None, 1), (3, 2, 1)),
    ((8, 0, 1, None, 1), (1, 8, 1)),
    ((8, 0, 27, 4, 1), (2, 4, 1)),
    ((8, 0, 27, 3, 1), (2, 3, 1)),
    ((2, 0, 27, None, 1), (2, 1, 1)),
    ((8, 2, 27, None, 1), (2, 4, 1)),
    ((8, 2, 27, None, 2), (4, 2, 2)),
    ((2, 4, 27, None, 1), (2, 1, 1)),
    ((2, 2, 27, 2, 1), (1, 2, 1)),
    ((8, 2, 1, None, 2), (1, 8, 2)),
]


@pytest.mark.parametrize(("asked", "expected"), SHARES)
def test_processors_are_shared_out(options, asked, expected):
    cpus, gpus, trials, threads, per_gpu = asked
    pool = one_machine(cpus, gpus)
    given = share_out(options(trials_per_gpu=per_gpu), pool, trials=trials, threads=threads)
    assert (given.concurrent, given.cpus_per_trial, given.trials_per_gpu) == expected
    assert (given.cpus, given.gpus) == (cpus, gpus)


def test_a_measured_packing_counts_where_the_options_leave_it_open(options):
    shape = {"trials": 27, "threads": None, "packed": 4}
    measured = share_out(options(trials_per_gpu=None), one_machine(16, 2), **shape)
    assert (measured.concurrent, measured.trials_per_gpu) == (8, 4)
    asked = share_out(options(trials_per_gpu=2), one_machine(16, 2), **shape)
    assert (asked.concurrent, asked.trials_per_gpu) == (4, 2)
    on_cpus = share_out(options(trials_per_gpu=None), one_machine(16, 0), **shape)
    assert on_cpus.trials_per_gpu == 1


MACHINES = [
    [(1, 0)], [(5, 1)], [(16, 3)],
    [(8, 0)] * 6, [(1, 0)] * 3, [(0, 0), (8, 2), (8, 2)], [(16, 0), (2, 2)], [(64, 0), (4, 4)],
]  # fmt: skip


def fits(nodes, given):
    """Whether so many trials can be placed, each on one machine, the machines taken in turn."""
    left, share = given.concurrent, 1 / given.trials_per_gpu if given.gpus else 0.0
    for cpus, gpus in nodes:
        while left and cpus >= given.cpus_per_trial and gpus > share - 1e-9:
            cpus, gpus, left = cpus - given.cpus_per_trial, gpus - share, left - 1
    return left == 0


@pytest.mark.parametrize("nodes", MACHINES, ids=str)
def test_every_trial_fits_on_a_machine_and_the_sum_into_the_limits(options, nodes):
    together = sum(c for c, _ in nodes), sum(g for _, g in nodes)
    for trials, threads, per_gpu, part in itertools.product(
        (1, 4, 100), (None, 1, 2, 5), (1, 3), (1, 2)
    ):
        limits = max(1, together[0] // part), together[1] // part
        pool = pool_of(*nodes, limits=limits)
        try:
            given = share_out(
                options(trials_per_gpu=per_gpu), pool, trials=trials, threads=threads
            )
        except BadInput:
            assert threads is not None
            continue
        assert 1 <= given.concurrent <= trials
        assert fits(nodes, given)
        assert given.concurrent * given.cpus_per_trial <= limits[0]
        if given.gpus:
            assert given.concurrent <= limits[1] * given.trials_per_gpu
        assert given.cpus_alone <= max(c for c, _ in nodes)


# machines as (CPUs, GPUs), trials, threads → side by side, CPUs of each
CLUSTERS = [
    ([(8, 0)] * 6, 4, None, (4, 8)),
    ([(8, 0)] * 6, 100, None, (48, 1)),
    ([(8, 0)] * 6, 12, None, (12, 4)),
    ([(1, 0)] * 3, 1, None, (1, 1)),
    ([(8, 0)] * 6, 100, 3, (12, 3)),
    ([(16, 0), (2, 0)], 2, None, (2, 8)),
    ([(0, 0), (4, 0)], 2, None, (2, 2)),
    ([(32, 0), (8, 4)], 9, None, (4, 2)),
    ([(32, 2), (8, 4)], 9, None, (6, 2)),
    ([(2, 4), (2, 4)], 9, None, (4, 1)),
]


@pytest.mark.parametrize(("nodes", "trials", "threads", "expected"), CLUSTERS)
def test_a_cluster_is_shared_out_machine_by_machine(options, nodes, trials, threads, expected):
    given = share_out(options(), pool_of(*nodes), trials=trials, threads=threads)
    assert (given.concurrent, given.cpus_per_trial) == expected


def test_what_fits_on_no_machine_is_refused_in_one_line(options):
    for nodes, threads, words in (
        ([(8, 0), (4, 0)], 12, "threads=12: there are 8 CPUs for the sweep on its largest"),
        ([(0, 2), (8, 0)], None, "a trial needs 1 CPU and a GPU of one machine, and no machine"),
        ([(2, 2), (8, 0)], 4, "a trial needs 4 CPUs and a GPU of one machine, and no machine"),
        ([(0, 0)], None, "a trial needs 1 CPU, and no machine has so many"),
        ([], None, "no machine has so many .none."),
    ):
        with pytest.raises(BadInput, match=words):
            share_out(options(), pool_of(*nodes), trials=5, threads=threads)


def test_more_threads_than_cpus_are_refused(options):
    with pytest.raises(BadInput, match="threads=3: there are 2 CPUs"):
        share_out(options(), one_machine(2, 0), trials=5, threads=3)
    with pytest.raises(BadInput, match="threads=3: there are 2 CPUs"):
        share_out(options(), pool_of((8, 0), limits=(2, 0)), trials=5, threads=3)


def test_a_task_alone_has_the_whole_of_one_machine(options):
    alone = share_out(options(), one_machine(8, 0), trials=4, threads=3)
    assert (alone.cpus_per_trial, alone.cpus_alone) == (3, 8)
    joined = share_out(options(), pool_of((8, 0), (8, 0)), trials=4, threads=3)
    assert joined.cpus_alone == 3  # other machines may have other work


def test_resources_in_words():
    alone = Resources(2, 0, concurrent=1, cpus_per_trial=1, trials_per_gpu=1, cpus_alone=2)
    assert str(alone) == "1 trial at a time, each with 1 CPU (of 2 CPUs, 0 GPUs)"
    many = Resources(8, 1, concurrent=3, cpus_per_trial=2, trials_per_gpu=3, cpus_alone=8)
    assert str(many) == ("3 trials at a time, each with 2 CPUs and 0.333 GPU (of 8 CPUs, 1 GPUs)")


@pytest.fixture
def connected(monkeypatch):
    """connected(*resources): as if Ray ran on machines with these, the last of them dead."""

    def to(*machines):
        alive = len(machines) - 1
        nodes = [{"Alive": n < alive, "Resources": has} for n, has in enumerate(machines)]
        monkeypatch.setattr("ray.nodes", lambda: nodes)

    return to


def test_the_machines_of_a_ray_in_use(connected, options):
    connected({"CPU": 8.0, "GPU": 2.0, "memory": 1e9}, {"memory": 1e9}, {"CPU": 64.0})
    assert ray_resources(options()) == Pool(8, 2, (Node(8, 2), Node(0, 0)))
    assert ray_resources(options(cpus=3, gpus=0)) == Pool(3, 0, (Node(8, 2), Node(0, 0)))
    with pytest.raises(BadInput, match="`--cpus 9` asks for 9 CPUs; the cluster has 8"):
        ray_resources(options(cpus=9))
