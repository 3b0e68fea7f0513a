"""A cluster of several small machines, as Ray itself shows it."""

import pytest
import ray
from ray.cluster_utils import Cluster

from sweep.plan.resources import Node, ray_resources, share_out


@pytest.fixture
def small_machines():
    """A head without CPUs and two machines of one CPU each, joined."""
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "num_gpus": 0})
    for _ in range(2):
        cluster.add_node(num_cpus=1, num_gpus=0)
    ray.init(address=cluster.address, log_to_driver=False)
    cluster.wait_for_nodes()
    yield
    ray.shutdown()
    cluster.shutdown()


@pytest.mark.slow
def test_a_trials_share_fits_on_one_machine(small_machines, options):
    pool = ray_resources(options())
    assert sorted(pool.nodes, key=str) == [Node(0), Node(1), Node(1)]
    given = share_out(options(), pool, trials=1, threads=None)
    assert (given.concurrent, given.cpus_per_trial) == (1, 1)
    task = ray.remote(lambda: "ran").options(num_cpus=given.cpus_per_trial)
    assert ray.get(task.remote(), timeout=60) == "ran"
    assert share_out(options(), pool, trials=8, threads=None).concurrent == 2
