"""Where a run lives that does not live here: the claim of a host on it, beside its lock.

While a claim may be good, no other machine gets the run. It lies in the run folder, hidden.
"""

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from thunder.ground import files
from thunder.ground.errors import ThunderError

_FILE = ".away.json"
# How much later than the host we call its claim void: it must have ended the run by then.
_GRACE_SECONDS = 20.0


@dataclass(frozen=True)
class Claim:
    """The claim of a host on an attempt of a run.

    Args:
        owner: what tells this claim from every other one.
        host: the machine, as the site describes it.
        boot: what is another one after each start of the machine.
        folder: of the run there.
        attempt: its number in the record.
        offset: how many bytes of its events there are in the record here.
        deadline: when the run there has ended by itself, unless somebody asks for it again;
            in seconds since 1970 by the clock of this machine.
    """

    owner: str
    host: Mapping[str, Any]
    boot: str
    folder: str
    attempt: int
    offset: int
    deadline: float

    @property
    def is_void(self) -> bool:
        """Whether the host gave the run back, unless it ended before that."""
        return time.time() > self.deadline


def read(folder: Path) -> Claim | None:
    """Return the claim on the run of a folder, None where there is none.

    Raises:
        ThunderError: it cannot be read.
    """
    path = folder / _FILE
    try:
        return Claim(**files.read_json(path))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError) as error:
        raise ThunderError(f"{path}: cannot be read: {error}; remove it", "verification") from error


def of_record(folder: Path, record: Mapping[str, Any]) -> Claim | None:
    """Return the claim on the attempt that a record says is running, None where there is none."""
    if record["status"] != "running":
        return None
    claim = read(folder)
    return claim if claim and claim.attempt == len(record["attempts"]) else None


def write(folder: Path, claim: Claim) -> None:
    """Have a claim on disk."""
    files.write_json(folder / _FILE, asdict(claim))


def drop(folder: Path) -> None:
    """Remove the claim on a run: it ended where it was, or is known not to run there."""
    (folder / _FILE).unlink(missing_ok=True)


def deadline(unattended: float) -> float:
    """Return when a claim is void that is renewed for a twentieth of its time from now on.

    Args:
        unattended: seconds that the run goes on while nobody asks for it.
    """
    return earliest_deadline(unattended) + unattended / 20


def earliest_deadline(unattended: float) -> float:
    """Return when a claim is void that is renewed now."""
    return time.time() + unattended + _GRACE_SECONDS
