"""Devices that trials may name, whatever the driver's machine has."""

import pytest
import torch

from sweep.plan.make_plan import make_plan
from tl_core.errors import BadInput


@pytest.fixture
def machine(monkeypatch):
    """machine(gpus): as if this machine had so many."""

    def of(gpus):
        monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
        monkeypatch.setattr(torch.cuda, "is_available", lambda: gpus > 0)

    return of


@pytest.fixture
def planned(options):
    """planned(device, **fields) → the plan of a sweep whose trials name that device."""

    def make(device, **fields):
        settings = (f"device={device}",) if device else ()
        return make_plan(options("ablation", dataset="digits", settings=settings, **fields))

    return make


HERE, CLUSTER = {}, {"address": "auto"}


@pytest.mark.parametrize(
    ("gpus", "device", "fields"),
    [
        (0, "auto", HERE), (0, "cpu", HERE), (0, "cpu", {"gpus": 0}), (0, "auto", {"gpus": 0}),
        (4, "auto", HERE), (4, "cuda", HERE), (4, "cuda", {"gpus": 2}), (4, "cpu", {"gpus": 0}),
        (0, "cuda", CLUSTER), (0, "cuda", {**CLUSTER, "gpus": 3}), (0, "cpu", CLUSTER),
    ],
)  # fmt: skip
def test_devices_that_trials_will_have_are_taken(machine, planned, gpus, device, fields):
    machine(gpus)
    assert planned(device, **fields).base.device == device


@pytest.mark.parametrize(
    ("gpus", "device", "fields", "said"),
    [
        (4, "cuda:1", HERE, "each trial of a sweep sees one GPU.* CUDA_VISIBLE_DEVICES=1 "),
        (4, "cuda:0", HERE, "CUDA_VISIBLE_DEVICES=0 "),
        (0, "cuda:1", CLUSTER, "each trial of a sweep sees one GPU"),
        (4, "cuda", {"gpus": 0}, "with `--gpus 0`: a trial would have no GPU; leave one of"),
        (0, "cuda", {**CLUSTER, "gpus": 0}, "with `--gpus 0`"),
        (4, "cpu", {"gpus": 1}, "with `--gpus 1`: trials on the CPU would hold GPUs idle"),
        (0, "cpu", {**CLUSTER, "gpus": 1}, "with `--gpus 1`"),
        (0, "cuda", HERE, "this machine has 0 GPUs; device=cpu trains on it"),
        (0, "gpu", CLUSTER, "one of auto, cpu, cuda, cuda:N"),
        (4, "cpu:1", HERE, "one of auto, cpu, cuda, cuda:N"),
        (4, "cuda:-1", HERE, "one of auto, cpu, cuda, cuda:N"),
        (4, "cuda:", HERE, "one of auto, cpu, cuda, cuda:N"),
        (4, "mps", HERE, "one of auto, cpu, cuda, cuda:N"),
    ],
)
def test_devices_that_trials_will_not_have_are_refused(
    machine, planned, gpus, device, fields, said
):
    machine(gpus)
    with pytest.raises(BadInput, match=f"device='{device}'.*{said}") as caught:
        planned(device, **fields)
    assert "\n" not in str(caught.value)


def test_a_device_that_varies_is_checked_too(machine, options, write_file):
    machine(2)
    space = write_file(
        "BASE = TrainConfig(dataset='digits')\nSPACE = {'device': Choice(('cpu', 'cuda:1'))}\n"
    )
    with pytest.raises(BadInput, match="device='cuda:1'"):
        make_plan(options(space))


@pytest.mark.parametrize(("device", "gpus"), [("cpu", 0), ("auto", None), ("cuda", None)])
def test_trials_on_the_cpu_hold_no_gpu(machine, planned, device, gpus):
    machine(4)
    assert planned(device).options.gpus == gpus
