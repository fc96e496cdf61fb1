"""Runs on the hosts of a lab: commands whose site is the lab, and what they leave."""

import os
import subprocess
import sys
from pathlib import Path

import running
import yaml
from lab import Lab, Machine

from thunder.ground.places import SHIPPED
from thunder.runs import store


class Away:
    """A project whose site is a lab: commands of it, its runs here and there."""

    def __init__(self, lab: Lab, folder: Path, *hosts: str, **site: object) -> None:
        self.lab, self.folder, self.outputs = lab, folder, folder / "outputs"
        self.conf = folder / "conf"
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

    def run(self) -> store.Run:
        return running.only_run(self.outputs)

    def there(self, machine: Machine) -> Path:
        run = self.run()
        return machine.home / "thunder/outputs" / run.kind / run.folder.name


def waits_for_events(folder: Path, word: str) -> None:
    """Wait until the run of a folder on a host has told of something."""
    running.wait_for(
        lambda: any(word in path.read_text() for path in folder.glob(".away/*/events.jsonl")),
        f"{word} in the events of {folder}",
    )


def quiet(machine: Machine) -> list[str]:
    """What a machine still runs a moment after all of it should have ended."""
    for _ in range(100):
        if not (left := machine.processes()):
            return []
        os.sched_yield()
    return left
