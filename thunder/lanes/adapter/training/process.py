"""One rank's process as its supervisor sees it: a command, a lease, events and last words."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import thunder

Inbox = SimpleQueue[tuple[int, dict[str, Any] | None]]

TERM_SECONDS = 1.0
LOG_SECONDS = 0.3
LAST_LINES = 8
COMMAND = (sys.executable, "-m", "thunder.lanes.adapter.training.rank")


class Process:
    """A running rank.

    Args:
        number: its rank.
        request: what it is to do.
        inbox: where its events go as (number, event); an event of None says that it has ended.
        command: how to start it; a rank on another host would differ in this alone.
    """

    def __init__(
        self,
        number: int,
        request: Mapping[str, Any],
        inbox: Inbox,
        command: Sequence[str] = COMMAND,
    ) -> None:
        self.number, self._inbox = number, inbox
        self._lines: deque[str] = deque(maxlen=LAST_LINES)
        self._popen = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=_environment(),
            start_new_session=True,
        )
        self._readers = [
            threading.Thread(target=read, daemon=True)
            for read in (self._read_events, self._read_log)
        ]
        for reader in self._readers:
            reader.start()
        self.order(json.dumps(request))

    @property
    def pid(self) -> int:
        """Return the process id, which is also its group's."""
        return self._popen.pid

    @property
    def code(self) -> int | None:
        """Return the exit code, negative for a signal, or None while it runs."""
        return self._popen.poll()

    def order(self, line: str) -> None:
        """Send one line of orders; a rank that is gone gets none."""
        with contextlib.suppress(BrokenPipeError):
            os.write(self._popen.stdin.fileno(), f"{line}\n".encode())  # type: ignore[union-attr]

    def last_words(self) -> str:
        """Return the end of what an ended rank wrote to its log."""
        self._readers[1].join(LOG_SECONDS)
        return "\n".join(f"    {line}" for line in self._lines)

    def is_stopped(self) -> bool:
        """Return whether the process was suspended, as by SIGSTOP."""
        command = ["ps", "-o", "stat=", "-p", str(self.pid)]
        found = subprocess.run(command, capture_output=True, text=True, check=False)
        return found.stdout.strip().startswith("T")

    def signal_group(self, number: int) -> None:
        """Signal the rank and all that it started, if it still runs."""
        # Once the leader is reaped its number may be another's.
        if self.code is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, number)

    def wait_until(self, deadline: float) -> None:
        """Wait for the end, but not past a time of the monotonic clock."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._popen.wait(max(0.0, deadline - time.monotonic()))

    def close(self) -> None:
        """Take the lease back and read what is left; the process has ended."""
        self._popen.wait()
        # Its guard sees the end of the lease and goes.
        self._close(self._popen.stdin)
        for reader, stream in zip(
            self._readers, (self._popen.stdout, self._popen.stderr), strict=True
        ):
            reader.join(TERM_SECONDS)
            if not reader.is_alive():
                self._close(stream)

    @staticmethod
    def _close(stream: Any) -> None:
        with contextlib.suppress(BrokenPipeError):
            stream.close()

    def _read_events(self) -> None:
        for line in self._popen.stdout or ():
            self._inbox.put((self.number, json.loads(line)))
        self._popen.wait()
        self._inbox.put((self.number, None))

    def _read_log(self) -> None:
        for line in self._popen.stderr or ():
            text = line.decode(errors="replace").rstrip()
            self._lines.append(text)
            print(f"rank {self.number}: {text}", file=sys.stderr, flush=True)


def end(processes: Iterable[Process]) -> None:
    """End all ranks and what they started: TERM, a second later KILL; return when they are gone."""
    every = list(processes)
    for number in (signal.SIGTERM, signal.SIGKILL):
        for process in every:
            process.signal_group(number)
        deadline = time.monotonic() + TERM_SECONDS
        for process in every:
            process.wait_until(deadline)
    for process in every:
        process.close()


def _environment() -> dict[str, str]:
    # A checkout that is not installed must be found by its ranks as well.
    package = str(Path(thunder.__file__).resolve().parent.parent)
    paths = [package, *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
