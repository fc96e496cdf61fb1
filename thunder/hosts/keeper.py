"""Holds a process on a host for who started it over ssh: `python -m thunder.hosts.keeper WORDS`.

What comes through standard input goes to the process, but for the beats: they only say that
somebody is there. When that pipe ends, or is silent for so long that the link must be cut, the
process loses its lifeline, and then its life.
"""

import contextlib
import os
import select
import subprocess
import sys
import threading
from collections.abc import Sequence

from thunder.hosts import process

BEAT = b"\0"
BEAT_SECONDS = 1.0
SILENT_SECONDS = 30.0  # a cable that is out for less is waited for
SIGNALLED = 128  # what a process ends with, as a shell has it, that was killed by a signal
_END_SECONDS = 3.0


def hold(words: Sequence[str], silent: float = SILENT_SECONDS) -> int:
    """Run a command on the lifeline of this process, and return how it ended."""
    held = process.start(words, stdout=1, stderr=2)
    threading.Thread(target=_pass_on, args=(held, silent), daemon=True).start()
    code = process.wait(held) or 0
    return SIGNALLED - code if code < 0 else code


def _pass_on(held: "subprocess.Popen[bytes]", silent: float) -> None:
    while data := _heard(silent):
        with contextlib.suppress(BrokenPipeError):  # it has ended, which is seen elsewhere
            os.write(held.stdin.fileno(), data.replace(BEAT, b""))  # type: ignore[union-attr]
    process.end([held], _END_SECONDS)


def _heard(silent: float) -> bytes:
    readable, _, _ = select.select([0], [], [], silent)
    return os.read(0, 1 << 12) if readable else b""


if __name__ == "__main__":
    os._exit(hold(sys.argv[1:]))
