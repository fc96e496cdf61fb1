"""What hosts cost, in the lab of network namespaces: ratios within one run. It needs root.

Run: `python benchmarks/hosts.py [--windows 5]`.
"""

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "support"))

import lab as labs
from host_runs import Desk, desk, read_to

JOB = ("+profile=partial_real_stage1_stable", "window=10")


def main() -> None:
    """Print each measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--windows", type=int, default=5, help="of each side")
    options = parser.parse_args()
    if reason := labs.lacking():
        sys.exit(reason)
    with (
        labs.hosts("mac4", "mac5") as lab,
        tempfile.TemporaryDirectory(prefix="hosts-", dir="/tmp") as folder,
    ):
        os.environ.update(lab.environment)
        windows(lab, Path(folder), options.windows)


def windows(lab: labs.Lab, folder: Path, count: int) -> None:
    """Compare windows of two ranks on two hosts with the same ones on this machine."""
    sides = {name: Desk(desk(folder / name, lab).root, lab, name) for name in ("alone", "both")}
    taken: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(count + 1):
        for name, side in sides.items():
            seconds = _window(side, 10 * (number + 1))
            taken[name] += [seconds] if number else []  # the first builds and brings what it reads
    alone, both = (median(taken[name]) for name in ("alone", "both"))
    print(
        f"window of two ranks: {both:.2f} s on two hosts, {alone:.2f} s on one, {both / alone:.2f}×"
    )


def _window(side: Desk, target: int) -> float:
    """Return the seconds of a window, from its first word until it is verified."""
    with side.start(*JOB, f"target={target}") as runner:
        read_to(runner, "train   window", 1)
        begun = time.perf_counter()
        told = read_to(runner, "verification", 1)
        seconds = time.perf_counter() - begun
        told += runner.communicate()[0]
    assert runner.returncode == 0, told
    return seconds


if __name__ == "__main__":
    main()
