"""What this machine must have for the ranks of a run: libraries, and room on disk and in memory."""

import importlib.metadata
import platform
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from thunder.ground.errors import ThunderError
from thunder.lanes.adapter.context import Context
from thunder.training.preflight import Checks, Skip, megabytes

OLDEST = {"mlx": (0, 32, 1), "mlx-lm": (0, 32, 0)}
FREE_BYTES = 256 << 20


def check(context: Context, checks: Checks, blas: Mapping[str, Any]) -> None:
    """Check versions, BLAS, and room on the disk and in memory."""
    with checks.check("versions", "environment") as measured:
        measured(_versions())
    with checks.check("BLAS", "environment") as measured:
        measured(f"{blas['name']} {blas['version'] or ''}".strip())
    with checks.check("free disk", "environment") as measured:
        room = shutil.disk_usage(context.folder).free
        measured(megabytes(room))
        if room < FREE_BYTES:
            raise ThunderError(f"{context.folder} needs {megabytes(FREE_BYTES)} free; make room")
    with checks.check("free memory", "environment") as measured:
        free, need = _free_memory(), _memory_need(context)
        if free is None:
            raise Skip(f"free memory is not measured on {sys.platform}")
        measured(f"{megabytes(free)}, about {megabytes(need)} needed")
        if free < need:
            raise ThunderError("not enough memory for the ranks; use fewer, or a smaller model")


def _versions() -> str:
    have = {name: importlib.metadata.version(name) for name in OLDEST}
    old = [
        f"{name} {have[name]} is older than {'.'.join(map(str, least))}"
        for name, least in OLDEST.items()
        if _numbers(have[name]) < least
    ]
    if old:
        raise ThunderError(f"{'; '.join(old)}; install the versions of constraints.txt")
    names = ", ".join(f"{name} {version}" for name, version in have.items())
    return f"python {platform.python_version()}, {names}"


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:3] if part.isdigit())


def _free_memory() -> int | None:
    """Return the bytes that new processes can have, None where the system does not say."""
    if sys.platform != "linux":
        return None
    for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return None


def _memory_need(context: Context) -> int:
    """Estimate: weights that each rank holds, and room for Python, activations and gradients."""
    weights = context.counts.get("rank_bytes", context.counts.get("model_bytes", 0))
    return int(context.config["train"]["ranks"] * (1.2 * weights + (300 << 20)))
