"""Every use of names that Ray does not publish. Where one is missing, sweeps run without it.

This costs memory of ended trials, lines of Ray's log in the terminal, and seconds at the start; a
signal to a whole group of processes then ends Ray before the driver has written all; and of a
cluster it is not known whether it demands a token.
"""

import contextlib
import enum
import functools
import logging
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

ASK = """
import sys
try:
    from ray._raylet import GcsClient
except ImportError:
    sys.exit(3)
try:
    GcsClient(address=sys.argv[1])
except Exception as error:
    sys.exit(2 if "Unauthenticated" in str(error) or "InvalidAuthToken" in str(error) else 3)
"""
"""A process asks the head of a cluster for its name; Ray reads its token once a process."""
ASK_SECONDS = 30


class Answer(enum.Enum):
    """What a cluster did with a request; the values are exit codes of `ASK`."""

    OPEN = 0
    """It answered."""
    CLOSED = 2
    """It refused the token, or its lack."""
    UNKNOWN = 3
    """No answer, or this Ray cannot be asked."""


def answer_of(address: str, environment: Mapping[str, str]) -> Answer:
    """What the cluster at HOST:PORT answers to a process with these variables."""
    try:
        done = subprocess.run(
            [sys.executable, "-c", ASK, address],
            env=dict(environment),
            capture_output=True,
            timeout=ASK_SECONDS,
        )
    except subprocess.TimeoutExpired:
        return Answer.UNKNOWN
    codes = [answer.value for answer in Answer]
    return Answer(done.returncode) if done.returncode in codes else Answer.UNKNOWN


@contextlib.contextmanager
def worker_messages_to(logger: logging.Logger) -> Iterator[None]:
    """Log what Ray says of a process that died, which it prints without this."""
    try:
        from ray._private import worker

        printed = worker.print_to_stdstream
    except (ImportError, AttributeError):
        yield
        return

    def log(data: dict[str, Any], *others: Any, **named: Any) -> None:
        for line in data.get("lines", []):
            logger.error("%s: %s", data.get("pid"), line)

    worker.print_to_stdstream = log
    try:
        yield
    finally:
        worker.print_to_stdstream = printed


@contextlib.contextmanager
def only_needed_processes(launcher: Path | None = None) -> Iterator[None]:
    """Have Ray start no process for its dashboard, its autoscaler and printing workers' output.

    Each takes about a second of a processor, and Ray waits for the first of them.

    Args:
        launcher: a file that the raylet is to run for each worker; None: Ray's own.
    """
    try:
        from ray._private import node, parameter

        started = node.Node.start_api_server
        given: Any = parameter.RayParams
        lean = functools.partial(given, include_log_monitor=False, no_monitor=True)
        if launcher is not None:
            lean = functools.partial(lean, setup_worker_path=str(launcher))
        lean()
    except (ImportError, AttributeError, TypeError):
        yield
        return

    def start_nothing(self: object, **named: object) -> None:
        pass

    node.Node.start_api_server, parameter.RayParams = start_nothing, lean  # type: ignore[misc,method-assign,assignment]
    try:
        yield
    finally:
        node.Node.start_api_server, parameter.RayParams = started, given  # type: ignore[misc,method-assign]


@contextlib.contextmanager
def importing_for_workers(**variables: str) -> Iterator[None]:
    """Let processes that are forked from this one after the block be workers of Ray.

    Ray reads, as it is imported in the block, of which job a worker is, here of any, and the
    process without which it ends, here this one. It draws no random numbers, of which all forked
    processes would draw the same from then on.

    Args:
        variables: of the environment, in the block.
    """
    of_a_worker = {"RAY_JOB_ID": "ffffffff", "RAY_RAYLET_PID": str(os.getpid()), **variables}
    before = {name: os.environ.get(name) for name in of_a_worker}
    os.environ.update(of_a_worker)
    try:
        with _classes_named_by_python():
            yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            os.environ.update({} if value is None else {name: value})


@contextlib.contextmanager
def _classes_named_by_python() -> Iterator[None]:
    try:
        from ray import actor

        given: Any = actor.ActorClassID
        given(os.urandom(given.size()))
    except (ImportError, AttributeError, TypeError, ValueError):
        yield
        return

    class Named:
        @staticmethod
        def from_random() -> Any:
            return given(os.urandom(given.size()))

    actor.ActorClassID = Named  # type: ignore[misc,assignment]
    try:
        yield
    finally:
        actor.ActorClassID = given  # type: ignore[misc]


def draws_of_forks_differ() -> bool:
    """Whether processes that are forked from this one draw names of their own in Ray."""
    import ray

    draws = []
    for _ in range(2):
        reader, writer = os.pipe()
        if os.fork() == 0:
            try:
                os.write(writer, ray.WorkerID.from_random().binary())
            finally:
                os._exit(0)
        os.close(writer)
        with open(reader, "rb") as answer:
            draws.append(answer.read())
        os.wait()
    return draws[0] != draws[1]


@contextlib.contextmanager
def sessions_of_their_own() -> Iterator[None]:
    """Have Ray's processes hear no signal that a terminal, or `timeout`, sends to a command's.

    They would end at once, and this process could do nothing any more.
    """
    try:
        from ray._private import services

        start: Any = services.ConsolePopen
    except (ImportError, AttributeError):
        yield
        return
    alone: Any = functools.partial(start, start_new_session=True)
    services.ConsolePopen = alone  # type: ignore[misc]
    try:
        yield
    finally:
        services.ConsolePopen = start  # type: ignore[misc]


def forget_results(trial: Any) -> None:
    """Free what Tune keeps of an ended trial's results: most of what it takes in memory."""
    with contextlib.suppress(AttributeError):
        trial.evaluated_params = {}
    metadata = getattr(trial, "run_metadata", None)
    for name in ("last_result", "metric_analysis", "metric_n_steps"):
        kept = getattr(metadata, name, None)
        if isinstance(kept, dict):
            kept.clear()
