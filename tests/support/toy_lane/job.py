"""Counts to the step that is asked for, and goes on from where it was."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from thunder.ground import files, steps
from thunder.training import windows

STATE = "counted.json"


def run(
    config: dict[str, Any], folder: Path, emit: Callable[[dict[str, Any]], None]
) -> dict[str, Any]:
    path, runtime = folder / STATE, config["runtime"]
    start = files.read_json(path)["step"] if path.exists() else 0
    step, goal = start, steps.goal(config) or 0
    for step in windows.stops(start, goal, runtime["window"]) or [goal]:
        files.write_json(path, {"step": step, "starts": _starts(path) + 1})
        files.append_jsonl(folder / "metrics.jsonl", {"step": step, "counted": float(step)})
    return {"metrics": {"counted": float(step)}, "step": step, "inputs": {}}


def _starts(path: Path) -> int:
    return int(files.read_json(path)["starts"]) if path.exists() else 0
