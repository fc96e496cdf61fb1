"""Files to a host and from it: the system's rsync, by the pipe that is open already.

Only what macOS's own rsync knows as well: no checksums, no argument protection. So nothing here is
believed: whoever calls hashes what arrived, and moves it to its place.
"""

import shlex
import subprocess
import tempfile
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO

from thunder.ground.errors import ThunderError
from thunder.hosts import process, ssh
from thunder.hosts.connection import Connection, Lost
from thunder.hosts.host import Host

STALL_SECONDS = 60  # without a byte
PARTIAL = ".part"  # the folder that keeps what a cut transfer had brought
_LOOK_SECONDS = 0.2
_END_SECONDS = 8.0  # until the other end has kept what came; over a link that is cut it never tells
_LOST = (10, 12, 20, 30, 35, ssh.REFUSED)


def push(
    way: Connection,
    source: Path,
    names: Sequence[str],
    target: str,
    stop: Callable[[], bool] = lambda: False,
) -> None:
    """Bring files of a folder to a folder of a host; a link stays a link.

    Args:
        names: relative to both folders.
        target: an absolute path without blanks, of a folder that is there: see `folder`.
        stop: asked now and then; what was brought stays, and the next call goes on from there.

    Raises:
        Lost: the way there is gone; call again to go on.
        ThunderError: a disk is full, a file cannot be read, or it was asked to stop.
    """
    _rsync(way, f"{source}/", f"{way.host.ssh}:{target}/", names, stop)


def pull(
    way: Connection,
    source: str,
    names: Sequence[str],
    target: Path,
    stop: Callable[[], bool] = lambda: False,
) -> None:
    """Bring files of a host's folder to a folder here; as `push`."""
    target.mkdir(parents=True, exist_ok=True)
    _rsync(way, f"{way.host.ssh}:{source}/", f"{target}/", names, stop)


def _rsync(
    way: Connection, source: str, target: str, names: Sequence[str], stop: Callable[[], bool]
) -> None:
    with tempfile.NamedTemporaryFile("wb") as listed:
        listed.write(b"\0".join(name.encode() for name in names))
        listed.flush()
        words = [
            "rsync", "-a", "-0", f"--files-from={listed.name}", f"--partial-dir={PARTIAL}",
            f"--timeout={STALL_SECONDS}", "-e", shlex.join(way.transport), source, target,
        ]  # fmt: skip
        running = process.start(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        said: list[bytes] = []
        # Who reads it closes it: ssh may hold the other end for as long as a link that is cut.
        reader = threading.Thread(target=_hear, args=(running.stderr, said), daemon=True)
        reader.start()
        try:
            while (code := process.wait(running, _LOOK_SECONDS)) is None:
                if stop():
                    raise ThunderError(f"stopped while files went {source} → {target}", "stopped")
        finally:
            process.end([running], 1.0)
            reader.join(_END_SECONDS)
    if code:
        raise _refusal(way.host, b"".join(said).decode(errors="replace"), code)


def _hear(stream: IO[bytes], said: list[bytes]) -> None:
    with stream:
        said.extend(stream)


def _refusal(host: Host, said: str, code: int) -> ThunderError:
    if code == ssh.REFUSED:
        return Lost(str(ssh.refusal(host, said, code)))
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    # The first line names the file; those behind it are rsync's own trouble over it.
    text = lines[0] if lines else f"rsync ended with {code}"
    if "command not found" in said or "No such file or directory: rsync" in said:
        text = f"{text}; install rsync there"
        return ThunderError(f"host {host.name} ({host.ssh}): {text}", "environment")
    if "No space left" in said:
        return ThunderError(f"host {host.name} ({host.ssh}): {text}; make room", "write")
    if code in _LOST:
        return Lost(f"host {host.name} ({host.ssh}): {text}")
    return ThunderError(f"host {host.name} ({host.ssh}): {text}", "write" if code == 11 else "data")
