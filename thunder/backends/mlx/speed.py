"""Prints how fast a rank on this machine multiplies matrices; for `thunder hosts --speed`."""

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from thunder.backends.mlx import blas

_SIDE = 1024
_SECONDS = 0.5  # of each precision
_BATCH = 16  # products between two looks at the clock of a GPU, which is asked in batches


def measure(cache: Path) -> dict[str, Any]:
    """Return billions of operations per second, by precision, and of the one that counts here.

    A GPU trains in bfloat16, which a CPU has no fast way for.
    """
    os.environ.update(blas.environment())
    blas.load(cache)
    import mlx.core as mx

    is_gpu = mx.default_device().type == mx.DeviceType.gpu
    names, batch = ("float32", "bfloat16"), _BATCH if is_gpu else 1
    rates = {name: _rate(mx, getattr(mx, name), batch) for name in names}
    return {"by_precision": rates, "gigaflops": rates["bfloat16" if is_gpu else "float32"]}


def _rate(mx: Any, precision: Any, batch: int) -> float:
    left = mx.random.normal((_SIDE, _SIDE)).astype(precision)

    def multiply() -> None:
        mx.eval([mx.matmul(left, left + n) for n in range(batch)])

    multiply()  # what is compiled, is compiled now
    begun, products = time.perf_counter(), 0
    while (taken := time.perf_counter() - begun) < _SECONDS:
        multiply()
        products += batch
    return 2 * _SIDE**3 * products / taken / 1e9


if __name__ == "__main__":
    json.dump(measure(Path(sys.argv[1])), sys.stdout)
