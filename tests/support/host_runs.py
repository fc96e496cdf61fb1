"""Adapter runs with their ranks on the hosts of a lab: a site of it, commands, what they leave."""

import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from lab import Lab, Machine
from shared import once

from thunder.ground import digest, files

SECONDS = 240
# Three windows of the stand-in, of which each step is a moment's work.
JOB = ("+profile=smoke", "train.steps=20", "adapter.dropout=0.05", "eval_every=100", "save_every=2")
RANK = "adapter.training.rank"


@dataclass(frozen=True)
class Desk:
    """A folder of a person's own: conf/ with sites of the lab, outputs/.

    Args:
        site: the one that its commands name.
    """

    root: Path
    lab: Lab
    site: str = "both"

    @property
    def outputs(self) -> Path:
        return self.root / "outputs"

    @property
    def run(self) -> Path:
        (folder,) = (self.outputs / "adapter").iterdir()
        return folder

    def write_site(self, name: str, ranks_on: Sequence[str], **more: object) -> None:
        """Write a site that has everything a profile asks for as stand-ins."""
        local = yaml.safe_load(
            (Path(__file__).parents[2] / "conf/site/local.yaml").read_text(encoding="utf-8")
        )
        site = self.lab.site(name, ranks_on=ranks_on, **more)
        site |= {key: local[key] for key in ("models", "data")}
        text = "# @package runtime.site\n" + yaml.safe_dump(site)
        files.write_text(self.root / "conf" / "site" / f"{name}.yaml", text)

    def command(self, *words: str) -> list[str]:
        own = (f"--config-dir={self.root}/conf", f"outputs='{self.outputs}'", f"site={self.site}")
        return [sys.executable, "-m", "thunder", *words, *own]

    def thunder(self, *words: str) -> "subprocess.CompletedProcess[str]":
        command = self.command(*words)
        return subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)

    def start(self, *words: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            self.command(*words), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def tensors(self, step: int) -> dict[str, str]:
        """The sha256 of what a checkpoint holds."""
        folder = self.run / "checkpoints" / f"step-{step:07d}"
        return {path.name: digest.of_file(path) for path in sorted(folder.glob("*.safetensors"))}


def desk(root: Path, lab: Lab) -> Desk:
    """A desk with the sites `both` (mac4, mac5) and `alone` (two ranks on this machine)."""
    made = Desk(root, lab)
    made.write_site("both", ["mac4", "mac5"])
    made.write_site("alone", [])
    return made


def reference(factory: pytest.TempPathFactory, lab: Lab) -> Desk:
    """A desk at which two ranks on this machine have walked to step 20; its stand-ins are built."""

    def walk(folder: Path) -> None:
        done = Desk(desk(folder, lab).root, lab, "alone").thunder(*JOB, "target=20")
        assert done.returncode == 0, done.stdout + done.stderr

    return Desk(once(factory, "two-ranks", walk), lab, "alone")


def wait_for_line(runner: "subprocess.Popen[str]", beginning: str) -> None:
    """Read what a runner prints up to a line; what follows is still under way."""
    told = read_to(runner, beginning, 1)
    assert told.splitlines()[-1].startswith(beginning), told


def read_to(runner: "subprocess.Popen[str]", beginning: str, count: int) -> str:
    """Read what a runner prints up to the n-th line that begins so, or to its end."""
    lines: list[str] = []
    for line in runner.stdout or ():
        lines.append(line)
        count -= line.startswith(beginning)
        if count == 0:
            break
    return "".join(lines)


def ranks_on(machine: Machine) -> list[str]:
    """The numbers of the processes of ranks in a machine; their keepers and guards left out."""
    rows = [row for row in machine.processes() if RANK in row]
    return [row.split()[0] for row in rows if "hosts.keeper" not in row and " -c " not in row]


def living_ranks_on(machine: Machine, within: float = 10.0) -> list[str]:
    """The same, waited for: a machine that is busy may be slow to list what it runs."""
    deadline = time.monotonic() + within
    while not (numbers := ranks_on(machine)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert numbers, machine.processes()
    return numbers


def strike(lab: Lab, runner: "subprocess.Popen[str]", victim: str) -> None:
    """Kill -9 the launcher, or a rank on a host; where there is none just now, the launcher."""
    numbers = ranks_on(lab[victim]) if victim in lab.machines else []
    if numbers:
        lab[victim].run("kill", "-9", *numbers)
    else:
        runner.kill()


def are_empty(*machines: Machine, within: float = 45.0) -> bool:
    """Whether nothing runs any more on hosts, after no more than so many seconds."""
    return comes(lambda: not any(machine.processes() for machine in machines), within)


def comes(claim: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not claim() and time.monotonic() < deadline:
        time.sleep(0.1)
    return claim()
