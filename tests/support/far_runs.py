"""Runs on the hosts of a lab: commands whose site is the lab, and what they leave."""

import json
import os
import pty
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path

import running
import yaml
from lab import Lab, Machine

from thunder.ground import files
from thunder.ground.places import SHIPPED
from thunder.hosts import requirements
from thunder.hosts.far.environments import WHOLE
from thunder.runs.run import Run

_QUIET_SECONDS = 20.0


class Away:
    """A project whose site is a lab: commands of it, its runs here and there."""

    def __init__(self, lab: Lab, folder: Path, *hosts: str, **site: object) -> None:
        self.lab, self.folder, self.outputs = lab, folder, folder / "outputs"
        self.conf = folder / "conf"
        for machine in lab.machines.values():  # the runs of an earlier test
            for name in ("outputs", "aside"):
                shutil.rmtree(machine.home / "thunder" / name, ignore_errors=True)
        self.site(*hosts, **site)

    def site(self, *hosts: str, **more: object) -> None:
        """Write the site; the Python of its hosts finds the lanes of the tests."""
        self.folder.mkdir(exist_ok=True)
        python = self.folder / "python"
        script = f'#!/bin/sh\nPYTHONPATH="$PYTHONPATH:{running.HERE}" exec {sys.executable} "$@"\n'
        python.write_text(script, encoding="utf-8")
        python.chmod(0o755)
        every = {"python": "/usr/bin/python3", "environment": str(python)}
        stand_ins = yaml.safe_load((SHIPPED / "conf/site/local.yaml").read_text(encoding="utf-8"))
        inputs = {name: stand_ins[name] for name in ("models", "data")}
        site = self.lab.site(runs_on=list(hosts), **{"every_host": every, **inputs, **more})
        path = self.conf / "site/lab.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        head = "# @package runtime.site\n"
        path.write_text(head + yaml.safe_dump(site, sort_keys=False), encoding="utf-8")

    def words(self, *words: str) -> list[str]:
        more = ["site=lab", f"outputs={self.outputs}", "--config-dir", str(self.conf)]
        return [*words, *more]

    def task(self, *words: str) -> "subprocess.CompletedProcess[str]":
        """Run a task of `thunder` on the outputs of this project."""
        code = "import sys; from thunder.commands import tasks; sys.exit(tasks.main())"
        return subprocess.run(
            [sys.executable, "-c", code, *words, "--outputs", str(self.outputs)],
            capture_output=True, text=True, timeout=120, check=False, env=running.environment(),
        )  # fmt: skip

    def at_terminal(self, *words: str, lane: str) -> "Terminal":
        """Begin a command at a terminal."""
        return Terminal(running.command(*self.words(*words), lane=lane))

    def run(self) -> Run:
        return running.only_run(self.outputs)

    def hold(self, step: int) -> None:
        """Let the lane that counts go no further than a step, on whatever machine it is."""
        for machine in self.lab.machines.values():
            files.write_text(machine.home / "thunder/outputs/.hold", str(step))

    def release(self) -> None:
        """Let it go on to its end."""
        for machine in self.lab.machines.values():
            (machine.home / "thunder/outputs/.hold").unlink(missing_ok=True)

    def there(self, machine: Machine) -> Path:
        run = self.run()
        return machine.home / "thunder/outputs" / run.kind / run.folder.name


def prepare(folder: Path, *extras: str) -> str:
    """Write what an environment with some extras looks like; returns its Python."""
    parts = {name: part.digest for name, part in requirements.parts(extras).items()}
    python = folder / "bin/python"
    python.parent.mkdir(parents=True)
    python.write_text("#!/bin/sh\n")
    python.chmod(0o755)
    (folder / WHOLE).write_text(json.dumps({"parts": parts}))
    return str(python)


def quiet(machine: Machine) -> list[str]:
    """What a machine still runs a moment after all of it should have ended."""
    deadline = time.monotonic() + _QUIET_SECONDS
    while (left := machine.processes()) and time.monotonic() < deadline:
        time.sleep(0.1)
    return left


class Terminal:
    """A command at a terminal of its own, which a test types into."""

    def __init__(self, command: list[str]) -> None:
        self.pid, self.descriptor = pty.fork()
        if not self.pid:
            os.execvpe(command[0], command, {**running.environment(), "TERM": "xterm"})
        self.said = ""

    def read_until(self, word: str) -> None:
        """Read what is shown until a word is."""
        while word not in self.said:
            assert select.select([self.descriptor], [], [], running.DEADLINE_SECONDS)[0], self.said
            self.said += os.read(self.descriptor, 4096).decode(errors="replace")

    def type(self, keys: str) -> None:
        os.write(self.descriptor, keys.encode())

    def ended(self) -> int:
        """Read to the end; return the exit code."""
        try:
            while data := os.read(self.descriptor, 4096):
                self.said += data.decode(errors="replace")
        except OSError:  # the end of a terminal
            pass
        os.close(self.descriptor)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
