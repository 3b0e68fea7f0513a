"""The ports that processes listen at, and what they answer to a gRPC or HTTP call."""

import socket
import struct
from typing import NamedTuple

import psutil

CALLS = (
    "/ray.rpc.NodeInfoGcsService/CheckAlive",
    "/ray.rpc.NodeManagerService/GetNodeStats",
    "/ray.rpc.ObjectManagerService/Push",
    "/ray.rpc.CoreWorkerService/GetCoreWorkerStats",
)
"""A call of each service that Ray's processes have; a port serves one of them."""
HEADERS, SETTINGS, DATA = 1, 4, 0
END_STREAM, END_HEADERS = 1, 4


class Port(NamedTuple):
    """A port, and the process that listens at it."""

    process: str
    host: str
    number: int


def listening(pid: int) -> list[Port]:
    """Ports of a process and all that it started."""
    found = []
    for process in (psutil.Process(pid), *psutil.Process(pid).children(recursive=True)):
        try:
            for used in process.net_connections(kind="inet"):
                if used.status == psutil.CONN_LISTEN:
                    found.append(Port(process.name(), used.laddr.ip, used.laddr.port))
        except psutil.NoSuchProcess:
            continue
    return found


def grpc_status(port: int, call: str, token: str | None) -> int | None:
    """The status of a gRPC call with an empty message; None where none came."""
    fields = {
        ":method": "POST", ":scheme": "http", ":path": call, ":authority": "ray",
        "content-type": "application/grpc", "te": "trailers",
        **({"authorization": f"Bearer {token}"} if token else {}),
    }  # fmt: skip
    packed = b"".join(b"\0" + _text(name) + _text(value) for name, value in fields.items())
    sent = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + _frame(SETTINGS, 0, 0, b"")
    sent += _frame(HEADERS, END_HEADERS, 1, packed) + _frame(DATA, END_STREAM, 1, bytes(5))
    heard = b""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(sent)
        while (status := _status(heard)) is None:
            more = connection.recv(65536)
            if not more:
                return None
            heard += more
    return status


def _status(heard: bytes) -> int | None:
    """The status in what came, its length in the byte before it; None where it is not whole."""
    _, found, rest = heard.partition(b"grpc-status")
    whole = found and rest and len(rest) > rest[0]
    return int(rest[1 : 1 + rest[0]]) if whole else None


def _text(value: str) -> bytes:
    return bytes([len(value)]) + value.encode()


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    length = struct.pack(">I", len(payload))[1:]
    return length + bytes([kind, flags]) + struct.pack(">I", stream) + payload
