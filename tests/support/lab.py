"""Hosts as namespaces: each with its own sshd, home, process tree and links, on this machine.

A host has two links: the one that ssh comes by, and `ring`, which joins the hosts to each other as
a Thunderbolt cable does. Killing its first process is a loss of power. It needs root.
"""

import contextlib
import fcntl
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

_SLOTS = 200
_UP_SECONDS = 20.0
_PROGRAMS = ("ip", "tc", "unshare", "nsenter", "ssh", "ssh-keygen", "rsync", "/usr/sbin/sshd")


def lacking() -> str:
    """Say why no hosts can be made on this machine; nothing where they can."""
    if missing := [name for name in _PROGRAMS if not shutil.which(name)]:
        return f"{', '.join(missing)} missing: tests/needs.sh"
    if os.geteuid() != 0:
        return "hosts are made of namespaces, which needs root"
    made = subprocess.run(["unshare", "--net", "--mount", "--pid", "--fork", "true"], check=False)
    return "" if made.returncode == 0 else "this machine makes no namespaces"


@dataclass
class Machine:
    """A host of the lab."""

    lab: "Lab"
    name: str
    number: int
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def folder(self) -> Path:
        return self.lab.folder / self.name

    @property
    def home(self) -> Path:
        return self.folder / "home"

    @property
    def address(self) -> str:
        """Where its sshd is."""
        return f"10.77.{self.lab.slot}.{10 + self.number}"

    @property
    def ring(self) -> str:
        """Its address on the link between the hosts."""
        return f"10.78.{self.lab.slot}.{10 + self.number}"

    @property
    def space(self) -> str:
        return f"{self.lab.prefix}{self.number}"

    def boot(self) -> None:
        """Start the machine; returns when its sshd listens."""
        for link in ("ssh", "ring"):
            self.heal(link)
        script = (
            f"hostname {self.name}; mount --bind {self.folder}/passwd /etc/passwd; "
            f"export HOME={self.home}; cd; "
            f"/usr/sbin/sshd -D -e -f {self.folder}/sshd_config & "
            "while :; do wait -n; sleep .2; done"
        )
        words = ["ip", "netns", "exec", self.space, "unshare", "--mount", "--pid", "--uts",
                 "--fork", "--kill-child", "--mount-proc", "bash", "-c", script]  # fmt: skip
        with (self.folder / "sshd.log").open("ab") as log:
            self.process = subprocess.Popen(
                words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                env={"PATH": os.environ["PATH"], "LANG": "C.UTF-8"},
            )  # fmt: skip
        deadline = time.monotonic() + _UP_SECONDS
        while b"listening" not in (self.folder / "sshd.log").read_bytes().rpartition(b"@boot")[2]:
            assert time.monotonic() < deadline, (self.folder / "sshd.log").read_text()
            time.sleep(0.02)

    def die(self) -> None:
        """Lose power: every process is gone at once, and says nothing."""
        if self.process is not None and self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self.process = None
        for link in ("ssh", "ring"):  # else its kernel, which is ours, would refuse by a word
            self.cut(link)
        with (self.folder / "sshd.log").open("ab") as log:
            log.write(b"@boot\n")

    def cut(self, link: str = "ssh") -> None:
        """Pull the cable of a link, `ssh` or `ring`: what is sent vanishes."""
        _ip("-n", self.lab.switch(link), "link", "set", "dev", f"p{self.number}", "down")

    def heal(self, link: str = "ssh") -> None:
        _ip("-n", self.lab.switch(link), "link", "set", "dev", f"p{self.number}", "up")

    @contextlib.contextmanager
    def nameless(self) -> Iterator[None]:
        """Let nobody know its name while the block runs, as that of a Mac that starts anew."""
        config = self.lab.folder / "ssh_config"
        before = config.read_text()
        config.write_text(before.replace(f"HostName {self.address}\n", "HostName none.invalid\n"))
        try:
            yield
        finally:
            config.write_text(before)

    @contextlib.contextmanager
    def slow(self, megabits: int) -> Iterator[None]:
        """Let no more go through the link that ssh comes by, each way, while the block runs."""
        ends = [(self.lab.switch("ssh"), f"p{self.number}"), (self.space, "eth0")]
        rate = ["tbf", "rate", f"{megabits}mbit", "burst", "128kb", "latency", "200ms"]
        for space, device in ends:
            _ip("netns", "exec", space, "tc", "qdisc", "replace", "dev", device, "root", *rate)
        try:
            yield
        finally:
            for space, device in ends:
                _ip("netns", "exec", space, "tc", "qdisc", "delete", "dev", device, "root")

    def run(self, *words: str) -> "subprocess.CompletedProcess[str]":
        """Run a command in the machine, not by way of ssh."""
        inner = subprocess.run(["pgrep", "-P", str(self._unshared())], capture_output=True,
                               text=True, check=True).stdout.split()[0]  # fmt: skip
        enter = ["nsenter", "--target", inner, "--all", "--wd=/", *words]
        return subprocess.run(enter, capture_output=True, text=True, timeout=60, check=False,
                              env={**os.environ, "HOME": str(self.home)})  # fmt: skip

    def processes(self) -> list[str]:
        """The commands that run there, but for sshd itself and what starts it."""
        # Without -ww, COLUMNS cuts a long command short of its words.
        rows = self.run("ps", "-ww", "-eo", "pid=,args=").stdout.splitlines()
        own = ("sshd", "bash -c hostname", "ps -ww", "sleep .2")
        return [row for row in rows if not any(word in row for word in own)]

    def _unshared(self) -> int:
        """The process of `unshare`, whose child is the machine's first one."""
        assert self.process is not None
        return self.process.pid  # `ip netns exec` becomes it

    def write(self) -> None:
        """Write what its sshd reads."""
        self.home.mkdir(parents=True)
        lines = Path("/etc/passwd").read_text().splitlines()
        root = f"root:x:0:0:root:{self.home}:/bin/bash"
        (self.folder / "passwd").write_text(
            "\n".join([root, *(line for line in lines if not line.startswith("root:"))]) + "\n"
        )
        _keygen(self.folder / "hostkey")
        (self.folder / "sshd_config").write_text(
            f"Port 22\nListenAddress {self.address}\nHostKey {self.folder}/hostkey\n"
            f"PidFile none\nAuthorizedKeysFile {self.lab.folder}/key.pub\nStrictModes no\n"
            "UsePAM no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n"
            "PermitRootLogin prohibit-password\nMaxSessions 50\nMaxStartups 100\nPrintMotd no\n"
            "LogLevel INFO\n"
        )


@dataclass
class Lab:
    """Hosts, joined to this machine by one network and to each other by another.

    Args:
        environment: what a process needs to reach them by their names.
    """

    folder: Path
    slot: int
    machines: dict[str, Machine] = field(default_factory=dict)

    @property
    def prefix(self) -> str:
        return f"th{self.slot}h"

    @property
    def environment(self) -> dict[str, str]:
        return {
            "PATH": f"{self.folder}/bin{os.pathsep}{os.environ['PATH']}",
            "TMPDIR": str(self.folder / "tmp"),
        }

    def __getitem__(self, name: str) -> Machine:
        return self.machines[name]

    def switch(self, link: str) -> str:
        return f"th{self.slot}{link}"

    def site(self, name: str = "lab", *, ranks_on: Sequence[str] = (), **more: object) -> dict:
        """A site of its hosts, in which every one has the Python and packages of this process."""
        return {
            "name": name,
            "runs_on": "local",
            "ranks_on": [{"name": one, "address": self[one].ring} for one in ranks_on]
            or [{"name": "localhost", "address": "127.0.0.1"}],
            "every_host": {"python": "/usr/bin/python3", "environment": sys.executable},
            "hosts": {one: {} for one in self.machines},
            "models": {},
            "data": {},
            **more,
        }

    def up(self, names: Sequence[str]) -> None:
        """Make the hosts and start them."""
        (self.folder / "tmp").mkdir()
        _keygen(self.folder / "key")
        for link in ("ssh", "ring"):
            _ip("netns", "add", self.switch(link))
            _ip("-n", self.switch(link), "link", "add", "name", "br0", "type", "bridge")
            _ip("-n", self.switch(link), "link", "set", "dev", "br0", "up")
        ours = f"th{self.slot}ctl"
        _ip("link", "add", ours, "type", "veth", "peer", "name", "ctl", "netns", self.switch("ssh"))
        _ip("address", "add", f"10.77.{self.slot}.1/24", "dev", ours)
        _ip("link", "set", "dev", ours, "up")
        _ip("-n", self.switch("ssh"), "link", "set", "dev", "ctl", "master", "br0", "up")
        for number, name in enumerate(names):
            machine = self.machines[name] = Machine(self, name, number)
            self._plug(machine)
            machine.write()
        self._write_ssh()
        for machine in self.machines.values():
            machine.boot()

    def _plug(self, machine: Machine) -> None:
        _ip("netns", "add", machine.space)
        _ip("-n", machine.space, "link", "set", "dev", "lo", "up")
        for link, device, address in (
            ("ssh", "eth0", machine.address), ("ring", "ring0", machine.ring),
        ):  # fmt: skip
            peer, switch = f"p{machine.number}", self.switch(link)
            _ip("-n", machine.space, "link", "add", device, "type", "veth", "peer", "name", peer,
                "netns", switch)  # fmt: skip
            _ip("-n", machine.space, "address", "add", f"{address}/24", "dev", device)
            _ip("-n", machine.space, "link", "set", "dev", device, "up")
            _ip("-n", switch, "link", "set", "dev", peer, "master", "br0", "up")

    def _write_ssh(self) -> None:
        known, config = [], []
        for name, machine in self.machines.items():
            key = " ".join((machine.folder / "hostkey.pub").read_text().split()[:2])
            known.append(f"{machine.address} {key}\n")
            config.append(
                f"Host {name}\n HostName {machine.address}\n User root\n"
                f" IdentityFile {self.folder}/key\n IdentitiesOnly yes\n"
                f" UserKnownHostsFile {self.folder}/known_hosts\n StrictHostKeyChecking yes\n"
            )
        (self.folder / "known_hosts").write_text("".join(known))
        (self.folder / "ssh_config").write_text("".join(config))
        # In place of ~/.ssh/config, which is the person's whose machine this is.
        shim = self.folder / "bin/ssh"
        shim.parent.mkdir()
        shim.write_text(f'#!/bin/sh\nexec {shutil.which("ssh")} -F {self.folder}/ssh_config "$@"\n')
        shim.chmod(0o755)

    def down(self) -> None:
        """Leave nothing behind."""
        for machine in self.machines.values():
            machine.die()
        subprocess.run(["ip", "link", "delete", f"th{self.slot}ctl"], check=False)
        spaces = [machine.space for machine in self.machines.values()]
        for space in [*spaces, self.switch("ssh"), self.switch("ring")]:
            subprocess.run(["ip", "netns", "delete", space], check=False, capture_output=True)


@contextlib.contextmanager
def hosts(*names: str) -> Iterator[Lab]:
    """Hosts of these names, up while the block runs."""
    with _slot() as slot, tempfile.TemporaryDirectory(prefix="lab-", dir="/tmp") as folder:
        lab = Lab(Path(folder), slot)
        try:
            lab.up(names)
            yield lab
        finally:
            lab.down()


@contextlib.contextmanager
def _slot() -> Iterator[int]:
    """A number that no other lab on this machine has: of its networks and its namespaces."""
    for slot in range(_SLOTS):
        with Path(f"/tmp/thunder-lab-{slot}.lock").open("w") as stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            if Path(f"/run/netns/th{slot}ssh").exists():  # of a lab whose process was killed
                continue
            yield slot
            return
    raise AssertionError("too many labs")


def _keygen(path: Path) -> None:
    words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)]
    subprocess.run(words, check=True)


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)
