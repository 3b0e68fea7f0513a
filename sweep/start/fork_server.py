"""A process that forks each worker which Ray asks for from what the driver has imported.

A worker begins after some hundredths of a second then, and shares the memory of what is imported.
Of Ray's own workers each imports Ray twice, and then what it does: 1 to 5 seconds of a processor.
"""

import contextlib
import gc
import importlib
import json
import os
import random
import runpy
import secrets
import select
import signal
import socket
import struct
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sweep.ray_internals import draws_of_forks_differ, importing_for_workers
from sweep.start.forking import forked, pipe_of_driver
from sweep.start.worker_launcher import ADDRESS

NEEDED = (
    "ray",
    "sweep.engine.desk",
    "sweep.trial.slot",
    "sweep.trial.training",
)
"""What workers import."""
REQUEST_BYTES = 65_536
ASKING_SECONDS = 10
"""Who asks has this long."""
MOST_WAITING = 64
PEER = struct.Struct("3i")
"""Process, user and group of who asks."""
FIRST_TO_GO = "1000"
NO_GPU_TAKEN = {"PYTORCH_NVML_BASED_CUDA_CHECK": "1"}
"""With it torch tells of GPUs without using them, after which forked processes could not."""
servers: list["ForkServer"] = []
"""That of this process."""


class ForkServer:
    """Its address, and then the server itself, which lives as long as this process.

    Until `start`, workers wait for it; where that starts none, they start as Ray does it.
    """

    def __init__(self) -> None:
        self.name = f"tl-sweep-{secrets.token_hex(16)}"
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(f"\0{self.name}")  # in no folder
        self.listener.listen(MOST_WAITING)
        servers.append(self)

    def variables(self) -> dict[str, str]:
        """What the environment of a raylet must have, so that it finds the server."""
        return {ADDRESS: self.name}

    def load(self, modules: Sequence[str] = ()) -> None:
        """Import Ray, which must not have been before, what workers need, and other modules."""
        gc.disable()  # it would search all that is imported again and again
        try:
            with importing_for_workers(**NO_GPU_TAKEN):
                for module in NEEDED:
                    importlib.import_module(module)
                for module in modules:
                    with contextlib.suppress(Exception):  # who needs it will say it
                        importlib.import_module(module)
        finally:
            gc.enable()

    def start(self) -> None:
        """Fork it, unless forked processes could not be workers; this process has one thread."""
        import torch

        with self.listener, contextlib.suppress(OSError):  # no room for a process
            if not torch.cuda.is_initialized() and draws_of_forks_differ():
                of_server, self.of_driver = pipe_of_driver()
                forked(lambda: self._serve(of_server), self.listener.fileno(), of_server)
                os.close(of_server)
                return
        servers.remove(self)

    def _serve(self, driver_lives: int) -> int:
        """Fork a worker for each that asks, until the driver ends; as a worker, work."""
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the workers
        while True:
            ready, _, _ = select.select([self.listener.fileno(), driver_lives], [], [])
            if driver_lives in ready:
                return 0
            try:
                asking, _ = self.listener.accept()
            except ConnectionError:  # who asks has gone
                continue
            request = None
            with contextlib.suppress(OSError), asking:
                asking.settimeout(ASKING_SECONDS)
                request = _forked_for(asking)
            if request is not None:
                self.listener.close()
                os.close(driver_lives)
                _work(**request)
                return 0


def _forked_for(asking: socket.socket) -> dict[str, Any] | None:
    """Fork a worker for who asks; what it is asked to do, in that process alone.

    Raises:
        OSError: who asked has gone, or the system has no room for a process.
    """
    peer = asking.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, PEER.size)
    if PEER.unpack(peer)[1] != os.getuid():  # another user's
        return None
    _, files, _, _ = socket.recv_fds(asking, 1, 3)
    try:
        told = b"".join(iter(lambda: asking.recv(REQUEST_BYTES), b""))
        if os.fork() == 0:
            for number, file in enumerate(files):
                os.dup2(file, number)
            return dict(json.loads(told))
    finally:
        for file in files:
            os.close(file)
    asking.sendall(b" ")
    return None


def _work(
    arguments: list[str], variables: dict[str, str], folder: str, open_files: list[int]
) -> None:
    """Be the worker that was asked for, as if Python had run its file.

    Args:
        arguments: the file and its arguments.
        variables: all of its environment.
        folder: where it works.
        open_files: how many it may have open, and how many it may allow itself.
    """
    import resource  # not there on Windows, where nothing is forked

    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.setpgid(0, 0)
    os.environ.clear()
    os.environ.update(variables)
    os.chdir(folder)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (open_files[0], open_files[1]))
    with contextlib.suppress(OSError):  # where memory is short, it goes before the driver
        Path("/proc/self/oom_score_adj").write_text(FIRST_TO_GO)
    _begin_anew()
    sys.argv[:] = arguments
    sys.path[0] = str(Path(arguments[0]).parent)
    runpy.run_path(arguments[0], run_name="__main__")


def _begin_anew() -> None:
    """Have random numbers of its own, and the threads that Ray gives a process."""
    import numpy
    import threadpoolctl
    import torch

    random.seed()
    numpy.random.seed()  # noqa: NPY002  # that of others' code
    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(1)
        threadpoolctl.threadpool_limits(1, user_api="blas")  # of NumPy and SciPy
