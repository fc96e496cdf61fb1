"""What is costly to make: made once in a session, by the first of its workers that needs it."""

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

STAND_INS = """
import sys
from pathlib import Path
from thunder.backends.mlx import blas, lean
lean.without_torch()
from thunder.commands import requests
from thunder.lanes.adapter import inputs
(cell,) = requests.read(["+profile=smoke", f"outputs='{sys.argv[1]}'"]).cells
blas.load(Path(sys.argv[1], "cache"))
inputs.locate({**cell.job.config, "runtime": cell.job.runtime}, lambda event: None)
"""


def once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], None]) -> Path:
    """Return the folder of a name, which is made where it stays; nobody may change what is in it.

    Args:
        make: fills the folder, which is there and empty.
    """
    base = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent  # of the session: each worker has a folder of its own in it
    folder, made = base / "shared" / name, base / "shared" / f"{name}.made"
    folder.parent.mkdir(exist_ok=True)
    with (base / "shared" / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            shutil.rmtree(folder, ignore_errors=True)  # of one who failed
            folder.mkdir()
            make(folder)
            made.touch()
    return folder


def with_stand_ins(factory: pytest.TempPathFactory, outputs: Path) -> Path:
    """Return outputs, with copies of the stand-ins that profiles of the adapter lane train on."""

    def build(folder: Path) -> None:
        subprocess.run([sys.executable, "-c", STAND_INS, str(folder)], check=True)

    built = once(factory, "stand-ins", build)
    shutil.copytree(built / "cache", outputs / "cache")
    return outputs
