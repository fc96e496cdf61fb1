"""The way from this machine to another, measured: one listens, the other sends it bytes."""

from __future__ import annotations

import contextlib
import socket
import threading
import time

from thunder.hosts.far.refusal import Refused


def free_ports(address: str, count: int) -> list[int]:
    """Return ports of an address that nobody listens on now; another may still take one."""
    servers = [socket.socket() for _ in range(count)]
    try:
        for server in servers:
            server.bind((address, 0))
        return [int(server.getsockname()[1]) for server in servers]
    finally:
        for server in servers:
            server.close()


def listen(address: str, seconds: float) -> int:
    """Send back what comes to a free port of an address, for so long; returns the port."""
    server = socket.create_server((address, 0))
    threading.Thread(target=_echo, args=(server, seconds), daemon=True).start()
    return int(server.getsockname()[1])


def ping(address: str, port: int, rounds: int, seconds: float) -> float:
    """Return how long a byte takes to a port and back: the median, in milliseconds."""
    taken = []
    with socket.create_connection((address, port), timeout=seconds) as way:
        way.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for _ in range(rounds):
            begun = time.perf_counter()
            way.sendall(b".")
            if not way.recv(1):
                raise Refused(f"{address}:{port} hung up")
            taken.append(time.perf_counter() - begun)
    return sorted(taken)[rounds // 2] * 1000


def _echo(server: socket.socket, seconds: float) -> None:
    server.settimeout(seconds)
    with contextlib.suppress(OSError), server:  # perhaps nobody comes
        way, _ = server.accept()
        with way:
            way.settimeout(seconds)
            way.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while data := way.recv(1 << 12):
                way.sendall(data)
