"""What a lane tells the runner: one function per event of schemas/event.json, each a plain dict.

`result`, `error` and `alive` are sent by the process that a lane runs in, `executors.child`, and
`host` by what owns a run on a host, `executors.away`.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

Event = dict[str, Any]
Emit = Callable[[Event], None]


def phase(name: Literal["prepare", "preflight", "train", "verify", "report"], text: str) -> Event:
    """Say that a part of the work begins."""
    return {"event": "phase", "name": name, "text": text}


def note(text: str) -> Event:
    """Say something to know."""
    return {"event": "note", "text": text}


def warning(text: str) -> Event:
    """Say something to look into."""
    return {"event": "warning", "text": text}


def checks(title: str, rows: Sequence[Mapping[str, Any]]) -> Event:
    """Show rows of checks; see `preflight`."""
    return {"event": "checks", "title": title, "rows": list(rows)}


def step(
    number: int,
    of: int,
    *,
    unit: str,
    per_second: float,
    loss: float | None,
    epoch: int | None = None,
) -> Event:
    """Say that a step of training was made.

    Args:
        of: the last step of the window, or of the epoch where that is named.
        unit: what `per_second` counts, in the plural.
        loss: None where it is not finite.
    """
    return {
        "event": "step",
        "step": number,
        "of": of,
        "counts": "training",
        "unit": unit,
        "per_second": per_second,
        "loss": loss,
        "epoch": epoch,
    }


def rows(done: int, of: int, *, unit: str, per_second: float) -> Event:
    """Say how many rows were read or evaluated; `unit` is what they are, in the plural."""
    return {
        "event": "step",
        "step": done,
        "of": of,
        "counts": "rows",
        "unit": unit,
        "per_second": per_second,
        "loss": None,
        "epoch": None,
    }


def valid(
    number: int,
    *,
    unit: Literal["step", "epoch"],
    metrics: Mapping[str, float | None],
) -> Event:
    """Say what validation found after a step or an epoch.

    Args:
        metrics: by name, in the order in which they are shown; None: not measured.
    """
    return {
        "event": "valid",
        "step": number,
        "unit": unit,
        "metrics": dict(metrics),
    }


def saved(number: int, path: Path) -> Event:
    """Say that a checkpoint was saved on the way; nobody has verified it."""
    return {"event": "saved", "step": number, "path": str(path)}


def checkpoint(
    number: int,
    path: Path,
    *,
    metrics: Mapping[str, float | None],
    inputs: Mapping[str, str],
) -> Event:
    """Say that a window is verified, when all its files are on disk: it goes into the record."""
    return {
        "event": "checkpoint",
        "step": number,
        "path": str(path),
        "metrics": dict(metrics),
        "inputs": dict(inputs),
    }


def backend(described: Mapping[str, Any]) -> Event:
    """Say what the run computes on, for the record."""
    return {"event": "backend", "backend": dict(described)}


def report(path: Path) -> Event:
    """Say that a report was written."""
    return {"event": "report", "path": str(path)}


def beat() -> Event:
    """Say that the lane is at work."""
    return {"event": "beat"}
