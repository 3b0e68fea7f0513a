"""What a raylet runs for each of its workers: asks the fork server for one, and starts it as Ray
does where that does not answer. Imports no more than it needs."""

import json
import os
import socket
import sys
from typing import Any

ADDRESS = "TL_SWEEP_FORK_SERVER"
"""Variable with the name of the fork server's socket, which is in no folder."""
SET_UP = "--serialized-runtime-env-context="
LANGUAGE = "--language="
"""Arguments that Ray takes off before the worker sees the others."""
SET_BY_NAME = ("env_vars", "py_executable")
"""What may be set in a worker's environment for one that is forked."""


def main(arguments: list[str]) -> None:
    """Have a worker started.

    Args:
        arguments: the worker's file and its arguments.
    """
    request = request_of(arguments)
    if request is None or not _is_forked(request, os.environ[ADDRESS]):
        setup = os.path.join(os.path.dirname(arguments[0]), "setup_worker.py")
        os.execv(sys.executable, [sys.executable, setup, *arguments])


def request_of(arguments: list[str]) -> dict[str, Any] | None:
    """What the fork server is told of a worker; None of one that it cannot fork."""
    (told,) = [a.removeprefix(SET_UP) for a in arguments if a.startswith(SET_UP)] or ["{}"]
    context = {name: value for name, value in json.loads(told).items() if value}
    variables = context.get("env_vars", {})
    other = set(context) - set(SET_BY_NAME)
    elsewhere = context.get("py_executable", sys.executable) != sys.executable
    if other or elsewhere or any("$" in value for value in variables.values()):
        return None
    import resource  # not there on Windows, where nothing is forked

    variables = {**os.environ, **variables}
    variables.pop(ADDRESS, None)  # for no process but a raylet's
    return {
        "arguments": [a for a in arguments if not a.startswith((SET_UP, LANGUAGE))],
        "variables": variables,
        "folder": os.getcwd(),
        "open_files": resource.getrlimit(resource.RLIMIT_NOFILE),
    }


def _is_forked(request: dict[str, Any], address: str) -> bool:
    try:
        with socket.socket(socket.AF_UNIX) as server:
            server.connect(f"\0{address}")
            socket.send_fds(server, [b" "], [0, 1, 2])
            server.sendall(json.dumps(request).encode())
            server.shutdown(socket.SHUT_WR)
            return server.recv(1) != b""
    except OSError:
        return False


if __name__ == "__main__":
    main(sys.argv[1:])
