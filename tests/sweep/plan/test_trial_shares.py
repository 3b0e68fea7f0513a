"""What trials and judgings take of the machine, as Ray is told. No Ray runs."""

from dataclasses import fields
from types import SimpleNamespace

import pytest
import ray

from sweep.driver import tune_run
from sweep.judge.judge_sweep import judge_sweep
from sweep.plan.resources import Resources
from sweep.results.tables import write_rows
from sweep.trial.job import Job
from tl_core.config import TrainConfig


def shares(**changed):
    """Four trials at a time on 8 CPUs and 2 GPUs: 2 CPUs and half a GPU each."""
    given = {
        "cpus": 8, "gpus": 2, "concurrent": 4, "cpus_per_trial": 2, "gpus_per_trial": 0.5,
        "cpus_alone": 8, **changed,
    }  # fmt: skip
    return Resources(**{field.name: given[field.name] for field in fields(Resources)})


def no_answer(reference):
    raise ray.exceptions.RayError("no answer")


@pytest.fixture
def judged(tmp_path, monkeypatch, trial_row, options):
    """judged(trials, resources, **options) → the share and the threads of every judging."""

    def of(trials, resources, **asked):
        found = []

        def remote(**share):
            def ask(judgings, threads):
                found.append((share["num_cpus"], share["num_gpus"], threads))

            return SimpleNamespace(remote=ask)

        monkeypatch.setattr(ray, "remote", lambda function: SimpleNamespace(options=remote))
        monkeypatch.setattr(ray, "get", no_answer)
        common = {"strategy": "scratch", "data_fingerprint": "d"}
        rows = [trial_row(n, 0.5, config_id=f"c{n}", **common) for n in range(trials)]
        write_rows(tmp_path, "trials", "s1", rows)
        plan = SimpleNamespace(varied=("lr",), options=options(keep_top=trials, **asked))
        judge_sweep(plan, SimpleNamespace(sweep="s1"), tmp_path, tmp_path, resources)
        return found

    return of


def test_several_judgings_take_a_trials_share_each(judged):
    assert judged(3, shares()) == [(2, 0.5, 2)] * 3


def test_without_a_gpu_judging_takes_none(judged):
    assert judged(2, shares(gpus=0, gpus_per_trial=0.0)) == [(2, 0.0, 2)] * 2


def test_a_single_judging_takes_every_cpu_of_the_machine(judged):
    assert judged(1, shares()) == [(8, 0.5, 8)]


def test_a_single_judging_in_a_cluster_takes_no_more_than_a_trial(judged):
    assert judged(1, shares(cpus_alone=2), address="auto") == [(2, 0.5, 2)]


@pytest.fixture
def tuned(tmp_path, monkeypatch):
    """tuned(resources) → what Tune is given: the trainable and its configuration."""

    def of(resources):
        given = SimpleNamespace()

        def tuner(trainable, *, tune_config, run_config):
            given.trainable, given.config = trainable, tune_config
            return SimpleNamespace(fit=lambda: None)

        monkeypatch.setattr(tune_run.tune, "Tuner", tuner)
        plan = SimpleNamespace(
            searched_epochs=3, grace_period=1, most_trials=7,
            search=SimpleNamespace(scheduler="none", seeds=[0]),
            options=SimpleNamespace(reduction_factor=3.0), base=TrainConfig(),
        )  # fmt: skip
        ledger = SimpleNamespace(faults=SimpleNamespace(guard=lambda *about: None))
        job = Job("s1", {}, (), {}, str(tmp_path))
        budget = tune_run.TimeBudget(None)
        tune_run.tune_trials(plan, job, None, ledger, resources, budget, tmp_path)
        return given

    return of


@pytest.mark.parametrize(
    ("gpus", "expected"), [(0.5, {"CPU": 2, "GPU": 0.5}), (0.0, {"CPU": 2, "GPU": 0})]
)
def test_a_trial_takes_its_share(tuned, gpus, expected):
    given = tuned(shares(gpus_per_trial=gpus))
    asked = given.trainable.default_resource_request({}).required_resources
    assert {kind: asked.get(kind, 0) for kind in expected} == expected


def test_as_many_trials_run_as_there_are_shares_and_their_processes_are_used_again(tuned):
    config = tuned(shares()).config
    assert (config.max_concurrent_trials, config.num_samples) == (4, 7)
    assert config.reuse_actors
