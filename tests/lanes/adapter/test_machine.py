"""What a machine has for the ranks of a run, as its system says it."""

import sys
from pathlib import Path

import pytest

from thunder.lanes.adapter import machine
from thunder.training.preflight import Checks

SAYS = {
    "vm_stat": "Pages free: 100000.\\nPages inactive: 200000.\\nPages wired down: 7.\\n",
    "sysctl": "17179869184\\n",
}


def test_free_memory_is_measured_on_a_mac(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, said in SAYS.items():
        (tmp_path / name).write_text(f"#!/bin/sh\nprintf '{said}'\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(sys, "platform", "darwin")
    checks = Checks("localhost")
    machine.memory(checks, 1, 1)
    (row,) = checks.rows
    assert (row["status"], row["reason"]) == ("PASS", "")
    assert row["measured"].startswith("1.23 GB"), row
