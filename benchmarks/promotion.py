"""Seconds to promote a matrix of many cells, beside its table, which reads the same runs.

The runs are dry ones, written through the store and not measured.
Run: `python benchmarks/promotion.py [--cells 5000] [--profile]`.
"""

import argparse
import cProfile
import os
import pstats
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

from thunder.commands import requests
from thunder.results import promotion
from thunder.results.tables import summary
from thunder.runs import attempts, provenance
from thunder.runs.run import Run

SHOWN = 25


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", type=int, default=5_000)
    parser.add_argument("--profile", action="store_true", help="say where a promotion's time goes")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        outputs = Path(name) / "outputs"
        request = _request(Path(name), asked.cells)
        _write_runs(outputs, request)
        made = (request.matrix, request.cells, outputs)
        table = _timed(lambda: summary.build(*made))
        if asked.profile:
            _profile(lambda: promotion.of_matrix(*made))
        promoted = _timed(lambda: promotion.of_matrix(*made))
    print(f"table of {asked.cells:,} cells       {table:8.2f} s")
    print(f"promotion of them          {promoted:8.2f} s")
    print(f"promotion / table          {promoted / table:8.2f}")


def _request(folder: Path, cells: int) -> requests.Request:
    (folder / "conf").mkdir()
    (folder / "matrices").mkdir()
    seeds = ", ".join(map(str, range(cells)))
    text = f"profile: dry\naxes: {{seed: [{seeds}]}}\ntable: {{over: seed, metrics: [value]}}\n"
    (folder / "matrices" / "many.yaml").write_text(text, encoding="utf-8")
    return requests.read(["matrix=many"], config_dir=folder / "conf")


def _write_runs(outputs: Path, request: requests.Request) -> None:
    clean = {**provenance.collect(), "commit": "0" * 40, "dirty": False, "reason": None}
    metrics = {"value": 1.0, "value_squared": 1.0}
    with patch.object(os, "fsync", lambda _: None):
        for cell in request.cells:
            run = Run(outputs / cell.job.kind / cell.job.id)
            record = attempts.start(run, cell.job, clean)
            attempts.finish(run, record, {"metrics": metrics, "step": None}, 1.0)


def _timed(work: Callable[[], Any]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def _profile(work: Callable[[], Any]) -> None:
    profiler = cProfile.Profile()
    profiler.runcall(work)
    pstats.Stats(profiler).sort_stats("cumulative").print_stats(SHOWN)


if __name__ == "__main__":
    main()
