"""One tiny model, its tokens and requests to train it, shared by the tests of the adapter lane."""

import functools
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from thunder.backends.mlx import blas
from thunder.ground import files
from thunder.lanes.adapter.data import tokens
from thunder.lanes.adapter.model import standin
from thunder.lanes.adapter.training import ranks
from thunder.lanes.adapter.training.ranks import Request

CACHE = Path(tempfile.gettempdir()) / f"thunder-tests-{os.getuid()}"
# Before any test module imports mlx.
blas.load(CACHE / "cache")

LETTERS = "ߊߋߌߍߎߏߐߓߔߕߖߗߘߙߛߜߝߞߟߡߢߣߤߥߦ"
SOURCE = {
    "recipe": "tiny_gemma4",
    "hidden": 32,
    "layers": 2,
    "vocabulary": 384,
    "seed": 0,
    "pretrain_steps": 0,
    "bits": 0,
    "learning_rate_factor": 1000.0,
}
INPUTS = {"model": "0" * 64, "data": "1" * 64}


@dataclass(frozen=True)
class Tiny:
    """A model folder, a tokens folder and the rows that the tokens come from."""

    model: Path
    tokens: Path
    rows: dict[str, list[dict[str, Any]]]

    def config(self, outputs: Path, **train: Any) -> dict[str, Any]:
        """Return the config of a job; keywords replace keys of `train` and others."""
        runtime = {"eval_every": 5, "save_every": 5, "stall_seconds": 20.0, "start_seconds": 60.0}
        runtime |= {key: train.pop(key) for key in list(train) if key in runtime}
        settings = {
            "steps": 20,
            "strategy": "data",
            "ranks": 1,
            "batch_size": 2,
            "sequence_length": 128,
            "learning_rate": 1e-5,
            "warmup_fraction": 0.1,
            "weight_decay": 0.01,
            "clip_norm": 1.0,
            "valid_rows": 16,
        }
        factor = train.pop("learning_rate_factor", 1000.0)
        dropout = train.pop("dropout", 0.05)
        settings |= train
        settings.setdefault("rank_weights", [1] * settings["ranks"])
        return {
            "seed": 0,
            "model": {"name": "tiny", "source": SOURCE | {"learning_rate_factor": factor}},
            "data": {"name": "words"},
            "adapter": {"layers": 2, "rank": 4, "scale": 20.0, "dropout": dropout},
            "train": settings,
            "runtime": {"outputs": str(CACHE), **runtime},
        }

    def request(self, run: Path, stop: int, **train: Any) -> Request:
        """Return a request to train up to a step."""
        run.mkdir(parents=True, exist_ok=True)
        config = self.config(run, **train)
        return Request(
            config, str(run), "run", stop, str(self.model), str(self.tokens), INPUTS, True
        )


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    """Return the tiny model of this session."""
    return _built(tmp_path_factory.getbasetemp() / "adapter")


# A fixture that several modules import is made once for each of them.
@functools.cache
def _built(folder: Path) -> Tiny:
    rows = {"train": _rows(48, 1), "valid": _rows(20, 2)}
    texts = [message["content"] for row in rows["train"] for message in row["messages"]]
    standin.build(SOURCE, texts, folder / "model")
    tokens.prepare(rows, folder / "model", 128, "refuse", folder / "tokens")
    return Tiny(folder / "model", folder / "tokens", rows)


def _rows(count: int, seed: int) -> list[dict[str, Any]]:
    chance = random.Random(seed)
    rows = []
    for _ in range(count):
        words = [
            "".join(chance.choices(LETTERS, k=chance.randint(2, 6)))
            for _ in range(chance.randint(1, 6))
        ]
        question = {"role": "user", "content": " ".join(words[::-1])}
        rows.append({"messages": [question, {"role": "assistant", "content": " ".join(words)}]})
    return rows


def ranks_of(parent: int) -> list[int]:
    """Return the process ids of the ranks that a process has started, the lowest first."""
    children = psutil.Process(parent).children()
    return sorted(child.pid for child in children if any(map(_is_rank, _words(child))))


def _words(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:  # gone by now, or a zombie
        return []


def _is_rank(word: str) -> bool:
    return "adapter.training.rank" in word


def is_alive(pid: int) -> bool:
    """Return whether a process exists and is no zombie."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def wait_for(claim: Callable[[], bool], seconds: float) -> bool:
    """Return whether a claim comes true in time."""
    deadline = time.monotonic() + seconds
    while not claim() and time.monotonic() < deadline:
        time.sleep(0.02)
    return claim()


@contextmanager
def supervisor(request: Request) -> Iterator["subprocess.Popen[str]"]:
    """Run a window in a supervisor of its own, with its events on stdout."""
    path = Path(request.folder) / "request.json"
    files.write_json(path, asdict(request))
    command = [sys.executable, __file__, str(path)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def wait_for_step(process: "subprocess.Popen[str]", step: int) -> None:
    """Read a supervisor's events until a step was made."""
    for line in process.stdout or ():
        if line.strip() == f"step {step}":
            return
    raise AssertionError(f"the supervisor ended before step {step}")


def digests(run: Path, step: int) -> dict[str, str]:
    """Return the recorded digests of a checkpoint's tensors."""
    record = files.read_json(run / "checkpoints" / f"step-{step:07d}" / "checkpoint.json")
    return dict(record["sha256"])


def _main() -> None:
    def emit(event: dict[str, Any]) -> None:
        if event["event"] == "step":
            print("step", event["step"], flush=True)

    ranks.train_window(Request(**files.read_json(Path(sys.argv[1]))), emit)


if __name__ == "__main__":
    _main()
