"""What must hold before work begins: one row per check, measured, a failed one with its cause."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

from thunder.ground.errors import Cause, Faults, ThunderError
from thunder.hosts.far import machine

Status = Literal["PASS", "FAIL", "SKIPPED"]
Row = dict[str, str]


class Skip(Exception):
    """A check that does not apply, with the reason; never to be taken for a pass."""


@dataclass
class Checks:
    """The checks of one host so far.

    Args:
        beat: says that the lane is at work, before each check.
        rows: one per check: check, host, status, measured, reason.
        causes: the cause class of each failed check.
    """

    host: str
    beat: Callable[[], None] = lambda: None
    rows: list[Row] = field(default_factory=list)
    causes: list[Cause] = field(default_factory=list)

    @contextmanager
    def check(self, name: str, cause: Cause) -> Iterator[Callable[[str], None]]:
        """Run one check; the block reports what it measured, or raises what is wrong."""
        measured: list[str] = []
        self.beat()
        try:
            yield measured.append
        except Skip as skip:
            self._add(name, "SKIPPED", "", str(skip))
        except ThunderError as error:
            self._add(name, "FAIL", " ".join(measured), str(error))
            self.causes.append(cause if error.cause == "user" else error.cause)
        else:
            self._add(name, "PASS", " ".join(measured), "")

    def _add(self, name: str, status: Status, measured: str, reason: str) -> None:
        self.rows.append(row(name, self.host, status, measured, reason))

    def passed(self, name: str) -> bool:
        """Say whether a check was run and passed."""
        return any(row["check"] == name and row["status"] == "PASS" for row in self.rows)

    def needs(self, name: str) -> None:
        """Skip the check that is going on unless another one has passed."""
        if not self.passed(name):
            raise Skip(f"needs: {name}")

    def refuse(self, title: str) -> None:
        """Raise Faults if a check has failed; the cause class is that of the first one.

        Where that is a model, a data set that failed on another host comes before it.
        """
        if wrong := failed(self.rows):
            faults = [f"{row['check']} ({row['host']}): {row['reason']}" for row in wrong]
            first = self.causes[0]
            is_data = first == "model" and "data" in self.causes
            raise Faults(title, faults, "data" if is_data else first)


def free_memory() -> int | None:
    """Return the bytes that new processes can have, None where the system does not say."""
    return machine.free_memory()


def row(check: str, host: str, status: Status, measured: str, reason: str) -> Row:
    """Return a row as screens and reports have it."""
    return {
        "check": check,
        "host": host,
        "status": status,
        "measured": measured,
        "reason": reason,
    }


def failed(rows: Sequence[Mapping[str, str]]) -> list[Mapping[str, str]]:
    """Return the rows of the checks that failed."""
    return [row for row in rows if row["status"] == "FAIL"]


def megabytes(size: int) -> str:
    """Return a number of bytes as rows have it."""
    return f"{size / 1e6:,.1f} MB" if size < 1e9 else f"{size / 1e9:,.2f} GB"
