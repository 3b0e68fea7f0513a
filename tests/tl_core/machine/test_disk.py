"""Which errors say that a disk is full: those of real writes that a limit ends."""

import errno
import os
import subprocess
import sys

import pytest

from tl_core.machine.disk import free_bytes, is_full, refusal, size

WRITERS = """
import resource, sys
from pathlib import Path
import numpy as np, pyarrow as pa, pyarrow.parquet as pq, torch
from tl_core.machine.array_file import array_writer
from tl_core.machine.disk import is_full
from tl_core.machine.whole_file import whole_file
from tl_core.config import TrainConfig
from tl_core.train.checkpoint import save_checkpoint
from tl_core.weights.weights_file import save_weights

folder = Path(sys.argv[1])
noise = np.random.default_rng(0).integers(0, 2**62, 100_000)


def parquet(path):
    with whole_file(path) as temporary:
        pq.write_table(pa.table({"a": noise}), temporary)


def array(path):
    with whole_file(path) as temporary, array_writer(temporary, noise.shape, noise.dtype) as write:
        write(noise)


def text(path):
    with whole_file(path) as temporary:
        temporary.write_text("x" * 10**6)


def checkpoint(path):
    save_checkpoint(path, {"model": {"a": torch.from_numpy(noise)}})


def weights(path):
    model = torch.nn.Linear(500, 500)
    save_weights(path, model, config=TrainConfig(), classes="ab", mean=[0.5], std=[0.2])


resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))
for write in (parquet, array, text, checkpoint, weights):
    try:
        write(folder / write.__name__)
    except Exception as error:
        named = error.filename == str(folder / write.__name__)
        print(write.__name__, is_full(error), named, sorted(p.name for p in folder.iterdir()))
"""


@pytest.mark.slow
def test_every_kind_of_file_says_so_and_leaves_no_half(tmp_path):
    if sys.platform == "win32":
        pytest.skip("needs limits of a process")
    done = subprocess.run(
        [sys.executable, "-B", "-c", WRITERS, str(tmp_path)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    kinds = ("parquet", "array", "text", "checkpoint", "weights")
    lines = [f"{name} True True []" for name in kinds]
    assert done.stdout.splitlines() == lines


@pytest.mark.parametrize(
    ("error", "full"),
    [
        (OSError(errno.EDQUOT, "quota"), True),
        (OSError(errno.EACCES, "denied"), False),
        (RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos"), True),
        (RuntimeError("shapes differ"), False),
        (ValueError("x"), False),
    ],
)
def test_other_errors_do_not(error, full):
    assert is_full(error) is full


def test_free_space_is_that_of_the_disk_on_which_a_folder_will_be(tmp_path):
    assert free_bytes(tmp_path / "not" / "yet") > 0


@pytest.mark.parametrize(
    ("number", "text"), [(12, "12 bytes"), (1_250, "1.2 kB"), (3.1e9, "3.1 GB")]
)
def test_sizes(number, text):
    assert size(number) == text


@pytest.mark.parametrize(
    ("number", "line"),
    [
        (errno.ENOSPC, "a.csv cannot be written (No space left on device); free some space."),
        (errno.EROFS, "a.csv cannot be written (Read-only file system); give a folder that can."),
        (errno.EACCES, "a.csv cannot be opened or written (Permission denied); correct its"),
        (errno.ENOTDIR, "a.csv cannot be opened or written (Not a directory); correct its"),
    ],
)
def test_a_refused_file_is_one_line(number, line):
    assert refusal(OSError(number, os.strerror(number), "a.csv")).startswith(line)
    assert refusal(OSError(number, os.strerror(number))) is None, "no file is named"


@pytest.mark.parametrize("error", [FileNotFoundError(errno.ENOENT, "gone", "a"), ValueError("x")])
def test_other_errors_are_no_refusal(error):
    assert refusal(error) is None
