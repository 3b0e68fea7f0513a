"""The Slurm script with stand-ins for Slurm's commands, for Ray and for the sweep."""

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cluster_files import FOLDER

SCRIPT = FOLDER / "sweep.sbatch"
STAND_INS = {
    "scontrol": 'case "$1" in show) printf "node-1\\nnode-2\\nnode-3\\n";; esac',
    "srun": 'while [[ "$1" == --* ]]; do shift; done; exec "$@"',
    "hostname": "echo 10.0.0.5 fd00::5",
    "ray": 'case "$*" in *--head*) touch $TMPDIR/head;; esac\n'
    'case "$1" in start) exec sleep 60;; status) test -e $TMPDIR/head;; esac',
    "python": 'trap "echo driver ended >> $LOG; exit 130" TERM\n'
    "touch $TMPDIR/driver\nuntil [ -e $TMPDIR/end ]; do sleep 0.05; done",
}
"""What each does beside writing down how it was called."""
Run = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    """run(**variables) → the script under way, its folder shared, its commands in `calls`."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name, code in STAND_INS.items():
        file = folder / name
        file.write_text(f'#!/bin/bash\necho "{name} $*" >> "$LOG"\n{code}\n', encoding="utf-8")
        file.chmod(0o755)
    plain = {
        "SLURM_JOB_ID": "7", "SLURM_JOB_NODELIST": "node-[1-3]", "SLURM_JOB_NUM_NODES": "3",
        "SLURM_CPUS_PER_TASK": "32", "SLURM_GPUS_ON_NODE": "4", "USER": "me",
        "SHARED": str(tmp_path), "VENV": "/no/venv", "LOG": str(tmp_path / "log"),
        "POLL_SECONDS": "0.1", "TMPDIR": str(tmp_path), "PATH": f"{folder}:{os.environ['PATH']}",
    }  # fmt: skip
    started = []

    def start(**variables: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            ["bash", SCRIPT], env={**plain, **variables}, text=True, start_new_session=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        started.append(process)
        return process

    yield start
    for process in started:
        try:
            os.killpg(process.pid, signal.SIGKILL)  # what Slurm does at the end of a job
        except ProcessLookupError:
            continue
        process.communicate()


def wait_for_driver(process: subprocess.Popen[str], tmp_path: Path) -> None:
    """Wait until the script knows its driver, and the driver runs."""
    assert process.stdout is not None
    assert any(line.startswith("sweep ") for line in process.stdout)
    while not (tmp_path / "driver").exists():
        time.sleep(0.02)


def calls(tmp_path: Path) -> list[str]:
    """What was called, in order, without the options that all share."""
    text = (tmp_path / "log").read_text(encoding="utf-8").replace(str(tmp_path), "SHARED")
    return text.splitlines()


def at_the_end(tmp_path: Path) -> list[str]:
    """What the driver and Slurm heard once the job was preempted."""
    return [call for call in calls(tmp_path) if call.startswith(("driver", "scontrol requeue"))]


def steps(tmp_path: Path) -> list[str]:
    """The calls in short: the program and what it does."""
    short = r"(scontrol \w+|ray \w+(?: --head)?|python -m sweep \w+)"
    found = [re.match(short, call) for call in calls(tmp_path)]
    return [match[0] for match in found if match]


def test_head_then_workers_then_the_sweep(run: Run, tmp_path: Path) -> None:
    process = run()
    wait_for_driver(process, tmp_path)
    token = tmp_path / "token-7"
    assert re.fullmatch("[0-9a-f]{64}", token.read_text())
    assert token.stat().st_mode & 0o077 == 0
    workers = "--nodes=2 --ntasks=2 --exclude=node-1 ray start --address=10.0.0.5:6379"
    while not any(workers in call for call in calls(tmp_path)):  # they start beside the driver
        time.sleep(0.02)
    (tmp_path / "end").touch()
    assert process.wait() == 0
    assert not token.exists()
    order = steps(tmp_path)
    assert order[:1] == ["scontrol show"]
    assert order.index("ray start --head") < order.index("python -m sweep ablation")
    assert "scontrol requeue" not in order
    text = "\n".join(calls(tmp_path))
    head = "ray start --head --node-ip-address=10.0.0.5 --port=6379 --include-dashboard=false"
    assert f"{head} --num-cpus=32 --num-gpus=4" in text
    assert (
        "python -m sweep ablation --dataset cifar10 --data-dir SHARED/data"
        " --address 10.0.0.5:6379 --results SHARED/results --name ablation-7"
    ) in text


def test_a_preempted_job_ends_the_sweep_and_is_queued_again(run: Run, tmp_path: Path) -> None:
    process = run()
    wait_for_driver(process, tmp_path)
    process.send_signal(signal.SIGTERM)  # to the script alone, as --signal=B: has it
    assert process.wait() == 0
    assert at_the_end(tmp_path) == ["driver ended", "scontrol requeue 7"]


def test_a_driver_that_does_not_end_is_not_waited_for(run: Run, tmp_path: Path) -> None:
    (tmp_path / "bin" / "python").write_text(
        '#!/bin/bash\ntrap "echo driver heard >> $LOG" TERM\ntouch $TMPDIR/driver\n'
        "while true; do sleep 0.1; done\n"
    )
    process = run(PATIENCE="1")
    wait_for_driver(process, tmp_path)
    process.send_signal(signal.SIGTERM)
    assert process.wait() == 0
    assert at_the_end(tmp_path) == ["driver heard", "driver heard", "scontrol requeue 7"]


def test_a_job_that_runs_again_resumes_its_sweep(run: Run, tmp_path: Path) -> None:
    journal = tmp_path / "results" / "runs" / "ablation-7" / "journal.jsonl"
    journal.parent.mkdir(parents=True)
    journal.write_text("{}\n")
    (tmp_path / "end").touch()
    assert run().wait() == 0
    resumed = "resume ablation-7 --address 10.0.0.5:6379 --results SHARED/results"
    assert f"python -m sweep {resumed}" in calls(tmp_path)


def test_the_code_of_the_sweep_is_that_of_the_job(run: Run, tmp_path: Path) -> None:
    (tmp_path / "bin" / "python").write_text("#!/bin/bash\nexit 2\n")
    assert run().wait() == 2


def test_without_a_head_the_job_ends(run: Run, tmp_path: Path) -> None:
    (tmp_path / "bin" / "ray").write_text("#!/bin/bash\nexit 1\n")
    assert run().wait() != 0
    assert "python -m sweep ablation" not in steps(tmp_path)
