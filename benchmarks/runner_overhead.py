"""Wall time per no-op job, each in a process of its own, and per run of a rerun when all are done.

Beside it, in the same run: bare Python processes two at a time, and Hydra's `-m` on a no-op.
Run: `python benchmarks/runner_overhead.py [--jobs 200] [--done 1000]`.
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
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        start = min(_thunder(folder / "one", 1) for _ in range(3))
        first = _thunder(folder / "some", asked.jobs)
        _thunder(folder / "many", asked.done)
        again = min(_thunder(folder / "many", asked.done) for _ in range(3))
        bare, hydra = _bare(asked.jobs), _hydra(folder)
    print(f"no-op jobs, jobs={AT_ONCE}           {1e3 * first / asked.jobs:8.2f} ms each")
    print(f"bare python -c pass          {1e3 * bare / asked.jobs:8.2f} ms each")
    print(f"hydra -m, in one process     {1e3 * hydra / HYDRA_JOBS:8.2f} ms each")
    print(f"rerun, all {asked.done:,} done         {1e3 * again / asked.done:8.3f} ms each, "
          f"whole process {again:.2f} s")  # fmt: skip
    print(f"rerun of a single done job   {start:8.2f} s, whole process")


def _thunder(outputs: Path, count: int) -> float:
    """Run a sweep of so many no-op jobs and return the wall time of the whole process."""
    words = ["-m", "+profile=dry", f"seed=range(0,{count})"]
    begun = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "thunder", *words, f"jobs={AT_ONCE}", f"outputs={outputs}"],
        stdout=subprocess.DEVNULL, check=True,
    )  # fmt: skip
    return time.perf_counter() - begun


def _bare(count: int) -> float:
    begun = time.perf_counter()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(lambda _: subprocess.run([sys.executable, "-c", "pass"]), range(count)))
    return time.perf_counter() - begun


def _hydra(folder: Path) -> float:
    app = folder / "app.py"
    app.write_text(HYDRA_APP, encoding="utf-8")
    begun = time.perf_counter()
    words = ["-m", f"+seed=range(0,{HYDRA_JOBS})", f"hydra.sweep.dir={folder / 'hydra'}"]
    subprocess.run([sys.executable, str(app), *words], stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - begun


if __name__ == "__main__":
    main()
