# ruff: noqa: F811  (an imported fixture and the argument it fills)
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from math import isfinite
from pathlib import Path
from queue import SimpleQueue
from types import SimpleNamespace
from typing import Any, cast

import pytest
from adapter_fixtures import (
    CACHE,
    Tiny,
    is_alive,
    ranks_of,
    supervisor,
    tiny,  # noqa: F401
    wait_for,
    wait_for_step,
)

from thunder.ground import files, run_files
from thunder.ground.errors import ThunderError
from thunder.lanes.adapter.training import ranks
from thunder.training import checkpoints, rank, rank_process, watch
from thunder.training.placement import Slot

pytestmark = pytest.mark.slow

# So many steps that no rank ends by itself before a test has done it harm.
LONG = 500


def test_a_stopped_rank_is_named_within_its_deadline_and_without_any_programs(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    request = tiny.request(tmp_path, LONG, steps=LONG, ranks=2, batch_size=1, stall_seconds=1.5)

    def stop(event: dict[str, Any]) -> None:
        if event["event"] == "step" and event["step"] == 3:
            os.kill(ranks_of(os.getpid())[1], signal.SIGSTOP)

    with pytest.raises(ThunderError, match=r"rank 1 \(pid \d+\) is stopped") as caught:
        ranks.train_window(request, stop)
    assert caught.value.cause == "ranks"
    assert not ranks_of(os.getpid())


def test_a_killed_supervisor_leaves_no_ranks_not_even_a_frozen_one(
    tiny: Tiny, tmp_path: Path
) -> None:
    request = tiny.request(tmp_path, LONG, steps=LONG, ranks=2, batch_size=1, save_every=LONG)
    with supervisor(request) as supervising:
        wait_for_step(supervising, 3)
        pids = ranks_of(supervising.pid)
        os.kill(pids[1], signal.SIGSTOP)
        supervising.kill()
        assert len(pids) == 2
        assert wait_for(lambda: not any(map(is_alive, pids)), 2.0)


def test_a_terminated_supervisor_takes_its_ranks_along(tiny: Tiny, tmp_path: Path) -> None:
    request = tiny.request(tmp_path, LONG, steps=LONG, ranks=2, batch_size=1)
    with supervisor(request) as supervising:
        wait_for_step(supervising, 3)
        pids = ranks_of(supervising.pid)
        supervising.terminate()
        assert len(pids) == 2
        assert supervising.wait(5) == 1
        assert not any(map(is_alive, pids))


def test_a_loss_that_is_not_finite_stops_before_saving(tiny: Tiny, tmp_path: Path) -> None:
    request = tiny.request(tmp_path, 10, learning_rate_factor=1e40, save_every=100)
    with pytest.raises(ThunderError, match="the loss is") as caught:
        ranks.train_window(request, lambda event: None)
    assert caught.value.cause == "training"
    assert not checkpoints.steps(tmp_path)
    (failed,) = re.findall(r"step (\d+): the loss is", str(caught.value))
    rows = [row for row in files.read_jsonl(tmp_path / run_files.ROWS) if "loss" in row]
    # The step that failed has left no row, those before it have.
    assert [row["step"] for row in rows] == list(range(1, int(failed)))
    assert rows
    assert all(isfinite(row["loss"]) for row in rows)


def test_a_model_that_cannot_be_loaded_is_the_cause(tiny: Tiny, tmp_path: Path) -> None:
    request = tiny.request(tmp_path, 10, ranks=2)
    empty = ranks.Request(**{**vars(request), "model_folder": str(tmp_path / "empty")})
    with pytest.raises(ThunderError, match="mlx-lm cannot load the model") as caught:
        ranks.train_window(empty, lambda event: None)
    assert caught.value.cause == "model"


def test_ranks_of_another_window_are_refused(tmp_path: Path) -> None:
    inbox: rank_process.Inbox = SimpleQueue()
    order = {
        "mode": "smoke",
        "world": 2,
        "cache": str(CACHE / "cache"),
        "ring": ranks._addresses([Slot()] * 2),
    }
    order |= {"start_seconds": 20.0, "stall_seconds": 20.0}
    orders = [{**order, "rank": number, "token": f"{number}" * 32} for number in range(2)]
    both = [
        rank_process.Process(n, one, inbox, Slot().start(ranks.WORDS))
        for n, one in enumerate(orders)
    ]
    try:
        told, ended = _listen(both, inbox)
    finally:
        rank_process.end(both)
    assert [one.code for one in both] == [rank.NOT_MET] * 2
    assert all("another window" in told[number] for number in ended)


def _listen(
    both: list[rank_process.Process], inbox: rank_process.Inbox
) -> tuple[dict[int, str], list[int]]:
    told: dict[int, str] = {}
    ended: list[int] = []
    greeted = 0
    while len(ended) < 2:
        number, event = inbox.get(timeout=20)
        if event is None:
            ended.append(number)
        elif event["event"] == "not_met":
            told[number] = event["text"]
        elif event["event"] == "hello":
            greeted += 1
            for one in both if greeted == 2 else ():
                one.order("go")
    return told, ended


def test_a_port_that_is_taken_is_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    free = ranks._addresses
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        used = [[f"127.0.0.1:{taken.getsockname()[1]}"], *free([Slot()])]
        offered = iter([used, free([Slot()] * 2)])
        monkeypatch.setattr(ranks, "_addresses", lambda slots: next(offered))
        assert [result["size"] for result in ranks.ring_smoke(2, CACHE / "cache")] == [2, 2]
    assert next(offered, None) is None


def test_smoke_ring_sums_over_all_ranks() -> None:
    results = ranks.ring_smoke(3, CACHE / "cache")
    assert [(result["size"], result["sum"]) for result in results] == [(3, 6.0)] * 3
    assert all(0 < result["latency_ms"] < 1000 for result in results)


def test_weights_must_name_every_rank(tiny: Tiny, tmp_path: Path) -> None:
    request = tiny.request(tmp_path, 10, ranks=2, rank_weights=[1])
    with pytest.raises(ThunderError, match=r"rank_weights has 1 entries, train\.ranks is 2"):
        ranks.train_window(request, lambda event: None)


def test_ranks_are_not_blamed_for_a_supervisor_that_was_held_up() -> None:
    inbox: rank_process.Inbox = SimpleQueue()
    both = [SimpleNamespace(number=number, code=0, pid=0) for number in (0, 1)]
    watching = watch.Watch(
        cast(Any, both), inbox, lambda event: None, ranks.PHRASES, threading.Event()
    )
    for number in (0, 1):  # all is said before the supervisor comes to listen
        inbox.put((number, {"event": "done", "within": 30.0, "result": {"step": number}}))
        inbox.put((number, None))
    assert watching.results(start_seconds=0.0) == [{"step": 0}, {"step": 1}]


def test_addresses_that_find_no_room_are_told_with_the_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from thunder.lanes.adapter.training.rank import _host_file

    script = (
        "import resource, sys\n"
        "from thunder.ground.errors import cause_of, message_of\n"
        "from thunder.lanes.adapter.training.rank import _host_file\n"
        "import tempfile; tempfile.gettempdir()\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))\n"
        "try:\n"
        "    with _host_file([['127.0.0.1:1']]): pass\n"
        "except OSError as error:\n"
        "    print(cause_of(error), message_of(error))\n"
    )
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert re.fullmatch(rf"write {tmp_path}/\w+/hosts\.json: File too large\n", done.stdout)
    assert not list(tmp_path.iterdir())

    def refused() -> str:
        raise FileNotFoundError(2, "No usable temporary directory found in ['/tmp']")

    monkeypatch.setattr(tempfile, "gettempdir", refused)
    with pytest.raises(ThunderError, match=r"'/tmp'\]; make room") as caught, _host_file([]):
        pass
    assert caught.value.cause == "write"
