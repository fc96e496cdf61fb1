# ruff: noqa: F811  (an imported fixture and the argument it fills)
"""Two ranks on this machine's CPU."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import asr_training
import psutil
import pytest
from asr_training import Speech, as_trained, silent, speech  # noqa: F401
from running import environment

from thunder.backends.torch.peers import Peers
from thunder.ground import files
from thunder.ground.errors import ThunderError
from thunder.lanes.asr import material
from thunder.lanes.asr.training import loop, ranks, state
from thunder.lanes.asr.training.state import Saved
from thunder.training import rank_process

pytestmark = pytest.mark.slow

SHORT = {"train__ranks": 2, "train__epochs": 3, "train__batch_size": 4, "model__dropout": 0.1}
LONG = {"train__ranks": 2, "train__epochs": 500, "train__patience": 500}


def gathered(speech: Speech, folder: Path, **changes: Any) -> material.Material:
    folder.mkdir(exist_ok=True)
    return material.gather(speech.config(**changes), folder, silent)


def last(given: material.Material, folder: Path) -> Saved:
    saved = state.load(folder, state.about(given))
    assert saved is not None
    return saved


def is_alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def wait_for(claim: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not claim() and time.monotonic() < deadline:
        time.sleep(0.05)
    return claim()


def ranks_of(parent: int) -> list[int]:
    """Return the ranks that a process has started, the lowest number first."""
    children = psutil.Process(parent).children()
    return sorted(one.pid for one in children if "asr.training.rank" in " ".join(_words(one)))


def _words(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:  # gone by now, or a zombie
        return []


@pytest.fixture(scope="module")
def whole(speech: Speech, tmp_path_factory: pytest.TempPathFactory) -> tuple[Saved, Any]:
    """Return what two ranks come to, and the events on the way."""
    folder, events = tmp_path_factory.mktemp("whole"), []
    given = gathered(speech, folder, **SHORT)
    ranks.train(given.config, folder, 1, events.append)
    return last(given, folder), events


def test_two_ranks_go_where_one_goes(
    speech: Speech, whole: tuple[Saved, Any], tmp_path: Path
) -> None:
    saved, events = whole
    alone = gathered(speech, tmp_path, **SHORT | {"train__ranks": 1})
    expected = loop.train(alone, tmp_path, asr_training.CPU, Peers(), silent)
    assert saved.stopped == loop.EPOCHS
    # Sums come in another order, and each rank draws its own bands and dropout.
    assert [row["valid_loss"] for row in saved.history] == pytest.approx(
        [row["valid_loss"] for row in expected.history], rel=0.1
    )
    assert [event["step"] for event in events if event["event"] == "valid"] == [1, 2, 3]
    assert {event["event"] for event in events} <= {"phase", "beat", "step", "valid"}


def test_ranks_train_where_there_are_no_programs(
    speech: Speech, whole: tuple[Saved, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    given = gathered(speech, tmp_path, **SHORT)
    ranks.train(given.config, tmp_path, 1, silent)
    losses = [
        [row["valid_loss"] for row in one.history] for one in (last(given, tmp_path), whole[0])
    ]
    assert losses[0] == losses[1]


def during_training(
    act: Callable[[list[int]], None], epoch: int = 1
) -> Callable[[dict[str, Any]], None]:
    """Return an emitter that acts once on the ranks when they train an epoch."""
    acted = threading.Event()

    def emit(event: dict[str, Any]) -> None:
        if event["event"] == "step" and event["epoch"] >= epoch and not acted.is_set():
            acted.set()
            act(ranks_of(os.getpid()))

    return emit


def test_a_rank_that_is_killed_is_named_and_the_run_goes_on_to_the_same_bits(
    speech: Speech, whole: tuple[Saved, Any], tmp_path: Path
) -> None:
    given = gathered(speech, tmp_path, **SHORT)
    seen: list[int] = []

    def kill(pids: list[int]) -> None:
        seen.extend(pids)
        os.kill(pids[1], signal.SIGKILL)

    with pytest.raises(ThunderError, match=r"rank \d \(pid \d+\) was killed by SIGKILL") as error:
        ranks.train(given.config, tmp_path, 1, during_training(kill, epoch=2))
    assert error.value.cause == "ranks"
    assert len(seen) == 2
    assert not any(map(is_alive, seen))
    assert last(given, tmp_path).epoch in (1, 2)
    ranks.train(given.config, tmp_path, 1, silent)
    other = last(given, tmp_path)
    for name, one in whole[0].model.items():
        assert one.equal(other.model[name]), name


def test_a_rank_that_hangs_is_named_in_time_and_leaves_nothing(
    speech: Speech, tmp_path: Path
) -> None:
    given = gathered(speech, tmp_path, **LONG)
    given.config["runtime"]["stall_seconds"] = 3.0  # type: ignore[index]
    seen: list[int] = []
    stopped_at = 0.0

    def stop(pids: list[int]) -> None:
        nonlocal stopped_at
        seen.extend(pids)
        stopped_at = time.monotonic()
        os.kill(pids[1], signal.SIGSTOP)

    with pytest.raises(ThunderError, match=r"no sign of life .* rank \d is suspended") as error:
        ranks.train(given.config, tmp_path, 1, during_training(stop))
    assert error.value.cause == "ranks"
    assert time.monotonic() - stopped_at < 3.0 + 3 * rank_process.END_SECONDS
    assert not any(map(is_alive, seen))


def test_ranks_die_with_the_run_that_started_them(speech: Speech, tmp_path: Path) -> None:
    given = gathered(speech, tmp_path, **LONG)
    files.write_json(tmp_path / "config.json", dict(given.config))
    with subprocess.Popen(
        [sys.executable, __file__, str(tmp_path)],
        env=environment(),
        stdout=subprocess.PIPE,
        text=True,
    ) as parent:
        assert parent.stdout is not None
        for line in parent.stdout:
            if json.loads(line)["event"] == "step":
                break
        pids = ranks_of(parent.pid)
        parent.kill()
    assert len(pids) == 2
    assert wait_for(lambda: not any(map(is_alive, pids)), 10)


def _main() -> None:
    folder = Path(sys.argv[1])
    config = files.read_json(folder / "config.json")
    ranks.train(config, folder, 1, lambda event: print(json.dumps(event), flush=True))


if __name__ == "__main__":
    _main()
