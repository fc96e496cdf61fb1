"""Hosts against what a person would type instead: both in one run, their ratio printed.

It makes its hosts as namespaces of this machine, as the tests do, and needs root for it.

    python benchmarks/hosts.py [QUESTION …]
"""

import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests/support"))

import lab as labs
import psutil
import yaml
from host_runs import Desk, desk, read_to

from thunder.ground import digest
from thunder.hosts import connection, host, inputs, sync

PAIRS = 5
COMMANDS = 60
IDLE_SECONDS = 30
SETTLE_SECONDS = 8  # imports and the first questions are over
WINDOWS = 5  # of each side
JOB = ("+profile=partial_real_stage1_stable", "window=10")
LARGE = (4, 125_000_000)  # files, bytes of each
SMALL = (2000, 10_000)


def syncing(lab: labs.Lab, folder: Path) -> None:
    """`thunder sync`, hashing on both sides included, against `rsync -a` of the same folder."""
    for name, (count, size) in {"large files": LARGE, "small files": SMALL}.items():
        source = _files(folder / name.replace(" ", "-"), count, size)
        ratios = [_pair(lab, source, number) for number in range(PAIRS)]
        seconds = [statistics.median(times) for times in zip(*ratios, strict=True)]
        ratio = statistics.median(plain / ours for plain, ours in ratios)
        print(
            f"{count:,} {name}, {count * size / 1e6:,.0f} MB: rsync -a {seconds[0]:.2f} s, "
            f"thunder {seconds[1]:.2f} s, ratio {ratio:.2f} (asked: 0.9)"
        )


def _files(folder: Path, count: int, size: int) -> Path:
    folder.mkdir(parents=True)
    chance = random.Random(0)
    for number in range(count):
        (folder / f"{number:05}.bin").write_bytes(chance.randbytes(size))
    return folder


def _pair(lab: labs.Lab, source: Path, number: int) -> tuple[float, float]:
    """Return the seconds of plain rsync and of thunder; they take turns at being the first."""
    # Whoever plans a job has read its inputs once, and remembers what they hash to.
    known = digest.of_folder(source)
    ways: dict[str, Callable[[], None]] = {
        "plain": lambda: _rsync(source), "thunder": lambda: _ours(lab, source, known),
    }  # fmt: skip
    taken = {}
    for name in sorted(ways, reverse=number % 2 == 0):
        begun = time.perf_counter()
        ways[name]()
        taken[name] = time.perf_counter() - begun
        arrived = [*(lab["mac4"].home / name).rglob("*.bin")]
        assert len(arrived) == len([*source.iterdir()])
        shutil.rmtree(lab["mac4"].home / name)
    return taken["plain"], taken["thunder"]


def _rsync(source: Path) -> None:
    subprocess.run(["rsync", "-a", f"{source}/", "mac4:plain/"], check=True)


def _ours(lab: labs.Lab, source: Path, known: str) -> None:
    item = inputs.Input("data", "rows", {"digest": known}, source, None, None)
    site = lab.site()
    with connection.opened(host.of_site(site)["mac4"]) as way:
        sync.bring(way, item, inputs.place(way, item, site))


def windows(lab: labs.Lab, folder: Path) -> None:
    """Compare windows of two ranks on two hosts with the same ones on this machine."""
    sides = {name: Desk(desk(folder / name, lab).root, lab, name) for name in ("alone", "both")}
    taken: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(WINDOWS + 1):
        for name, side in sides.items():
            seconds = _window(side, 10 * (number + 1))
            taken[name] += [seconds] if number else []  # the first builds and brings what it reads
    alone, both = (statistics.median(taken[name]) for name in ("alone", "both"))
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


def command(lab: labs.Lab, folder: Path) -> None:
    """A command on the kept connection, and one by a bare ssh over ControlMaster."""
    mac4 = host.of_site(lab.site())["mac4"]
    with connection.opened(mac4) as way:
        bare = way.command(["true"])
        # In turn, so that a machine that is busy for a while is busy for both.
        both = [
            (
                _timed(lambda: way.call("run", words=["true"], seconds=30)),
                _timed(lambda: subprocess.run(bare, check=True)),
            )
            for _ in range(COMMANDS)
        ]
    ours, theirs = (1e3 * statistics.median(seconds) for seconds in zip(*both, strict=True))
    print(f"a command on the kept connection       {ours:8.1f} ms")
    print(f"a command by ssh over ControlMaster    {theirs:8.1f} ms")
    print(f"kept / ssh                             {ours / theirs:8.2f} (asked: at most 1.2)")


def idle(lab: labs.Lab, folder: Path) -> None:
    """What a run costs, here and there, that says nothing and is watched."""
    site = yaml.safe_dump(lab.site(runs_on=["mac4"]))
    (folder / "conf/site").mkdir(parents=True)
    (folder / "conf/site/lab.yaml").write_text(f"# @package runtime.site\n{site}")
    asleep = 2 * SETTLE_SECONDS + IDLE_SECONDS
    words = ["+profile=dry", f"dry.sleep_seconds={asleep}", "site=lab"]
    words += [f"outputs={folder / 'outputs'}", "--config-dir", str(folder / "conf")]
    watcher = subprocess.Popen([sys.executable, "-m", "thunder", *words], stdout=subprocess.DEVNULL)
    time.sleep(SETTLE_SECONDS)
    machine = lab["mac4"].process
    assert machine is not None
    lane = _lane(machine.pid)  # which would beat on any machine
    sides = {
        "here": _tree(watcher.pid),
        "there": [one for one in _tree(machine.pid) if one not in lane],
    }
    begun = {side: _spent(processes) for side, processes in sides.items()}
    time.sleep(IDLE_SECONDS)
    used = {side: _spent(processes) - begun[side] for side, processes in sides.items()}
    assert watcher.wait() == 0
    for side, seconds in used.items():
        share = 100 * seconds / IDLE_SECONDS
        print(
            f"an idle watch, {side:<5}                   {share:8.2f} % of a core (asked: below 1)"
        )


def _timed(act: Callable[[], object]) -> float:
    begun = time.perf_counter()
    act()
    return time.perf_counter() - begun


def _lane(pid: int) -> list[psutil.Process]:
    """The process that a run's lane is in."""
    return [one for one in _tree(pid) if any("executors.child" in word for word in one.cmdline())]


def _spent(processes: Sequence[psutil.Process]) -> float:
    """Return the seconds of a core that processes have used."""
    return sum(sum(one.cpu_times()[:2]) for one in processes)


def _tree(pid: int) -> list[psutil.Process]:
    process = psutil.Process(pid)
    return [process, *process.children(recursive=True)]


QUESTIONS = {"sync": syncing, "windows": windows, "command": command, "idle": idle}


def main() -> None:
    """Answer the questions that are named, or all."""
    if reason := labs.lacking():
        sys.exit(reason)
    with labs.hosts("mac4", "mac5") as lab, tempfile.TemporaryDirectory() as folder:
        os.environ.update(lab.environment)
        tempfile.tempdir = None
        for name in sys.argv[1:] or QUESTIONS:
            QUESTIONS[name](lab, Path(folder) / name)


if __name__ == "__main__":
    main()
