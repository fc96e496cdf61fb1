"""A host without internet is lent this machine's, for as long as its way is open."""

import socket
import threading
import time
from collections.abc import Iterator

import pytest
from lab import Lab

from thunder.ground.errors import ThunderError
from thunder.hosts import connection, host, lending
from thunder.hosts.connection import Connection

pytestmark = pytest.mark.slow

ASK = """
import os, socket, sys
way = socket.create_connection(("127.0.0.1", int(os.environ["HTTPS_PROXY"].rpartition(":")[2])))
way.settimeout(20)
way.sendall(sys.argv[1].encode() + b" HTTP/1.1\\r\\n\\r\\n")
print(way.recv(1 << 12).decode().split("\\r\\n")[0])
way.sendall(b"ping")
print(way.recv(4).decode())
"""


@pytest.fixture
def mac4(lab: Lab) -> Iterator[Connection]:
    with connection.opened(host.Host("mac4", "mac4")) as opened:
        yield opened


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """Somewhere on the internet: an echo that this machine alone reaches."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        monkeypatch.setattr(lending, "_PORT", listening.getsockname()[1])

        def echo() -> None:
            way, _ = listening.accept()
            with way:
                way.sendall(way.recv(4))

        threading.Thread(target=echo, daemon=True).start()
        yield listening


def _said(way: Connection, word: str, variables: dict[str, str]) -> list[str]:
    words = ["python3", "-c", ASK, word]
    done = way.call("run", words=words, seconds=25, environment=variables)
    return str(done["out"]).splitlines()


def test_what_a_host_asks_for_comes_by_this_machine_while_it_is_lent(
    lab: Lab, mac4: Connection, server: socket.socket
) -> None:
    port = server.getsockname()[1]
    with lending.network(mac4) as variables:
        said = _said(mac4, f"CONNECT 127.0.0.1:{port}", variables)
    assert said == ["HTTP/1.1 200 connected", "ping"]
    assert "HTTP/1.1 200 connected" not in _said(mac4, f"CONNECT 127.0.0.1:{port}", variables)


@pytest.mark.parametrize("word", ["CONNECT 127.0.0.1:22", "GET http://127.0.0.1/"])
def test_nothing_but_an_encrypted_connection_is_led_on(
    lab: Lab, mac4: Connection, word: str
) -> None:
    with lending.network(mac4) as variables:
        assert _said(mac4, word, variables)[0] == "HTTP/1.1 405 only CONNECT to port 443"


def test_an_ssh_server_that_forwards_nothing_is_told_as_that(lab: Lab) -> None:
    machine = lab["mac5"]
    config = machine.folder / "sshd_config"
    before = config.read_text()
    machine.die()
    config.write_text(before + "AllowTcpForwarding no\n")
    machine.boot()
    try:
        with (
            connection.opened(host.Host("mac5", "mac5")) as way,
            pytest.raises(ThunderError, match=r"(?s)lends no way through .*AllowTcpForwarding"),
            lending.network(way),
        ):
            pass
    finally:
        machine.die()
        config.write_text(before)
        machine.boot()


def test_nothing_is_left_on_either_side(lab: Lab) -> None:
    with connection.opened(host.Host("mac4", "mac4")) as way, lending.network(way):
        pass
    deadline = time.monotonic() + 5
    while lab["mac4"].processes() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert lab["mac4"].processes() == []
    assert [thread for thread in threading.enumerate() if "_serve" in thread.name] == []
