"""A host behind ssh: asked through one pipe, its refusals named, nothing left there or here."""

import dataclasses
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from lab import Lab

from thunder.ground.errors import ThunderError
from thunder.hosts import connection, host, ssh, transfer
from thunder.hosts.connection import Connection, Lost

FAR = Path(connection.__file__).parent / "far"


@pytest.fixture
def mac4(lab: Lab) -> Iterator[Connection]:
    with connection.opened(host.of_site(lab.site())["mac4"]) as opened:
        yield opened


def _refusal(described: host.Host, *, is_settled: bool | None = None) -> str:
    with pytest.raises(ThunderError) as refused, connection.opened(described):
        pass
    assert refused.value.cause == "environment"
    assert is_settled in (None, getattr(refused.value, "is_settled", None))
    return str(refused.value)


def test_a_host_says_what_machine_it_is(mac4: Connection) -> None:
    facts = mac4.call("facts", folder="~/not/there/yet")
    assert (facts["name"], facts["system"]) == ("mac4", "Linux")
    assert facts["home"].endswith("mac4/home")
    assert facts["free_disk"] > 0
    assert facts["memory"] >= facts["free_memory"] > 0
    assert abs(facts["time"] - time.time()) < 5


def test_questions_are_answered_side_by_side(mac4: Connection) -> None:
    begun = time.monotonic()
    with ThreadPoolExecutor(4) as pool:
        answers = [
            pool.submit(mac4.call, "run", words=["sh", "-c", f"sleep 1; echo {n}"], seconds=9)
            for n in range(4)
        ]
        assert [answer.result()["out"] for answer in answers] == [f"{n}\n" for n in range(4)]
    assert time.monotonic() - begun < 3.5


def test_a_command_there_has_a_deadline_and_leaves_nothing(lab: Lab, mac4: Connection) -> None:
    with pytest.raises(ThunderError, match=r"host mac4 \(mac4\): sh: not ended after 0.5 s"):
        mac4.call("run", words=["sh", "-c", "sleep 77 & sleep 78"], seconds=0.5)
    assert not [row for row in lab["mac4"].processes() if "sleep 7" in row]


def test_files_are_written_whole_listed_and_removed_below_one_folder_alone(
    mac4: Connection,
) -> None:
    mac4.call("write", path="~/w/a/b.txt", text="ߒߞߏ\n")
    assert mac4.call("read", path="~/w/a/b.txt") == "ߒߞߏ\n"
    assert mac4.call("read", path="~/w/none") is None
    (row,) = mac4.call("listing", folder="~/w", hashed=True)
    assert (row["path"], row["bytes"], row["link"]) == ("a/b.txt", 7, None)
    assert len(row["sha256"]) == 64
    with pytest.raises(ThunderError, match="not below"):
        mac4.call("remove", path="~/w/../.ssh", below="~/w")
    with pytest.raises(ThunderError, match="is there already"):
        mac4.call("rename", source="~/w/a/b.txt", target="~/w/a")
    mac4.call("remove", path="~/w/a", below="~/w")
    assert mac4.call("listing", folder="~/w") == []
    assert mac4.call("listing", folder="~/nowhere") is None


def test_what_a_detached_process_writes_is_followed_until_it_lets_its_lock_go(
    mac4: Connection,
) -> None:
    script = (
        "import fcntl,time\nlock=open('lock','w');fcntl.flock(lock,2)\n"
        "for n in range(3):\n print(n,flush=True);time.sleep(.4)\n"
    )
    mac4.call("write", path="~/d/script.py", text=script)
    mac4.call("spawn", words=["python3", "script.py"], folder="~/d", log="log")
    said, offset, held = "", 0, True
    deadline = time.monotonic() + 20
    while (held or "2" not in said) and time.monotonic() < deadline:
        part = mac4.call("follow", path="~/d/log", offset=offset, seconds=5, lock="~/d/lock")
        said, offset, held = said + part["text"], part["offset"], part["held"]
    assert (said, held) == ("0\n1\n2\n", False)


def test_the_link_between_hosts_is_measured_from_one_to_the_other(lab: Lab) -> None:
    every = host.of_site(lab.site())
    with connection.opened(every["mac4"]) as one, connection.opened(every["mac5"]) as other:
        port = other.call("listen", address=lab["mac5"].ring, seconds=10)
        took = one.call("ping", address=lab["mac5"].ring, port=port, rounds=20, seconds=5)
        assert 0 < took < 50
        lab["mac5"].cut("ring")
        try:
            with pytest.raises(ThunderError, match="timed out"):
                one.call("ping", address=lab["mac5"].ring, port=port, rounds=1, seconds=1)
        finally:
            lab["mac5"].heal("ring")


def test_when_the_pipe_ends_nothing_is_left_on_either_side(lab: Lab) -> None:
    with connection.opened(host.of_site(lab.site())["mac4"]):
        assert lab["mac4"].processes()
    deadline = time.monotonic() + 5
    while lab["mac4"].processes() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert lab["mac4"].processes() == []
    sockets = Path(lab.folder, "tmp", f"thunder-{os.getuid()}")
    assert [*sockets.iterdir()] == []


def test_a_pipe_that_ends_takes_no_other_one_to_its_host_along(lab: Lab) -> None:
    mac4 = host.of_site(lab.site())["mac4"]
    first = connection.Connection(mac4)
    first.greet()
    with connection.opened(mac4) as second:
        begun = time.monotonic()
        with subprocess.Popen(second.command(["sleep", "2"]), stdin=subprocess.DEVNULL) as riding:
            first.close()
            assert time.monotonic() - begun < 2  # it waited for nobody
            assert second.call("clock") > 0
            assert riding.wait(20) == 0


def test_when_who_asks_is_killed_nothing_is_left_there(lab: Lab) -> None:
    script = (
        "import time\nfrom thunder.hosts import connection, host\n"
        "with connection.opened(host.Host('mac4', 'mac4')):\n print('up', flush=True)\n"
        " time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as asking:
        assert asking.stdout is not None
        assert asking.stdout.readline() == b"up\n"
        asking.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 10
    while lab["mac4"].processes() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert lab["mac4"].processes() == []


def test_a_host_that_no_name_server_knows_is_told_as_that() -> None:
    message = _refusal(host.Host("mac9", "mac9.invalid"))
    assert "host mac9 (mac9.invalid): ssh: Could not resolve hostname" in message
    assert "hosts.mac9.ssh of the site" in message


def test_a_host_that_refuses_is_told_as_that(lab: Lab) -> None:
    message = _refusal(host.Host("mac4", "mac4", port=23))
    assert "Connection refused; nothing answers there on its port" in message


def test_a_host_that_takes_no_key_of_ours_is_told_as_that(lab: Lab) -> None:
    keys = lab.folder / "key.pub"
    before = keys.read_text()
    keys.write_text("")
    try:
        message = _refusal(host.Host("mac4", "mac4"))
    finally:
        keys.write_text(before)
    assert "Permission denied" in message
    assert "ssh-copy-id mac4" in message


def test_a_host_whose_key_is_another_one_than_before_is_told_as_that(lab: Lab) -> None:
    known = lab.folder / "known_hosts"
    before = known.read_text()
    try:
        known.write_text(before.replace(before.split()[2], before.split()[5]))
        changed = _refusal(host.Host("mac4", "mac4"))
        known.write_text("")
        unknown = _refusal(host.Host("mac4", "mac4"))
    finally:
        known.write_text(before)
    assert "another one than before" in changed
    assert "ssh-keygen -R mac4" in changed
    assert "not known here yet" in unknown


def test_a_host_without_python_is_told_as_that(lab: Lab) -> None:
    message = _refusal(host.Host("mac4", "mac4", python="/opt/none/python3"))
    assert "no Python 3.9 or later at '/opt/none/python3'" in message
    assert "hosts.mac4.python of the site" in message


@pytest.mark.parametrize(
    "own",
    [
        "RemoteCommand sh -l\n RequestTTY force",
        "LocalForward 127.0.0.1:{port} localhost:1\n ExitOnForwardFailure yes",
        "ControlMaster auto\n ControlPath {folder}/own-%C\n ControlPersist 3",
        "ProxyJump mac5",
    ],
    ids=["a shell at once", "a port that is taken", "a pipe kept open", "a jump host"],
)
def test_what_a_person_set_for_logging_in_is_in_nobody_s_way(
    lab: Lab, own: str, tmp_path: Path
) -> None:
    config = lab.folder / "ssh_config"
    before = config.read_text()
    (tmp_path / "a").write_text("ߒߞߏ")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        own = own.format(port=taken.getsockname()[1], folder=lab.folder)
        config.write_text(f"Host mac4\n {own}\n{before}")
        try:
            with connection.opened(host.of_site(lab.site())["mac4"]) as way:
                target = way.call("folder", path="~/by-hand")
                transfer.push(way, tmp_path, ["a"], target)
                assert way.call("read", path="~/by-hand/a") == "ߒߞߏ"
        finally:
            config.write_text(before)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("echo welcome", "its shell prints 'welcome' before each command"),
        ("printf '{\"id\": 0}'", "its shell prints"),
        ("read -t 1", "does its shell read its input?"),
    ],
)
def test_a_shell_that_is_in_the_way_of_files_is_told_as_that(
    lab: Lab, line: str, told: str
) -> None:
    start = lab["mac4"].home / ".bashrc"
    start.write_text(f"{line}\n")
    try:
        assert told in _refusal(host.Host("mac4", "mac4"))
        start.write_text("echo welcome >&2; umask 077; cd /\n")
        with connection.opened(host.Host("mac4", "mac4")):
            pass
    finally:
        start.unlink()


def test_a_host_that_loses_power_is_lost_to_who_waits_and_to_who_asks_later(lab: Lab) -> None:
    machine = lab["mac5"]
    with connection.opened(host.of_site(lab.site())["mac5"]) as opened:
        machine.die()
        begun = time.monotonic()
        with pytest.raises(Lost, match=r"host mac5 \(mac5\)"):
            opened.call("read", path="/x", within=1.5)
        assert time.monotonic() - begun < 3
    machine.boot()
    with connection.opened(host.of_site(lab.site())["mac5"]) as again:
        assert again.call("read", path="/x") is None


def test_a_name_that_vanishes_with_its_machine_is_waited_for_where_it_was_known(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    mac5 = host.of_site(lab.site())["mac5"]
    with connection.opened(mac5), lab["mac5"].nameless():
        assert "its name was known a moment ago" in _refusal(mac5, is_settled=False)
        monkeypatch.setattr(connection, "_reached", set())
        assert "no machine of that name" in _refusal(mac5, is_settled=True)


def test_every_word_that_a_host_is_told_is_standard_python_3_9(tmp_path: Path) -> None:
    """No syntax later than 3.9, nothing but the standard library and the agent's own modules."""
    import ast

    for path in FAR.glob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"), feature_version=(3, 9))
        assert not [node for node in ast.walk(tree) if isinstance(node, ast.Match)]
        names = {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        names |= {a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names}
        ours = {name for name in names if name.startswith("thunder.")}
        assert all(name.startswith("thunder.hosts.far") for name in ours), path
        assert {name.partition(".")[0] for name in names - ours} <= sys.stdlib_module_names


def test_what_is_said_of_every_host_holds_where_a_host_does_not_say_otherwise() -> None:
    site = {"every_host": {"workspace": "/w"}, "hosts": {"a": {}, "b": {"workspace": "/own"}}}
    every = host.of_site(site)
    assert [every[name].workspace for name in "ab"] == ["/w", "/own"]
    assert every["a"].ssh == "a"
    assert dataclasses.asdict(host.of_site({"hosts": {"c": {}}})["c"])["python"] == "python3"


def test_the_fast_ciphers_are_offered_first_and_none_that_a_person_left_out(tmp_path: Path) -> None:
    own = "chacha20-poly1305@openssh.com,aes256-ctr,aes256-gcm@openssh.com"
    assert ssh.fastest_first(own) == (
        "aes256-gcm@openssh.com,chacha20-poly1305@openssh.com,aes256-ctr"
    )
    (offered,) = [
        word for word in ssh.transport(host.Host("a", "a"), tmp_path) if "Ciphers=" in word
    ]
    assert offered.startswith("Ciphers=aes128-gcm@openssh.com,aes256-gcm@openssh.com,")
