"""What a machine must have for the ranks of a run: libraries, and room on disk and in memory."""

import importlib.metadata
import platform
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from thunder.ground import command
from thunder.ground.errors import ThunderError
from thunder.training.preflight import Checks, Skip, free_memory, megabytes

OLDEST = {"mlx": (0, 32, 1), "mlx-lm": (0, 32, 0)}
FREE_BYTES = 256 << 20


def alike() -> dict[str, str]:
    """Return the versions that all machines of a run have to have in common.

    Python's is not among them: `hosts prepare` takes what a host has, and `ranks_alike` tells.
    """
    return {name: importlib.metadata.version(name) for name in OLDEST}


def versions(checks: Checks, wanted: Mapping[str, str] | None = None) -> None:
    """Check that the libraries are new enough, on a host also that they are those of here."""
    with checks.check("versions", "environment") as measured:
        have = alike()
        names = ", ".join(f"{name} {have[name]}" for name in OLDEST)
        measured(f"python {platform.python_version()}, {names}")
        faults = [
            f"{name} {have[name]} is older than {'.'.join(map(str, least))}"
            for name, least in OLDEST.items()
            if _numbers(have[name]) < least
        ]
        if faults:
            raise ThunderError(f"{'; '.join(faults)}; install the versions of constraints.txt")
        other = [
            f"{name} {have.get(name)}, where the run is started {version}"
            for name, version in (wanted or {}).items()
            if have.get(name) != version
        ]
        if other:
            again = command.line("thunder", "hosts", "prepare", checks.host)
            raise ThunderError(f"{'; '.join(other)}: make them alike, {again}")


def blas(checks: Checks, library: Mapping[str, Any]) -> None:
    """Say which BLAS computes."""
    with checks.check("BLAS", "environment") as measured:
        measured(f"{library['name']} {library['version'] or ''}".strip())


def room(checks: Checks, folder: Path) -> None:
    """Check that there is room on a disk."""
    with checks.check("free disk", "environment") as measured:
        free = shutil.disk_usage(folder).free
        measured(megabytes(free))
        if free < FREE_BYTES:
            raise ThunderError(f"{folder} needs {megabytes(FREE_BYTES)} free; make room")


def memory(checks: Checks, rank_bytes: int, ranks: int) -> None:
    """Check that there is memory for the ranks of this machine.

    Args:
        rank_bytes: of the weights that each of them holds.
    """
    with checks.check("free memory", "environment") as measured:
        free, need = free_memory(), memory_need(rank_bytes, ranks)
        if free is None:
            raise Skip(f"free memory is not measured on {sys.platform}")
        measured(f"{megabytes(free)}, about {megabytes(need)} needed")
        if free < need:
            raise ThunderError("not enough memory for the ranks; use fewer, or a smaller model")


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:3] if part.isdigit())


def memory_need(rank_bytes: int, ranks: int) -> int:
    """Estimate: weights that each rank holds, and room for Python, activations and gradients."""
    return int(ranks * (1.2 * rank_bytes + (300 << 20)))
