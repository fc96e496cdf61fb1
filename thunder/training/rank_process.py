"""One rank's process as its supervisor sees it: a command, orders, events and last words."""

import contextlib
import json
import os
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from queue import SimpleQueue
from typing import Any

from thunder.ground.errors import ThunderError
from thunder.hosts import pipe, process

Inbox = SimpleQueue[tuple[int, dict[str, Any] | None]]

END_SECONDS = 3.0
LOG_SECONDS = 0.3
LAST_LINES = 8


class Process:
    """A running rank.

    Args:
        number: its rank.
        request: what it is to do.
        inbox: where its events go as (number, event); an event of None says that it has ended.
        command: how to start it; a rank on another host would differ in this alone.
    """

    def __init__(
        self, number: int, request: Mapping[str, Any], inbox: Inbox, command: Sequence[str]
    ) -> None:
        self.number, self._inbox = number, inbox
        self._lines: deque[str] = deque(maxlen=LAST_LINES)
        self.popen = process.start(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
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
        return self.popen.pid

    @property
    def code(self) -> int | None:
        """Return the exit code, negative for a signal, or None while it runs."""
        return process.code(self.popen)

    def order(self, line: str) -> None:
        """Send one line of orders; a rank that is gone gets none."""
        with contextlib.suppress(BrokenPipeError):
            os.write(self.popen.stdin.fileno(), f"{line}\n".encode())  # type: ignore[union-attr]

    def last_words(self) -> str:
        """Return the end of what an ended rank wrote to its log."""
        self._readers[1].join(LOG_SECONDS)
        return "\n".join(f"    {line}" for line in self._lines)

    def is_stopped(self) -> bool:
        """Return whether the process was suspended, as by SIGSTOP."""
        return self.code is None and process.is_stopped(self.pid)

    def close(self) -> None:
        """Read what is left of a rank that has ended."""
        for reader, stream in zip(
            self._readers, (self.popen.stdout, self.popen.stderr), strict=True
        ):
            reader.join(END_SECONDS)
            if stream and not reader.is_alive():
                stream.close()

    def _read_events(self) -> None:
        for line in self.popen.stdout or ():
            try:
                self._inbox.put((self.number, pipe.parsed(line)))
            except ThunderError:  # said by Python itself, or by a shell on the way
                self._log(line)
        process.wait(self.popen)
        self._inbox.put((self.number, None))

    def _read_log(self) -> None:
        for line in self.popen.stderr or ():
            self._log(line)

    def _log(self, raw: bytes) -> None:
        line = raw.decode(errors="replace").rstrip()
        self._lines.append(line)
        print(f"rank {self.number}: {line}", file=sys.stderr, flush=True)


def end(processes: Iterable[Process]) -> None:
    """End all ranks and what they started; return when they are gone."""
    ranks = list(processes)
    process.end([rank.popen for rank in ranks], END_SECONDS)
    for rank in ranks:
        rank.close()
