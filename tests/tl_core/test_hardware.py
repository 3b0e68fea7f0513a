"""What a process does with memory that it freed."""

import subprocess
import sys

import pytest

from tl_core.hardware import keep_freed_memory

PROGRAM = """
import resource, sys, torch
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
