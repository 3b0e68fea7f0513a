"""What a process does with memory that it freed."""

import subprocess
import sys

import pytest

from tl_core import trainer
from tl_core.hardware import keep_freed_memory

PROGRAM = """
import resource, sys, torch
from tl_core import trainer
from tl_core.hardware import keep_freed_memory
if sys.argv[1] == "keep" and not keep_freed_memory():
    sys.exit("no")
for step in range(20):
    if step == 10:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    tensor = torch.ones(10_000_000)
    del tensor
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(mode: str) -> int:
    """Pages that a process asked for in ten steps of 40 MB each."""
    command = [sys.executable, "-c", PROGRAM, mode]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


@pytest.mark.skipif(not keep_freed_memory(), reason="not glibc")
def test_freed_memory_is_used_again():
    assert faults("default") > 10 * 9_000
    assert faults("keep") < 9_000


GIVING_BACK = """
import psutil, torch
from tl_core import hardware
hardware.keep_freed_memory()
tensors = [torch.ones(10_000_000) for _ in range(10)]
pin = torch.ones(10)
del tensors
before = psutil.Process().memory_info().rss
hardware.give_back_memory()
unchanged = psutil.Process().memory_info().rss
hardware.KEPT_BYTES = 2**20
hardware.give_back_memory()
print(before - unchanged, before - psutil.Process().memory_info().rss)
"""


@pytest.mark.skipif(not keep_freed_memory(), reason="not glibc")
def test_more_than_may_be_kept_is_given_back():
    command = [sys.executable, "-c", GIVING_BACK]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    below, above = map(int, run.stdout.split())
    assert below < 40_000_000
    assert above > 300_000_000


def test_a_run_gives_back_what_another_left(monkeypatch, digits, plain_run):
    called = []
    monkeypatch.setattr(trainer, "keep_freed_memory", lambda: called.append("keep"))
    monkeypatch.setattr(trainer, "give_back_memory", lambda: called.append("give back"))
    plain_run(digits)
    assert called == ["keep", "give back"]
