"""Seconds and memory to regenerate all tables and plots of an ASR bundle, on one core.

8 cells of 29,060 test rows each, with the dumps of every adaptation; the runs are written first,
untrained, and not measured. Beside it, in the same run: a bare loop that parses the dumps as JSON.
Run: `python benchmarks/asr_tables.py [--rows 29060] [--runs FOLDER]`.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests" / "support"))
AXES = {"script": ["nko", "latin"], "mode": ["baseline", "trajectory", "tar", "trajectory_ttt"]}
_KIB = 1024


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=29_060, help="of the test split")
    parser.add_argument("--runs", type=Path, help="keep the runs here, and use them again")
    parser.add_argument("--measure", choices=["tables", "json"], help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.measure:
        print(json.dumps(_measured(asked.measure, asked.runs)))
        return
    with tempfile.TemporaryDirectory() as name:
        folder = (asked.runs or Path(name)).absolute()
        _write_runs(folder, asked.rows)
        found = {what: _child(what, folder) for what in ("tables", "json")}
    tables, bare = found["tables"], found["json"]
    print(f"all tables and plots          {_said(tables)}")
    for step in ("build", "write", "check"):
        print(f"  {step:27s} {tables[step]:8.1f} s")
    print(f"bare loop: parse the dumps    {_said(bare)}")


def _said(found: dict[str, float]) -> str:
    return f"{found['seconds']:8.1f} s, {found['cpu']:.1f} s of CPU, peak {found['mib']:,.0f} MiB"


def _write_runs(folder: Path, rows: int) -> None:
    import bundle_runs

    for cell in bundle_runs.cells(bundle_runs.matrix(axes=AXES)):
        if not (folder / "asr" / cell.job.id / "run.json").is_file():
            bundle_runs.finish(folder, cell, rows=rows)


def _child(what: str, folder: Path) -> dict[str, float]:
    words = [sys.executable, __file__, "--measure", what, "--runs", str(folder)]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    return dict(json.loads(done.stdout))


def _measured(what: str, folder: Path) -> dict[str, float]:
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    begun = time.perf_counter()
    steps = _tables(folder) if what == "tables" else _parse(folder)
    seconds = time.perf_counter() - begun
    cpu = time.process_time()
    return {"seconds": seconds, "cpu": cpu, "mib": _peak_mib(), **steps}


def _peak_mib() -> float:
    # Not ru_maxrss, which a process inherits from the one that started it.
    text = Path("/proc/self/status").read_text(encoding="ascii")
    return int(text.partition("VmHWM:")[2].split()[0]) / _KIB


def _tables(folder: Path) -> dict[str, float]:
    import bundle_runs

    from thunder.lanes.asr.results import bundle

    matrix = bundle_runs.matrix(axes=AXES)
    times = [time.perf_counter()]
    document = bundle.build(matrix, bundle_runs.cells(matrix), folder)
    times.append(time.perf_counter())
    bundle.write(document, folder / "tables")
    times.append(time.perf_counter())
    assert not bundle.stale(document, folder / "tables")
    times.append(time.perf_counter())
    names = ("build", "write", "check")
    return {name: times[i + 1] - times[i] for i, name in enumerate(names)}


def _parse(folder: Path) -> dict[str, float]:
    for path in sorted(folder.glob("asr/*/test_*.jsonl")):
        with path.open("rb") as stream:
            for line in stream:
                json.loads(line)
    return {}


if __name__ == "__main__":
    main()
