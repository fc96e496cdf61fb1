"""Lanes that misbehave, run in real child processes in place of the dry one."""

import contextlib
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from thunder.ground import files
from thunder.ground.errors import ThunderError
from thunder.ground.kind import Room
from thunder.training import events

Emit = Callable[[dict[str, Any]], None]
NUMBERS = {"metrics": {"value": 1.0}}


def gated(config: dict[str, Any], folder: Path, emit: Emit) -> dict[str, Any]:
    """Wait until the test opens the gate: a file `go` in the folder of outputs."""
    (folder / "began").touch()
    while not (Path(config["runtime"]["outputs"]) / "go").exists():
        time.sleep(0.01)
    return NUMBERS


def writes_on(config: dict[str, Any], folder: Path, emit: Emit) -> dict[str, Any]:
    """Write in every way, itself and by a process of its own, without an event, after the gate."""
    gated(config, folder, emit)

    def folder_of_files() -> None:
        with files.fresh_folder(folder / "checkpoints" / "one") as work:
            (work / "weights").touch()

    code = "from thunder.ground import files; from pathlib import Path; "
    code += f"files.write_text(Path({str(folder)!r}, 'ranks', 'rank.json'), 'more')"
    for write in (
        lambda: files.write_json(folder / "deep" / "report.json", {}),
        lambda: files.append_jsonl(folder / "metrics.jsonl", {"step": 1}),
        folder_of_files,
    ):
        with contextlib.suppress(ThunderError):
            write()
    subprocess.run([sys.executable, "-c", code], check=False)
    return NUMBERS


def leaves_its_place(config: dict[str, Any], folder: Path, emit: Emit) -> dict[str, Any]:
    """Have its own folder removed, once, and fail for a cause that may pass."""
    if not (marker := Path(config["runtime"]["outputs"]) / "tried").exists():
        marker.touch()
        shutil.rmtree(folder)
    raise ThunderError("the host is down", "environment")


def garbage(config: dict[str, Any], folder: Path, emit: Emit) -> dict[str, Any]:
    """Write what is not JSON to the pipe of events."""
    os.write(int(sys.argv[3]), b"\x00\xff not an event\n")
    time.sleep(60)
    return NUMBERS


def listed(config: dict[str, Any], folder: Path, emit: Emit) -> dict[str, Any]:
    """Send JSON that is not an event."""
    os.write(int(sys.argv[3]), b"[1, 2]\n")
    return NUMBERS


def endless(config: dict[str, Any], folder: Path, emit: Emit) -> dict[str, Any]:
    """Send a line that never ends."""
    while True:
        os.write(int(sys.argv[3]), b"x" * 4096)


def unknown(config: dict[str, Any], folder: Path, emit: Emit) -> dict[str, Any]:
    """Send an event of a kind that nobody knows."""
    emit({"event": "from_the_future", "text": "ߒߞߏ"})
    return NUMBERS


def torn_step(config: dict[str, Any], folder: Path, emit: Emit) -> dict[str, Any]:
    """Send a step without its keys."""
    emit({"event": "step"})
    return NUMBERS


def wrong_metrics(config: dict[str, Any], folder: Path, emit: Emit) -> dict[str, Any]:
    """Return numbers that are none."""
    return {"metrics": {"Not A Name": "text"}}


def no_metrics(config: dict[str, Any], folder: Path, emit: Emit) -> dict[str, Any]:
    """Return nothing of what is asked."""
    return {}


def raises(config: dict[str, Any], folder: Path, emit: Emit) -> dict[str, Any]:
    """Fail in a way that nobody foresaw."""
    print("ߒߞߏ: the last words")
    raise ZeroDivisionError("a fault of ours")


def killed(config: dict[str, Any], folder: Path, emit: Emit) -> dict[str, Any]:
    """Be killed as the out-of-memory killer does it."""
    print("the last line before the end", flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
    return NUMBERS


def leaves_orphan(config: dict[str, Any], folder: Path, emit: Emit) -> dict[str, Any]:
    """Start a process that would outlive it, and be killed."""
    if not os.fork():
        time.sleep(120)
        os._exit(0)
    os.kill(os.getpid(), signal.SIGKILL)
    return NUMBERS


def fills_disk(config: dict[str, Any], folder: Path, emit: Emit) -> dict[str, Any]:
    """Write until the disk is full."""
    with (folder / "big").open("wb") as stream:
        while True:
            stream.write(b"\0" * 65536)
            stream.flush()


def reads_nothing(config: dict[str, Any], folder: Path, emit: Emit) -> dict[str, Any]:
    """Open an input that is not there."""
    return {"metrics": {"value": float((folder / "input.txt").read_text(encoding="utf-8"))}}


def second_time_lucky(config: dict[str, Any], folder: Path, emit: Emit) -> dict[str, Any]:
    """Fail at the first attempt."""
    marker = folder / "tried"
    if not marker.exists():
        marker.touch()
        raise ThunderError("not yet", "training")
    return NUMBERS


def stepping(config: dict[str, Any], folder: Path, emit: Emit) -> dict[str, Any]:
    """Send what a lane that trains sends."""
    for step in (1, 2):
        emit(events.step(step, 2, unit="tokens", per_second=1e3, loss=1 / step))
    emit(events.warning("ߒߞߏ is slow here"))
    return NUMBERS


def counted(config: dict[str, Any], folder: Path, emit: Emit) -> dict[str, Any]:
    """Leave a number for a run that needs this one."""
    (folder / "rows.txt").write_text("17", encoding="utf-8")
    return {"metrics": {"rows": 17.0}}


def counted_slowly(config: dict[str, Any], folder: Path, emit: Emit) -> dict[str, Any]:
    """Take the time in which another runner comes by."""
    time.sleep(4)
    return counted(config, folder, emit)


def reads_features(config: dict[str, Any], folder: Path, emit: Emit) -> dict[str, Any]:
    """Read what the run left that this one needs."""
    needed = Path(config["runtime"]["paths"]["asr_features"])
    (folder / "a").touch()
    return {"metrics": {"rows": float((needed / "rows.txt").read_text(encoding="utf-8"))}}


def third_time_lucky(config: dict[str, Any], folder: Path, emit: Emit) -> dict[str, Any]:
    """Fail twice for a cause that may pass."""
    tries = json.loads((folder / "run.json").read_text())["attempts"]
    if len(tries) < 3:
        raise ThunderError(f"try {len(tries)}: the host is down", "environment")
    return NUMBERS


def counting(config: dict[str, Any], folder: Path, emit: Emit) -> dict[str, Any]:
    """Count to `dry.value` in steps of `dry.sleep_seconds`; every fifth is saved, two are kept.

    Every step that is computed is a row of computed.jsonl, with the machine. None is made beyond
    the one that a test may have written into `.hold` of the outputs where it runs.
    """
    settings, done = config["dry"], 0
    hold = Path(config["runtime"]["outputs"]) / ".hold"
    for path in folder.glob("checkpoints/*/state.json"):
        done = max(done, json.loads(path.read_text())["step"])
    for step in range(done + 1, int(settings["value"]) + 1):
        time.sleep(settings["sleep_seconds"])
        while _is_held(hold, step):
            time.sleep(0.02)
        files.append_jsonl(folder / "computed.jsonl", {"step": step, "host": platform.node()})
        emit(events.step(step, int(settings["value"]), unit="steps", per_second=1.0, loss=1 / step))
        if step % 5 == 0:
            target = folder / f"checkpoints/step-{step:04}"
            with files.fresh_folder(target) as fresh:
                files.write_json(fresh / "state.json", {"step": step})
                (fresh / "weights").write_bytes(bytes([step % 256]) * int(1e6 * config["seed"]))
            for old in sorted(folder.glob("checkpoints/*"))[:-2]:
                shutil.rmtree(old)
            emit(events.saved(step, target))
    return {"metrics": {"value": settings["value"]}}


def room(config: dict[str, Any]) -> Room:
    """Take `dry.value` MB of disk."""
    return Room(None, int(config["dry"]["value"] * 1e6), {"memory": "it is not measured"})


def _is_held(hold: Path, step: int) -> bool:
    try:
        return step > int(hold.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return False


def rewriting(config: dict[str, Any], folder: Path, emit: Emit) -> dict[str, Any]:
    """Write a file anew, in place, faster than it can be brought anywhere."""
    size = int(1e6 * config["seed"])
    for step in range(1, int(config["dry"]["value"]) + 1):
        with (folder / "weights").open("wb") as stream:
            for _ in range(10):
                stream.write(bytes([step]) * (size // 10))
                stream.flush()
                time.sleep(0.02)
        emit(events.saved(step, folder / "weights"))
    return NUMBERS
