"""What a supervisor makes of what it heard; nothing is started."""

import json
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from asr_training import silent

from thunder.backends.torch import launcher
from thunder.backends.torch.peers import Peers
from thunder.ground import files
from thunder.ground.errors import ThunderError
from thunder.lanes.asr.training import rank, ranks


class Ended:
    returncode = 1
    pid = -1

    def poll(self) -> int:
        return 1


def watch(folder: Path, *said: list[dict[str, Any]], failures: Any = None) -> ranks._Watch:
    for number, events in enumerate(said):
        text = "".join(json.dumps(event) + "\n" for event in events)
        rank.events_path(folder, number).write_text(text)
    (folder / ranks.LOG).write_text("first line\nlast words\n")
    if failures is not None:
        files.write_json(folder / launcher.FAILURES, failures)
    found = ranks._Watch(Ended(), folder, silent, 20.0, 60.0)  # type: ignore[arg-type]
    return found


def cause(found: ranks._Watch, count: int) -> ThunderError:
    with pytest.raises(ThunderError) as error:
        ranks._watch(found, count)
    return error.value


HELLO = {"event": "hello", "pid": 99999999}


def error(message: str, cause: str, at: float) -> dict[str, Any]:
    return {"event": "error", "message": message, "cause": cause, "at": at}


def test_what_a_rank_refuses_is_said_in_its_words(tmp_path: Path) -> None:
    lost = error("rank 0: RuntimeError: connection closed by peer", "crash", 1.0)
    refused = error("epoch 3: the validation loss is nan", "training", 2.0)
    found = cause(watch(tmp_path, [HELLO, lost], [HELLO, refused]), 2)
    assert (str(found), found.cause) == (refused["message"], "training")


def test_the_first_crash_is_the_one_that_counts(tmp_path: Path) -> None:
    lost = error("rank 0: RuntimeError: connection closed by peer", "crash", 2.0)
    crashed = error("rank 1: TypeError: no such thing", "crash", 1.0)
    assert "TypeError" in str(cause(watch(tmp_path, [HELLO, lost], [HELLO, crashed]), 2))


def test_a_killed_rank_is_named_before_those_that_lost_it(tmp_path: Path) -> None:
    lost = error("rank 0: RuntimeError: connection closed by peer", "crash", 1.0)
    failures = [
        {"rank": 0, "pid": 11, "code": 1, "at": 1},
        {"rank": 1, "pid": 12, "code": -9, "at": 2},
        {"rank": 2, "pid": 13, "code": -15, "at": 1},  # the launcher's own doing
    ]
    found = cause(watch(tmp_path, [HELLO, lost], [HELLO], [HELLO], failures=failures), 3)
    assert str(found).startswith("rank 1 (pid 12) was killed by SIGKILL; run again")
    assert found.cause == "ranks"


def test_ranks_that_end_without_a_word_leave_the_end_of_their_log(tmp_path: Path) -> None:
    found = cause(watch(tmp_path, [], []), 2)
    assert "without a word" in str(found)
    assert str(found).endswith("\n    last words")
    assert found.cause == "ranks"


def test_half_a_line_waits_for_its_other_half(tmp_path: Path) -> None:
    told: list[dict[str, Any]] = []
    found = watch(tmp_path, [])
    found.emit = told.append
    found.heard = [ranks._Heard(rank.events_path(tmp_path, 0), time.monotonic())]
    with found.heard[0].path.open("a") as stream:
        stream.write('{"event": "valid"}\n{"event": "st')
    ranks._hear(found)
    with found.heard[0].path.open("a") as stream:
        stream.write('ep"}\n')
    ranks._hear(found)
    assert [event["event"] for event in told] == ["valid", "step"]


@pytest.mark.parametrize(("begun", "limit"), [(False, 60.0), (True, 20.0)])
def test_silence_is_allowed_longer_before_a_rank_has_begun(
    tmp_path: Path, begun: bool, limit: float
) -> None:
    found = watch(tmp_path, [])
    now = time.monotonic()
    path = rank.events_path(tmp_path, 0)
    found.heard = [ranks._Heard(path, now - limit + 5, begun=begun)]
    ranks._check_silence(found)
    found.heard = [ranks._Heard(path, now - limit - 1, begun=begun)]
    with pytest.raises(ThunderError, match=r"ranks \[0\] .* a process or a link hangs") as told:
        ranks._check_silence(found)
    assert told.value.cause == "ranks"


def test_a_number_that_leads_no_session_is_not_killed() -> None:
    with subprocess.Popen(["sleep", "60"]) as other:
        ranks._kill_group(other.pid)
        with pytest.raises(subprocess.TimeoutExpired):
            other.wait(0.1)
        other.kill()


def test_replicas_that_differ_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def gather(found: list[torch.Tensor], own: torch.Tensor) -> None:
        found[0].copy_(own)
        found[1].copy_(own + 1)

    monkeypatch.setattr("torch.distributed.all_gather", gather)
    with pytest.raises(ThunderError, match=r"epoch 3: .* ranks \[1\] .* rank 0") as found:
        Peers(0, 2).check_replicas(torch.ones(4), 3)
    assert found.value.cause == "training"
