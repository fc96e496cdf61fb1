"""The system's ssh: how it is called, and what its refusals mean.

A person's own ~/.ssh/config decides aliases, jump hosts, users, keys and agents.
"""

import functools
import os
import subprocess
import tempfile
import uuid
from pathlib import Path

from thunder.ground.errors import ThunderError
from thunder.hosts import process
from thunder.hosts.host import Host

CONNECT_SECONDS = 15
# A cable that is out for less is waited for; one that is out for good is noticed after this.
SILENT_SECONDS = 30
REFUSED = 255  # what ssh itself ends with, when no command was run
NO_COMMAND = (126, 127)  # what a shell ends with that finds no such program
_FAST = ("aes128-gcm@openssh.com", "aes256-gcm@openssh.com")
_LONGEST_SOCKET = 104  # bytes of a socket's path on macOS, its end included
_NAME_LENGTH = 16
_SOCKET_NAME = _NAME_LENGTH + 18  # what ssh adds until it is listened to, and an end

# What ssh says last, and what that means for who reads it.
_MEANINGS = (
    ("REMOTE HOST IDENTIFICATION HAS CHANGED",
     "its host key is another one than before: make sure that it is the same machine, then "
     "ssh-keygen -R {ssh}"),
    ("Host key verification failed",
     "its host key is not known here yet: connect once by hand, ssh {ssh}, and compare the key"),
    ("Could not resolve hostname",
     "no machine of that name: add it to ~/.ssh/config, or correct hosts.{name}.ssh of the site"),
    ("Name or service not known",
     "no machine of that name: add it to ~/.ssh/config, or correct hosts.{name}.ssh of the site"),
    ("Permission denied",
     "it takes none of your keys: ssh-copy-id {ssh}, or ssh-add a key that has a passphrase"),
    ("Too many authentication failures",
     "it was offered too many keys: name one by IdentityFile and IdentitiesOnly in ~/.ssh/config"),
    ("Connection refused",
     "nothing answers there on its port: turn its ssh server on (macOS: Sharing, Remote Login)"),
    ("No route to host", "the way there is down: is it awake, and on this network?"),
    ("Network is unreachable", "the way there is down: is this machine on its network?"),
    ("timed out", "it does not answer: is it awake, and on this network?"),
    (" is too old", "3.9 or later is needed: name one by hosts.{name}.python of the site"),
)  # fmt: skip
_NO_NAME = ("Could not resolve hostname", "Name or service not known")
_OF_A_MOMENT = ("Connection refused", "No route to host", "Network is unreachable", "timed out")


def socket() -> Path:
    """Return where a pipe to a host can be shared: no other one has it, of any process.

    Whoever opened a pipe takes all that go by it along when it ends, so that it is shared only by
    those who end first.
    """
    return _sockets() / uuid.uuid4().hex[:_NAME_LENGTH]


def transport(host: Host, shared: Path, is_opening: bool = False) -> list[str]:
    """Return ssh with its options.

    Args:
        shared: the socket of the pipe that is gone by, if it is open.
        is_opening: whether this is the pipe that others go by.
    """
    options = {
        "BatchMode": "yes",  # a question would wait for ever
        "ConnectTimeout": str(CONNECT_SECONDS),
        "ServerAliveInterval": "5",
        "ServerAliveCountMax": str(SILENT_SECONDS // 5),
        "ControlMaster": "yes" if is_opening else "no",
        "ControlPath": str(shared),
        "ControlPersist": "no",  # nothing stays behind when the last command has ended
        "LogLevel": "ERROR",
        # What ~/.ssh/config may have for whoever logs in by hand.
        "RemoteCommand": "none",
        "RequestTTY": "no",
        "ClearAllForwardings": "yes",
    }
    if ciphers := _ciphers(host.ssh):
        options["Ciphers"] = ciphers
    port = [] if host.port is None else ["-p", str(host.port)]
    return ["ssh", *(word for pair in options.items() for word in ("-o", "=".join(pair))), *port]


def fastest_first(ciphers: str) -> str:
    """Return ciphers in the order of how fast they are where a processor knows AES, as all do now.

    Nothing that a person left out comes in: the same ciphers, those of ssh's own order last.
    """
    names = ciphers.split(",")
    return ",".join(sorted(names, key=lambda name: name not in _FAST))


@functools.cache
def _ciphers(name: str) -> str:
    """Return the ciphers that ssh would offer to a machine, the fastest first."""
    asked = process.start(["ssh", "-G", name], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    process.wait(asked, CONNECT_SECONDS)  # a ~/.ssh/config may run programs
    process.end([asked], 0.0)
    with asked.stdout as stream:  # type: ignore[union-attr]
        said = stream.read()
    settings = dict(line.partition(" ")[::2] for line in said.decode(errors="replace").splitlines())
    return fastest_first(settings["ciphers"]) if "ciphers" in settings else ""


def refusal(host: Host, said: str, code: int, *, was_reached: bool = False) -> ThunderError:
    """Return what it means that a host could not be worked with.

    Args:
        said: what ssh, or the shell there, printed.
        code: its exit code.
        was_reached: whether this process has reached it before.
    """
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    last = lines[-1] if lines else f"ssh ended with {code} and said nothing"
    if code in NO_COMMAND:
        advice = f"no Python 3.9 or later at {host.python!r}: install it, or name it by " + (
            f"hosts.{host.name}.python of the site"
        )
    elif was_reached and any(words in said for words in _NO_NAME):
        advice = "its name was known a moment ago: is it awake, and on this network?"
    else:
        advice = next((text for words, text in _MEANINGS if words in said), "")
    meaning = f"; {advice.format(ssh=host.ssh, name=host.name)}" if advice else ""
    return ThunderError(f"host {host.name} ({host.ssh}): {last}{meaning}", "environment")


def is_settled(said: str, code: int, *, was_reached: bool = False) -> bool:
    """Say whether what ssh printed stays so until a person has seen to it.

    A name of the local network (`.local`) goes with its machine, and comes again when it is up.
    """
    passing = (*_OF_A_MOMENT, *(_NO_NAME if was_reached else ()))
    return code in NO_COMMAND or any(
        words in said for words, _ in _MEANINGS if words not in passing
    )


def _sockets() -> Path:
    """Return the folder of this person's sockets, nobody else's, with a path that is short enough.

    Raises:
        ThunderError: somebody else made a folder of that name.
    """
    name = f"thunder-{os.getuid()}"
    folder = Path(tempfile.gettempdir(), name)
    if len(os.fsencode(folder)) + 1 + _SOCKET_NAME > _LONGEST_SOCKET:
        folder = Path("/tmp", name)  # checked below for whose it is
    folder.mkdir(mode=0o700, exist_ok=True)
    seen = folder.lstat()
    if seen.st_uid != os.getuid() or seen.st_mode & 0o077 or not folder.is_dir():
        raise ThunderError(f"{folder}: others can write there; remove it", "environment")
    return folder
