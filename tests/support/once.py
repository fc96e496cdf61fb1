"""What is costly, made once for all who run tests side by side in one session."""

import fcntl
import os
from collections.abc import Callable
from pathlib import Path

import pytest


def made(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """Return a folder that is made by the first worker that needs it; the others wait.

    Args:
        make: is given the folder, which an earlier try that failed may have begun.
    """
    base = factory.getbasetemp()
    of_all = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    folder = of_all / name
    folder.mkdir(exist_ok=True)
    with (of_all / f"{name}.lock").open("a+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        lock.seek(0)
        if not lock.read():
            make(folder)
            lock.write("made")
    return folder
