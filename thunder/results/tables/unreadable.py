"""Runs that cannot be believed: rows without numbers in a table, which bar no other row."""

import os
from collections.abc import Mapping, Sequence
from typing import Any

from thunder.ground.errors import Faults
from thunder.runs.run import Run

_SHOWN_FAULTS = 3


def reason(run: Run, message: str) -> str:
    """Return in one line why nothing of a run is shown; its files by their names in the folder."""
    first, *faults = [line.strip() for line in message.splitlines()]
    left = len(faults) - _SHOWN_FAULTS
    more = [f"and {left:,} more"] if left > 0 else []
    words = " ".join(filter(None, [first, "; ".join([*faults[:_SHOWN_FAULTS], *more])]))
    for place in (f"{run.folder}{os.sep}", f"{run.folder}: "):
        words = words.replace(place, "")
    return f"the run is unreadable: {words}"


def named(run: Run, label: str, reason: str) -> str:
    """Return a run by its folder in outputs, its cell and why nothing of it is shown."""
    return f"{run.kind}/{run.folder.name} ({label}): {reason}"


def refuse_all(name: str, reasons: Sequence[str]) -> None:
    """Refuse a table in which there would be no run, as some cannot be read."""
    raise Faults(
        f"{name!r}: no run can be read, so no table is made; one that is there stays as it is:",
        reasons,
        "verification",
    )


def refuse_any(document: Mapping[str, Any]) -> None:
    """Refuse what must rest on every run of a table, where some cannot be read."""
    if document["unreadable"]:
        title = f"{document['name']!r}: runs that cannot be read:"
        raise Faults(title, document["unreadable"], "verification")
