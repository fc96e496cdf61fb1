"""Seconds to plan a 10,000-cell matrix, whole process: composed, checked, named, compared.

Beside it, in the same run: a bare loop that expands, checks and hashes the same number of small
documents, and Hydra composing one config per cell (a sample, extrapolated).
Run: `python benchmarks/matrix_plan.py [--repeats 7]`.
"""

import argparse
import hashlib
import itertools
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

CELLS = 10_000
SAMPLE = 50
ASKED = 25  # times the bare loop
MATRIX = """\
profile: partial_real_stage1_stable
axes:
  adapter.rank: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]
  train.learning_rate: [1e-6, 2e-6, 3e-6, 4e-6, 5e-6, 6e-6, 7e-6, 8e-6, 9e-6, 1e-5]
  data: [partial_real, synthetic_2k]
  model.source.hidden: [32, 64, 96, 128, 160]
  seed: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]
"""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=7, help="the best of so many counts")
    repeats = parser.parse_args().repeats
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "conf").mkdir()
        (folder / "matrices").mkdir()
        (folder / "matrices" / "big.yaml").write_text(MATRIX, encoding="utf-8")
        # In turn, so that a machine that is busy for a while is busy for both.
        both = [(_plan(folder), _bare()) for _ in range(repeats)]
    ours, bare = (min(seconds) for seconds in zip(*both, strict=True))
    hydra = _hydra()
    print(f"thunder plan, whole process   {ours:10.4f} s for {CELLS:,} cells, best of {repeats}")
    print(f"bare loop                     {bare:10.4f} s")
    print(f"hydra, one compose per cell   {hydra:10.1f} s (from {SAMPLE})")
    print(f"thunder / bare                {ours / bare:10.1f} (asked: at most {ASKED})")
    print(f"hydra / thunder               {hydra / ours:10.0f}")


def _plan(folder: Path) -> float:
    words = ["--config-dir", str(folder / "conf"), "matrix=big", "dry_run=true"]
    begun = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "thunder", *words, f"outputs={folder / 'outputs'}"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    seconds = time.perf_counter() - begun
    assert f"{CELLS} cells" in done.stdout.replace(",", ""), done.stdout[-500:]
    return seconds


def _bare() -> float:
    import jsonschema_rs

    axes = {"a": range(10), "b": range(10), "c": range(10), "d": range(10)}
    properties = {key: {"type": "integer", "minimum": 0} for key in axes}
    schema = {"type": "object", "additionalProperties": False, "properties": properties}
    validator = jsonschema_rs.validator_for(schema)
    begun = time.perf_counter()
    for values in itertools.product(*axes.values()):
        cell = dict(zip(axes, values, strict=True))
        assert validator.is_valid(cell)
        hashlib.sha256(json.dumps(cell, sort_keys=True).encode()).hexdigest()
    return time.perf_counter() - begun


def _hydra() -> float:
    import hydra

    from thunder.ground.places import SHIPPED

    with hydra.initialize_config_dir(str(SHIPPED / "conf"), version_base=None):
        begun = time.perf_counter()
        for seed in range(SAMPLE):
            hydra.compose("config", ["+profile=partial_real_stage1_stable", f"seed={seed}"])
        return (time.perf_counter() - begun) / SAMPLE * CELLS


if __name__ == "__main__":
    main()
