"""The ways to hosts that runs share: one pipe to a host, opened when it is needed, and again."""

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field

from thunder.ground import digest
from thunder.hosts.connection import Connection, opened
from thunder.hosts.host import Host


@dataclass
class _Way:
    lock: threading.Lock = field(default_factory=threading.Lock)
    open: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)
    connection: Connection | None = None
    users: int = 0


_ways: dict[str, _Way] = {}  # by all that a site says of a host: two may be one machine
_lock = threading.Lock()


class Way:
    """The way to a host, as one of those who share it has it."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self._mine: Connection | None = None
        with _lock:
            self._way = _ways.setdefault(digest.of_value(asdict(host)), _Way())
            self._way.users += 1

    def connection(self) -> Connection:
        """Return the pipe; opened, where it is not, or was lost.

        Raises:
            ThunderError: the host cannot be reached.
        """
        way = self._way
        with way.lock:
            if way.connection is None or way.connection.is_lost:
                way.connection = None
                way.open.close()
                way.connection = way.open.enter_context(opened(self.host))
            self._mine = way.connection
            return way.connection

    def drop(self) -> None:
        """Close the pipe that gave no answer, unless another one took its place."""
        with self._way.lock:
            if self._mine is not None and self._way.connection is self._mine:
                self._way.connection = None
                self._way.open.close()

    def close(self) -> None:
        """Let go of it; the last one closes the pipe."""
        with _lock:
            self._way.users -= 1
        with self._way.lock:
            if not self._way.users:  # now: somebody may have come since
                self._way.connection = None
                self._way.open.close()


@contextlib.contextmanager
def to(host: Host) -> Iterator[Connection]:
    """Yield a pipe to a host that others may use as well."""
    way = Way(host)
    try:
        yield way.connection()
    finally:
        way.close()
