"""The ASR lane on a machine with one NVIDIA GPU, in eight minutes at most: figures and checks.

    python benchmarks/cuda.py > cuda.json

It needs this repository, Python 3.11 or later, and of packages torch, numpy, rapidfuzz,
jsonschema-rs, rfc8785, babel, datasets and pyarrow, which the lane imports; transformers, soundfile
and soxr for the part `encoder`, which is skipped by name where they are missing. Nothing is
downloaded: features, texts and weights are generated, from one seed, in a folder that is removed.

Parts, each a process of its own that is killed at its bound:
  generate   800 utterances of 3.4 s on average as frames of 1,280 numbers, and their texts
  throughput utterances a second of the anchor's size (47 million parameters) in bfloat16, trained
             and validated; against the published way (padded to 30 s, rows by chance, scored row by
             row), with the same model and with the published configuration; peak memory
  largest    rows that one step of training holds, doubled and then bisected until memory is short
  encoder    audio through an encoder of Whisper large-v3's shape with drawn weights
  agreement  loss, gradient and dumps of the GPU in float32 and bfloat16 against the CPU in float32
  resume     a run killed by signal 9 after its first epoch, run again, against one left alone

A table goes to standard error, one JSON document to standard output. A part is `measured`,
`skipped` or `failed`, the last two with a reason; the exit code is 1 when one failed, 2 when
nothing could begin. `--tiny` does all of it at sizes of a test, on a CPU where there is no GPU.
"""

import argparse
import importlib
import importlib.util
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
DEADLINE_SECONDS = 480
LEAST_SECONDS = 10  # with less, no part is begun
OWN_SHARE = 0.8  # of its bound, for what a part measures: it has to start and to end as well
TINY_SHARE = 0.05  # of a bound that is twice as long: tests run beside much else
PACKAGES = {
    name: name
    for name in ("torch", "numpy", "rapidfuzz", "rfc8785", "babel", "datasets", "pyarrow")
} | {"jsonschema_rs": "jsonschema-rs"}
# Where each part is, and its bound in seconds; together they are within the deadline.
PARTS = {
    "generate": ("generated:generate", 50),
    "throughput": ("cuda_speed:throughput", 130),
    "largest": ("cuda_speed:largest_batch", 90),
    "encoder": ("cuda_speed:encoder", 60),
    "agreement": ("cuda_checks:agreement", 60),
    "resume": ("cuda_checks:resume", 80),
}


def main() -> int:
    """Run the parts one after another, or one of them."""
    parser = argparse.ArgumentParser(description="The ASR lane on one NVIDIA GPU.")
    parser.add_argument("--tiny", action="store_true", help="sizes of a test, on a CPU as well")
    parser.add_argument("--part", choices=PARTS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    sys.path.insert(0, str(ROOT))
    if missing := [PACKAGES[name] for name in PACKAGES if not importlib.util.find_spec(name)]:
        print(f"cuda: not installed here: {', '.join(missing)}; {_how(missing)}", file=sys.stderr)
        return 2
    if asked.part:
        return _run_part(asked.part, asked.folder, asked.tiny)
    device = _device()
    if device["kind"] == "cpu" and not asked.tiny:
        message = f"cuda: torch {device['torch']} sees no GPU here; --tiny runs on a CPU"
        print(message, file=sys.stderr)
        return 2
    document = _document(asked.tiny, device)
    print("\n".join(_table(document)), file=sys.stderr)
    print(json.dumps(document, indent=2))
    return int(any(part["status"] == "failed" for part in document["parts"].values()))


def _how(missing: list[str]) -> str:
    return f"python -m pip install -c {ROOT / 'constraints.txt'} {' '.join(missing)}"


def _document(is_tiny: bool, device: dict[str, Any]) -> dict[str, Any]:
    started, began = datetime.now(UTC), time.monotonic()
    deadline = began + DEADLINE_SECONDS
    parts: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory(prefix="thunder-cuda-") as name:
        for part in PARTS:
            parts[part] = _part(part, Path(name), is_tiny, parts, deadline)
            print(f"{part}: {parts[part]['status']}", file=sys.stderr, flush=True)
    return {
        "benchmark": "cuda",
        "tiny": is_tiny,
        "started": started.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "seconds": round(time.monotonic() - began, 3),
        "deadline_seconds": DEADLINE_SECONDS,
        "device": device,
        "parts": parts,
    }


def _part(
    name: str, folder: Path, is_tiny: bool, before: Mapping[str, Any], deadline: float
) -> dict[str, Any]:
    """Return what came of a part, run in a process of its own."""
    bound = min(PARTS[name][1] * (2 if is_tiny else 1), deadline - time.monotonic())
    if before and before["generate"]["status"] != "measured":
        return _ended("skipped", "there is nothing generated to measure on", bound)
    if bound < LEAST_SECONDS:
        return _ended("skipped", f"no time was left of {DEADLINE_SECONDS} s", bound)
    words = ["--part", name, "--folder", str(folder), *(["--tiny"] if is_tiny else [])]
    began = time.monotonic()
    with (folder / f"{name}.log").open("w+b") as log:
        code, said = _run([sys.executable, str(Path(__file__).resolve()), *words], log, bound)
        log.seek(0)
        lines = log.read().decode(errors="replace").split("\n")
    seconds = time.monotonic() - began
    if code == 0:
        return {**json.loads(said), "seconds": round(seconds, 3), "bound_seconds": round(bound, 1)}
    last = next((line.strip() for line in reversed(lines) if line.strip()), "without a word")
    reason = f"killed at its bound of {bound:.0f} s" if code is None else f"exit {code}: {last}"
    return _ended("failed", reason, bound, seconds)


def _run(command: list[str], log: Any, bound: float) -> tuple[int | None, str]:
    """Return the exit code and output of a command; None when it had to be killed."""
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=log, text=True, start_new_session=True
    )
    try:
        said, _ = process.communicate(timeout=bound)
    except subprocess.TimeoutExpired:
        return None, ""
    finally:  # with what it started; a group that is gone needs nothing
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    return process.returncode, said


def _ended(status: str, reason: str, bound: float, seconds: float = 0.0) -> dict[str, Any]:
    times = {"seconds": round(seconds, 3), "bound_seconds": round(max(bound, 0.0), 1)}
    return {"status": status, "reason": reason, **times, "figures": None}


def _run_part(name: str, folder: Path, is_tiny: bool) -> int:
    """Be the process of a part; what it prints besides its result goes to its log."""
    out, sys.stdout = sys.stdout, sys.stderr
    generated = importlib.import_module("generated")
    place = generated.Place(folder, generated.TINY if is_tiny else generated.FULL)
    where, bound = PARTS[name]
    module, _, function = where.partition(":")
    seconds = bound * (TINY_SHARE if is_tiny else OWN_SHARE)
    figures = getattr(importlib.import_module(module), function)(place, seconds)
    skipped, failed = figures.pop("skipped", None), figures.pop("failed", None)
    status = "skipped" if skipped else "failed" if failed else "measured"
    result = {"status": status, "reason": skipped or failed, "figures": figures or None}
    print(json.dumps(result), file=out)
    return 0


def _device() -> dict[str, Any]:
    """Return what is measured on; asked in a process of its own, which then lets go of it."""
    code = """
import json, torch
gpu = torch.cuda.get_device_properties(0) if torch.cuda.is_available() else None
print(json.dumps({
    "kind": "cuda" if gpu else "cpu",
    "name": gpu.name if gpu else "cpu",
    "memory_gib": gpu.total_memory / 2**30 if gpu else None,
    "capability": f"{gpu.major}.{gpu.minor}" if gpu else None,
    "torch": torch.__version__,
    "cuda": torch.version.cuda,
}))
"""
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, check=True)
    versions = {"python": platform.python_version(), "cores": os.cpu_count()}
    return {**json.loads(done.stdout), **versions}


def _table(document: Mapping[str, Any]) -> Iterator[str]:
    device = document["device"]
    yield f"{device['name']}, torch {device['torch']}, Python {device['python']}"
    for name, part in document["parts"].items():
        reason = f": {part['reason']}" if part["reason"] else ""
        yield f"{name}  {part['status']} in {part['seconds']} of {part['bound_seconds']} s{reason}"
        yield from (f"  {key:<58} {value}" for key, value in _flat(part["figures"] or {}))
    yield f"{document['seconds']} of {document['deadline_seconds']} s"


def _flat(figures: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, str]]:
    for key, value in figures.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{above}{key}.")
        else:
            yield f"{above}{key}", f"{value:.6g}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    sys.exit(main())
