"""The CPUs of a process, and what it does with memory that it freed."""

import os
import subprocess
import sys

import pytest

from tl_core.machine.hardware import cpu_count, keep_freed_memory
from tl_core.train import trainer

MEMORY = """
import psutil, resource, torch
from tl_core.machine import hardware
from tl_core.train import trainer

def faults():
    for step in range(20):
        torch.ones(10_000_000)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for step in range(3):
        torch.ones(10_000_000)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

by_default = faults()
assert hardware.keep_freed_memory()
print(by_default, faults())
tensors = [torch.ones(10_000_000) for _ in range(4)]
pin = torch.ones(10)
del tensors
before = psutil.Process().memory_info().rss
hardware.give_back_memory()
unchanged = psutil.Process().memory_info().rss
hardware.KEPT_BYTES = 2**20
hardware.give_back_memory()
print(before - unchanged, before - psutil.Process().memory_info().rss)
"""


@pytest.fixture(scope="module")
def measured():
    """Two pairs of numbers from one fresh process: pages asked for, bytes given back."""
    if not keep_freed_memory():
        pytest.skip("not glibc")
    command = [sys.executable, "-c", MEMORY]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    return [tuple(map(int, line.split())) for line in run.stdout.splitlines()]


@pytest.mark.slow
def test_freed_memory_is_used_again(measured):
    """Pages that a process asks for in three steps of 40 MB each, after twenty that do not count.

    In the first steps glibc keeps small pieces that alignment cuts off behind a tensor, up to
    seven of a size. A freed tensor's place is then a little too small for the next tensor, until
    two such places lie side by side.
    """
    by_default, kept = measured[0]
    assert by_default > 3 * 9_000
    assert kept < 9_000


@pytest.mark.slow
def test_more_than_may_be_kept_is_given_back(measured):
    below, above = measured[1]
    assert below < 40_000_000
    assert above > 100_000_000


def test_a_run_gives_back_what_another_left(monkeypatch, digits, plain_run):
    called = []
    monkeypatch.setattr(trainer, "keep_freed_memory", lambda: called.append("keep"))
    monkeypatch.setattr(trainer, "give_back_memory", lambda: called.append("give back"))
    plain_run(digits)
    assert called == ["keep", "give back"]


def test_cpus_are_those_that_this_process_may_use(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 5, 7}, raising=False)
    assert cpu_count() == 3
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert cpu_count() == 1
