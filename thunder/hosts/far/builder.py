"""Makes an environment; a program of its own, which goes on when who asked for it is gone.

Its folder has `plan.json` to begin with, and `outcome.json` when it has ended; who holds the lock
of the folder is at work.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from typing import Any

LOCK = "lock"
LOG = "log"
PLAN = "plan.json"
OUTCOME = "outcome.json"
_LATE = "not ended in time"
_LOCK_SECONDS = 5.0  # who asks whether it is held has it for a moment
_now: dict[str, Any] = {"step": None, "is_stopped": False}


def main(folder: str) -> None:
    """Follow the plan of a folder, unless somebody does already."""
    os.chdir(folder)
    signal.signal(signal.SIGTERM, _stop)
    with open(LOCK, "w") as lock:
        if _locked(lock):
            with open(PLAN, encoding="utf-8") as stream:
                _write(OUTCOME, _outcome(json.load(stream)))


def _outcome(plan: dict[str, Any]) -> dict[str, Any]:
    deadline, begun = time.monotonic() + plan["seconds"], time.monotonic()
    if _is_said_whole(plan):
        name, words = plan["steps"][-1]
        code = _code(words, plan["seconds"])
        if code in (0, _LATE):  # slow is not broken: runs may live in it
            return {"step": name if code else None, "code": code, "is_new": False}
    shutil.rmtree(plan["target"], ignore_errors=True)
    for name, words in plan["steps"]:
        code = _code(words, deadline - time.monotonic())
        if code:
            shutil.rmtree(plan["target"], ignore_errors=True)
            return {"step": name, "code": code, "seconds": time.monotonic() - begun}
    _write(os.path.join(plan["target"], plan["whole"]), plan["says"])
    return {"step": None, "code": 0, "is_new": True, "seconds": time.monotonic() - begun}


def _is_said_whole(plan: dict[str, Any]) -> bool:
    """Say whether somebody made the very same meanwhile, or before."""
    try:
        with open(os.path.join(plan["target"], plan["whole"]), encoding="utf-8") as stream:
            return bool(json.load(stream) == plan["says"])
    except (OSError, ValueError):
        return False


def _code(words: list[str], seconds: float) -> int | str:
    """Run a step; return its exit code, or why it has none. What it says lands in our log."""
    try:
        step = subprocess.Popen(words, stdin=subprocess.DEVNULL, start_new_session=True)
    except OSError as error:
        return f"{words[0]}: {error.strerror}"
    _now["step"] = step
    if _now["is_stopped"]:  # between two steps, when there was none to kill
        _kill(step)
    try:
        return step.wait(max(0.0, seconds))
    except subprocess.TimeoutExpired:
        _kill(step)
        step.wait()
        return _LATE


def _stop(*_: object) -> None:
    _now["is_stopped"] = True
    if _now["step"] and _now["step"].returncode is None:
        _kill(_now["step"])


def _kill(step: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(step.pid, signal.SIGKILL)


def _locked(lock: Any) -> bool:
    deadline = time.monotonic() + _LOCK_SECONDS
    while time.monotonic() < deadline:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            time.sleep(0.05)
    return False


def _write(path: str, value: dict[str, Any]) -> None:
    with open(f"{path}.part", "w", encoding="utf-8") as stream:
        json.dump(value, stream)
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(f"{path}.part", path)


if __name__ == "__main__":
    main(sys.argv[1])
