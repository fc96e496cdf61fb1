"""What it costs to work with hosts, against the system's own ssh and rsync, on hosts of namespaces.

Run as root: `python benchmarks/hosts.py [PART …]`; without a part, all of them, in turn.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import psutil
import yaml

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "support"))
import lab as labs

from thunder.hosts import connection, host, ssh

COMMANDS = 60
IDLE_SECONDS = 30
SETTLE_SECONDS = 8  # imports and the first questions are over


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", nargs="*", help=f"of {', '.join(PARTS)}")
    asked = parser.parse_args().part or [*PARTS]
    if reason := labs.lacking():
        sys.exit(reason)
    with labs.hosts("mac4", "mac5") as lab:
        os.environ.update(lab.environment)
        tempfile.tempdir = None
        for name in asked:
            PARTS[name](lab)


def command(lab: labs.Lab) -> None:
    """A command on the kept connection, and one by a bare ssh over ControlMaster."""
    mac4 = host.of_site(lab.site())["mac4"]
    bare = ssh.command(mac4, ["true"])
    with connection.opened(mac4) as way:
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


def idle(lab: labs.Lab) -> None:
    """What a run costs, here and there, that says nothing and is watched."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        site = yaml.safe_dump(lab.site(runs_on=["mac4"]))
        (folder / "conf/site").mkdir(parents=True)
        (folder / "conf/site/lab.yaml").write_text(f"# @package runtime.site\n{site}")
        asleep = 2 * SETTLE_SECONDS + IDLE_SECONDS
        words = ["+profile=dry", f"dry.sleep_seconds={asleep}", "site=lab"]
        words += [f"outputs={folder / 'outputs'}", "--config-dir", str(folder / "conf")]
        watcher = subprocess.Popen(
            [sys.executable, "-m", "thunder", *words], stdout=subprocess.DEVNULL
        )
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


PARTS = {"command": command, "idle": idle}

if __name__ == "__main__":
    main()
