"""This machine's way to the internet, lent to a host by ssh: a proxy on its own loopback.

For a host that has none: pip there chooses what fits the host, which nobody here could for it.
Only encrypted connections go through; whoever is logged in there can use it, while it is lent.
"""

import contextlib
import re
import socket
import subprocess
import threading
from collections.abc import Iterator

from thunder.ground.errors import ThunderError
from thunder.hosts import process
from thunder.hosts.connection import Connection

_HEAD_BYTES = 1 << 14
_CONNECT_SECONDS = 20.0
_FORWARD_SECONDS = 20.0
_LOOK_SECONDS = 0.5
_PORT = 443  # the only one that is led to
_ASKED = re.compile(rb"CONNECT ([\w.-]+):(\d+) HTTP/1\.[01]\r\n")


@contextlib.contextmanager
def network(way: Connection) -> Iterator[dict[str, str]]:
    """Yield the variables that send what is started on a host through this machine.

    The way through ends with the connection.

    Raises:
        ThunderError: its ssh server allows no forwarding.
    """
    ended = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:
        serving = threading.Thread(target=_serve, args=(server, ended), daemon=True)
        serving.start()
        try:
            url = f"http://127.0.0.1:{_forwarded(way, server.getsockname()[1])}"
            yield {"HTTPS_PROXY": url, "https_proxy": url}
        finally:
            ended.set()
            serving.join()


def _forwarded(way: Connection, port: int) -> int:
    """Return the port of the host's loopback that leads to a port of ours."""
    forward = ["-O", "forward", "-R", f"127.0.0.1:0:127.0.0.1:{port}", way.host.ssh]
    ssh, *options = way.transport
    words = [ssh, "-o", "ClearAllForwardings=no", *options, *forward]  # the first one counts
    asking = process.start(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        code = process.wait(asking, _FORWARD_SECONDS)
        out, err = (stream.read().decode() for stream in (asking.stdout, asking.stderr) if stream)
    finally:
        process.end([asking], 0.0)
        for stream in (asking.stdout, asking.stderr):
            stream.close()  # type: ignore[union-attr]
    if code != 0 or not out.strip().isdigit():
        reason = (err.strip().splitlines() or [f"ssh ended with {code}"])[0]
        raise ThunderError(
            f"host {way.host.name}: its ssh server lends no way through ({reason}): allow it by "
            "AllowTcpForwarding in its sshd_config",
            "environment",
        )
    return int(out)


def _serve(server: socket.socket, ended: threading.Event) -> None:
    server.settimeout(_LOOK_SECONDS)
    while not ended.is_set():
        with contextlib.suppress(TimeoutError):
            near, _ = server.accept()
            threading.Thread(target=_connect, args=(near,), daemon=True).start()


def _connect(near: socket.socket) -> None:
    """Answer one request: a connection to port 443 of somewhere, and nothing else."""
    with near, contextlib.suppress(OSError):
        near.settimeout(_CONNECT_SECONDS)
        head = b""
        while b"\r\n\r\n" not in head and len(head) < _HEAD_BYTES and (part := near.recv(4096)):
            head += part
        asked = _ASKED.match(head)
        if not asked or int(asked[2]) != _PORT:
            near.sendall(b"HTTP/1.1 405 only CONNECT to port 443\r\n\r\n")
            return
        try:
            far = socket.create_connection((asked[1].decode(), _PORT), timeout=_CONNECT_SECONDS)
        except OSError:
            near.sendall(b"HTTP/1.1 502 not reached\r\n\r\n")
            return
        with far:
            _join(near, far)


def _join(near: socket.socket, far: socket.socket) -> None:
    """Carry what either end says to the other, until both have ended."""
    for end in (near, far):
        end.settimeout(None)
    near.sendall(b"HTTP/1.1 200 connected\r\n\r\n")
    back = threading.Thread(target=_pump, args=(far, near), daemon=True)
    back.start()
    _pump(near, far)
    back.join()


def _pump(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(1 << 16):
            target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)
