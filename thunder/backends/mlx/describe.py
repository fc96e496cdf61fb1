"""Prints what this machine would compute with, as JSON; for `thunder doctor`."""

import json
import sys
from typing import Any

from thunder.backends.mlx import blas


def describe() -> dict[str, Any]:
    """Return BLAS, compiler and device; loads mlx in this process."""
    report = blas.describe()
    import mlx.core as mx

    device = str(mx.default_device()).split("(")[-1].split(",")[0]
    return {
        "blas": report["name"],
        "blas version": report["version"],
        "compiler": report["compiler"],
        "warning": report["warning"],
        "device": device,
        "ring": bool(mx.distributed.is_available()),
    }


if __name__ == "__main__":
    json.dump(describe(), sys.stdout)
