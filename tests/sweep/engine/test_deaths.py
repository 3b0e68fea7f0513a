"""How a process died, as it can be told from what it and Ray leave behind."""

import subprocess
import sys

import pytest

from sweep.engine.deaths import death_of, last_words

SYSTEM = "The actor is dead because its worker process has died. Worker exit type: SYSTEM_ERROR"
SILENT = f"{SYSTEM} Worker exit detail: unexpectedly exits with a connection error code 2."
DIES = """
import ctypes, os, sys
from pathlib import Path
from sweep.trial.last_words import keep_last_words

def forward(how):
    if how == "segfault":
        ctypes.string_at(0)
    if how == "abort":
        os.abort()
    if how == "exit":
        os._exit(3)
    if how == "fork":
        if os.fork() == 0:
            os._exit(4)
        os.wait()

keep_last_words(Path(sys.argv[1]))
os.write(2, b"what a library said\\n")
forward(sys.argv[2])
"""


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ("segfault", "Segmentation fault in forward (dies.py, line 8)"),
        ("abort", "Aborted in forward (dies.py, line 10)"),
        ("exit", "os._exit(3) in forward (dies.py, line 12)"),
        ("fork", "killed from outside (SIGKILL)"),
    ],
)
def test_what_a_real_process_leaves_behind(tmp_path, how, told):
    script = tmp_path / "dies.py"
    script.write_text(DIES)
    words = tmp_path / "processes" / "trainer-0.txt"
    ended = subprocess.run([sys.executable, script, words, how], check=False, timeout=50)
    assert (ended.returncode == 0) == (how == "fork")
    text = last_words(str(words.parent), "trainer-0")
    assert text.startswith("what a library said\n")
    death = death_of(RuntimeError(SILENT), text)
    assert death.told.startswith(f"the trainer process died: {told}")
    assert not death.node_lost


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (f"{SYSTEM}. Worker exits with an exit code 2.", "exit code 2"),
        (f"{SYSTEM}. exit code 1. The process receives a SIGTERM.", "exit code 1, SIGTERM"),
        (SILENT, "killed from outside (SIGKILL), as the system does"),
    ],
)
def test_what_ray_knows_is_told(said, told):
    death = death_of(RuntimeError(said), "a warning of some library\n")
    assert death.told.startswith(f"the trainer process died: {told}")


def test_a_lost_machine_is_told_from_a_process_that_died():
    lost = death_of(RuntimeError("The actor died because its node has died. Node Id: 12"), "")
    assert (lost.node_lost, lost.told) == (True, "its machine was lost")


def test_nothing_is_kept_in_a_folder_that_this_machine_does_not_have(tmp_path):
    script = tmp_path / "dies.py"
    script.write_text(DIES)
    words = tmp_path / "of another machine" / "processes" / "t.txt"
    subprocess.run([sys.executable, script, words, "none"], check=True, timeout=50)
    assert not words.parent.parent.exists()
    assert last_words(str(words.parent), "t") == last_words(None, "t") == ""
