"""One rank's process as its supervisor sees it: a command, orders, events and last words."""

import contextlib
import json
import os
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from queue import SimpleQueue
from typing import IO, Any

from thunder.ground.errors import ThunderError
from thunder.hosts import keeper, pipe, process, ssh
from thunder.hosts.connection import Connection, Lost

Inbox = SimpleQueue[tuple[int, dict[str, Any] | None]]

END_SECONDS = 3.0
LOG_SECONDS = 0.3
LAST_LINES = 8
_ASK_SECONDS = 3.0


@dataclass(frozen=True)
class Start:
    """How a rank is started.

    Args:
        command: its command line here, which over ssh starts with ssh.
        way: to the host that it runs on; None: this machine.
    """

    command: Sequence[str]
    way: Connection | None = None


class Process:
    """A running rank.

    Args:
        number: its rank.
        request: what it is to do.
        inbox: where its events go as (number, event); an event of None says that it has ended.
    """

    def __init__(self, number: int, request: Mapping[str, Any], inbox: Inbox, start: Start) -> None:
        self.number, self._inbox, self._way = number, inbox, start.way
        self._lines: deque[str] = deque(maxlen=LAST_LINES)
        self._silenced, self._writing = threading.Event(), threading.Lock()
        self.popen = process.start(start.command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.pid = self.popen.pid  # until it says it itself, which over ssh is another
        self._readers = [
            threading.Thread(target=read, daemon=True)
            for read in (self._read_events, self._read_log)
        ]
        for reader in self._readers:
            reader.start()
        self.order(json.dumps(request))
        if self._way:
            threading.Thread(target=self._beat, daemon=True).start()

    @property
    def host(self) -> str:
        """Return the name of its host, nothing where that is this machine."""
        return self._way.host.name if self._way else ""

    @property
    def code(self) -> int | None:
        """Return the exit code, negative for a signal, or None while it runs."""
        code = process.code(self.popen)
        is_signal = self._way and code is not None and keeper.SIGNALLED < code < ssh.REFUSED
        return keeper.SIGNALLED - code if is_signal and code else code

    def order(self, line: str) -> None:
        """Send one line of orders; a rank that is gone gets none."""
        self._write(f"{line}\n".encode())

    def last_words(self) -> str:
        """Return the end of what an ended rank wrote to its log."""
        self._readers[1].join(LOG_SECONDS)
        return "\n".join(f"    {line}" for line in self._lines)

    def is_stopped(self) -> bool:
        """Return whether the process was suspended, as by SIGSTOP."""
        if self._way is None:
            return self.code is None and process.is_stopped(self.pid)
        with contextlib.suppress(ThunderError):
            return str(self._way.call("state", pid=self.pid, within=_ASK_SECONDS)) == "T"
        return False

    def lost(self) -> str | None:
        """Return why the way to its host is gone, None where it is not."""
        try:
            if self._way:
                self._way.call("state", pid=self.pid, within=_ASK_SECONDS)
        except ThunderError as error:
            return str(error) if isinstance(error, Lost) else None
        return None

    def silence(self) -> None:
        """Send nothing more: its pipe is about to be closed, and its number to be another's."""
        with self._writing:
            self._silenced.set()

    def close(self) -> None:
        """Read what is left of a rank that has ended, as long as ssh does not hold its pipes."""
        for reader in self._readers:
            reader.join(END_SECONDS)

    def _write(self, data: bytes) -> None:
        with contextlib.suppress(BrokenPipeError), self._writing:
            if not self._silenced.is_set():
                os.write(self.popen.stdin.fileno(), data)  # type: ignore[union-attr]

    def _beat(self) -> None:
        """Say that somebody is here: a link that is cut in silence gives its host no other sign."""
        while not self._silenced.wait(keeper.BEAT_SECONDS):
            self._write(keeper.BEAT)

    def _read_events(self) -> None:
        for line in _lines(self.popen.stdout):
            try:
                self._inbox.put((self.number, pipe.parsed(line)))
            except ThunderError:  # said by Python itself, or by a shell on the way
                self._log(line)
        process.wait(self.popen)
        self._inbox.put((self.number, None))

    def _read_log(self) -> None:
        for line in _lines(self.popen.stderr):
            self._log(line)

    def _log(self, raw: bytes) -> None:
        line = raw.decode(errors="replace").rstrip()
        self._lines.append(line)
        print(f"rank {self.number}: {line}", file=sys.stderr, flush=True)


def _lines(stream: IO[bytes] | None) -> Iterator[bytes]:
    """Yield the lines of a stream to its end, and close it."""
    if stream:
        with stream:
            yield from stream


def end(processes: Iterable[Process]) -> None:
    """End all ranks and what they started; return when they are gone."""
    ranks = list(processes)
    for rank in ranks:
        rank.silence()
    process.end([rank.popen for rank in ranks], END_SECONDS)
    for rank in ranks:
        rank.close()
