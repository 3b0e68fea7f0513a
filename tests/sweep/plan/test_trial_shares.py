"""What trainer processes, slots and judgings take of the machine. No Ray runs."""

from dataclasses import fields
from types import SimpleNamespace

import pytest
import ray

from sweep.engine import processes
from sweep.judge.judge_sweep import judge_sweep
from sweep.plan.resources import Resources
from sweep.results.tables import write_rows
from sweep.search.schedulers import Fifo
from sweep.tuning import tune_run
from tl_core.config import TrainConfig


def shares(**changed):
    """Four trials at a time on 8 CPUs and 2 GPUs: 2 CPUs and half a GPU each."""
    given = {
        "cpus": 8, "gpus": 2, "concurrent": 4, "cpus_per_trial": 2, "trials_per_gpu": 2,
        "cpus_alone": 8, **changed,
    }  # fmt: skip
    return Resources(**{field.name: given[field.name] for field in fields(Resources)})


@pytest.fixture
def judged(tmp_path, trial_row, options):
    """judged(trials, resources, **options) → the threads of each judging, side by side."""

    def of(trials, resources, **asked):
        found = []

        def call_each(calls):
            found.extend(threads for _, threads in (call.args for call in calls))
            return [RuntimeError("no answer")] * len(calls)

        common = {"strategy": "scratch", "data_fingerprint": "d"}
        rows = [trial_row(n, 0.5, config_id=f"c{n}", **common) for n in range(trials)]
        write_rows(tmp_path, "trials", "s1", rows)
        made_of = {"varied": ("lr",), "base": TrainConfig()}
        plan = SimpleNamespace(**made_of, options=options(keep_top=trials, **asked))
        job = SimpleNamespace(sweep="s1")
        judge_sweep(plan, job, tmp_path, tmp_path, resources, call_each)
        return found

    return of


def test_several_judgings_have_a_trials_threads_each(judged):
    assert judged(3, shares()) == [2] * 3


def test_a_single_judging_has_every_cpu_of_the_machine(judged):
    assert judged(1, shares()) == [8]


def test_a_single_judging_in_a_cluster_has_no_more_than_a_trial(judged):
    assert judged(1, shares(cpus_alone=2), address="auto") == [2]


@pytest.fixture
def started(monkeypatch):
    """started(resources, owned) → what Ray is asked for each trainer process, and its GPU."""

    def of(resources, *, owned):
        found = []

        def options(**share):
            def remote(gpus):
                found.append((share, gpus))
                place = SimpleNamespace(remote=lambda: None)
                return SimpleNamespace(place=place)

            return SimpleNamespace(remote=remote)

        made = processes.Processes(owned=owned)
        made.actor_class = SimpleNamespace(options=options)
        made.start_for(resources)
        return found

    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return of


def test_in_a_ray_of_its_own_a_sweep_has_a_process_for_each_gpu_and_reserves_nothing(started):
    assert started(shares(), owned=True) == [({"num_cpus": 0}, "0"), ({"num_cpus": 0}, "1")]


def test_of_the_gpus_those_are_used_that_the_user_names(started, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")
    assert [gpus for _, gpus in started(shares(), owned=True)] == ["3", "5"]


def test_where_others_work_a_process_reserves_its_cpus_and_a_whole_gpu(started):
    assert started(shares(), owned=False) == [({"num_cpus": 2, "num_gpus": 1}, None)] * 2


@pytest.mark.parametrize(("owned", "cpus"), [(True, 0), (False, 2)])
def test_without_a_gpu_there_is_a_process_for_each_trial_side_by_side(started, owned, cpus):
    resources = shares(gpus=0, trials_per_gpu=1)
    assert started(resources, owned=owned) == [({"num_cpus": cpus}, None)] * 4


@pytest.fixture
def tuned(tmp_path, monkeypatch):
    """What Tune is given: the trainable and its configuration."""
    given = SimpleNamespace(ended=0)

    def tuner(trainable, *, tune_config, run_config):
        given.trainable, given.config = trainable, tune_config
        return SimpleNamespace(fit=lambda: None)

    def end(*, in_haste):
        given.ended += 1

    monkeypatch.setattr(tune_run.tune, "Tuner", tuner)
    monkeypatch.setattr(tune_run.tune, "with_parameters", lambda trainable, **more: trainable)
    stand_on(monkeypatch, "n1")
    ledger = SimpleNamespace(
        faults=SimpleNamespace(guard=lambda *about: None), out_of_time=set(),
        disk=SimpleNamespace(short=None),
    )  # fmt: skip
    engine = SimpleNamespace(desk=None, end=end, look=lambda: None)
    feed = SimpleNamespace(asked=None, decided=lambda: None)
    budget = tune_run.TimeBudget(None)
    tune_run.tune_trials(feed, Fifo(), ledger, engine, budget, tmp_path, most_trials=7)
    return given


def stand_on(monkeypatch, node):
    """Be a driver on one of two nodes, of which n2 is the head, with the same address."""
    of_each = {"n1": {}, "n2": {"node:__internal_head__": 1.0}}
    nodes = [
        {"NodeID": name, "Resources": {"node:10.0.0.7": 1.0, **more}}
        for name, more in of_each.items()
    ]
    monkeypatch.setattr(ray, "nodes", lambda: nodes)
    context = SimpleNamespace(get_node_id=lambda: node)
    monkeypatch.setattr(ray, "get_runtime_context", lambda: context)
    monkeypatch.setattr(ray.util, "get_node_ip_address", lambda: "10.0.0.7")


def test_slots_stay_on_the_head_where_the_driver_does(monkeypatch):
    """Other nodes may have its address."""
    stand_on(monkeypatch, "n2")
    assert set(tune_run.slot_resources()) == {"cpu", "node:__internal_head__"}


def test_a_slot_of_tunes_takes_nothing_but_a_place_on_the_drivers_machine(tuned):
    asked = tuned.trainable.default_resource_request({}).required_resources
    assert asked.pop("node:10.0.0.7") < 0.01
    assert not any(asked.values())


def test_slots_are_used_again_for_all_trials(tuned):
    assert tuned.config.num_samples == 7
    assert tuned.config.reuse_actors
    assert tuned.config.max_concurrent_trials is None  # the feed decides it
    assert tuned.ended == 1
