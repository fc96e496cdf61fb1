"""Wall time per no-op job, each in a process of its own, of a rerun when all are done, of `status`.

Beside it, in the same run: bare Python processes, and Hydra's `-m` on a no-op.
Run: `python benchmarks/runner_overhead.py [--jobs 200] [--done 1000] [--repeats 3]`.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

AT_ONCE = 2
HYDRA_JOBS = 40
QUESTIONS = 10
HYDRA_APP = """
import hydra

@hydra.main(config_path=None, version_base=None)
def main(config):
    pass

main()
"""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=200, help="no-op jobs to run")
    parser.add_argument("--done", type=int, default=1000, help="finished jobs to run again")
    parser.add_argument("--repeats", type=int, default=3, help="the best of so many counts")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        start, status, alone = _questions(folder / "one")
        # In turn, so that a machine that is busy for a while is busy for both.
        both = [
            (_thunder(folder / f"some{number}", asked.jobs), _bare(asked.jobs))
            for number in range(asked.repeats)
        ]
        first, bare = (1e3 * min(seconds) / asked.jobs for seconds in zip(*both, strict=True))
        _thunder(folder / "many", asked.done)
        again = min(_thunder(folder / "many", asked.done) for _ in range(asked.repeats))
        hydra = _hydra(folder)
    print(f"no-op jobs, jobs={AT_ONCE}           {first:8.2f} ms each")
    print(f"bare python -c pass          {bare:8.2f} ms each, {AT_ONCE} at a time")
    print(f"hydra -m, in one process     {1e3 * hydra / HYDRA_JOBS:8.2f} ms each")
    print(f"thunder / bare               {first / bare:8.2f} (asked: at most 3.5)")
    print(f"rerun, all {asked.done:,} done         {1e3 * again / asked.done:8.3f} ms each "
          f"(asked: at most 0.8), whole process {again:.2f} s")  # fmt: skip
    print(f"rerun of a single done job   {1e3 * start:8.1f} ms, whole process")
    print(f"thunder status               {1e3 * status:8.1f} ms, whole process")
    print(f"bare python -c pass          {1e3 * alone:8.1f} ms, one alone")
    print(f"status / bare                {status / alone:8.1f} (asked: at most 15)")


def _questions(outputs: Path) -> tuple[float, float, float]:
    """Return the times of a rerun of one done job, of `thunder status`, of a bare process."""
    _thunder(outputs, 1)
    status = [str(Path(sys.executable).parent / "thunder"), "status", "--outputs", str(outputs)]
    times = [
        (_thunder(outputs, 1), _timed(status), _timed([sys.executable, "-c", "pass"]))
        for _ in range(QUESTIONS)
    ]
    start, answer, bare = (min(seconds) for seconds in zip(*times, strict=True))
    return start, answer, bare


def _thunder(outputs: Path, count: int) -> float:
    """Run a sweep of so many no-op jobs and return the wall time of the whole process."""
    words = ["-m", "+profile=dry", f"seed=range(0,{count})", f"jobs={AT_ONCE}"]
    return _timed([sys.executable, "-m", "thunder", *words, f"outputs={outputs}"])


def _bare(count: int) -> float:
    begun = time.perf_counter()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(lambda _: subprocess.run([sys.executable, "-c", "pass"]), range(count)))
    return time.perf_counter() - begun


def _hydra(folder: Path) -> float:
    app = folder / "app.py"
    app.write_text(HYDRA_APP, encoding="utf-8")
    words = ["-m", f"+seed=range(0,{HYDRA_JOBS})", f"hydra.sweep.dir={folder / 'hydra'}"]
    return _timed([sys.executable, str(app), *words])


def _timed(command: list[str]) -> float:
    begun = time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - begun


if __name__ == "__main__":
    main()
