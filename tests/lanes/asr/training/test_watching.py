"""What a supervisor makes of what it heard; nothing is started."""

import threading
import time
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any, cast

import pytest
import torch
from asr_training import silent

from thunder.backends.torch.peers import Peers
from thunder.ground.errors import ThunderError
from thunder.lanes.asr.training import ranks
from thunder.training.rank_process import Inbox
from thunder.training.watch import Watch


@dataclass
class Ended:
    """A rank that has ended, or one that goes on for ever."""

    number: int
    pid: int = 99999999
    code: int | None = 1
    words: str = ""
    host: str = ""

    def last_words(self) -> str:
        return self.words

    def is_stopped(self) -> bool:
        return False

    def lost(self) -> None:
        """Lose nothing: it was here."""

    def order(self, line: str) -> None:
        """Take no notice."""


def watch(*ended: Ended) -> Watch:
    inbox: Inbox = SimpleQueue()
    return Watch(cast(Any, [*ended]), inbox, silent, ranks.PHRASES, threading.Event())


def cause(watched: Watch, *events: tuple[int, dict[str, Any] | None]) -> ThunderError:
    for number, event in events:
        watched.inbox.put((number, {**event, "within": 20.0} if event else None))
    with pytest.raises(ThunderError) as error:
        watched.results(60.0)
    return error.value


def hello(number: int) -> tuple[int, dict[str, Any]]:
    return number, {"event": "hello", "pid": 11 + number, "at": ""}


def error(number: int, message: str, cause: str) -> tuple[int, dict[str, Any]]:
    return number, {"event": "error", "message": message, "cause": cause}


def test_what_a_rank_refuses_is_said_in_its_words() -> None:
    lost = error(0, "rank 0: RuntimeError: connection closed by peer", "crash")
    refused = error(1, "epoch 3: the validation loss is nan", "training")
    both = watch(Ended(0, code=3), Ended(1, code=3))
    blamed = cause(both, hello(0), hello(1), lost, (0, None), refused, (1, None))
    assert (str(blamed), blamed.cause) == ("epoch 3: the validation loss is nan", "training")


def test_the_first_crash_is_the_one_that_counts() -> None:
    lost = error(0, "rank 0: RuntimeError: connection closed by peer", "crash")
    crashed = error(1, "rank 1: TypeError: no such thing", "crash")
    both = watch(Ended(0, code=3), Ended(1, code=3))
    blamed = cause(both, hello(0), hello(1), crashed, lost, (0, None), (1, None))
    assert "TypeError" in str(blamed)


def test_a_killed_rank_is_named_before_those_that_lost_it() -> None:
    lost = error(0, "rank 0: RuntimeError: connection closed by peer", "crash")
    both = watch(Ended(0, 11, code=3), Ended(1, 12, code=-9))
    blamed = cause(both, hello(0), hello(1), lost, (0, None), (1, None))
    assert str(blamed).startswith("rank 1 (pid 12) was killed by SIGKILL; run again")
    assert blamed.cause == "ranks"


def test_ranks_that_end_without_a_word_leave_the_end_of_their_log() -> None:
    both = watch(Ended(0, 11, words="    first line\n    last words"), Ended(1))
    blamed = cause(both, (0, None), (1, None))
    assert str(blamed).startswith("rank 0 (pid 11) ended with exit code 1; run again")
    assert str(blamed).endswith("\n    last words")
    assert blamed.cause == "ranks"


@pytest.mark.parametrize(("begun", "limit"), [(False, 60.0), (True, 20.0)])
def test_silence_is_allowed_longer_before_a_rank_has_begun(begun: bool, limit: float) -> None:
    watched = watch(Ended(0, code=None))
    watched.within = {0: 20.0 if begun else 60.0}
    watched.heard_at = {0: time.monotonic() - limit + 5}
    assert watched._left() > 0
    watched.heard_at = {0: time.monotonic() - limit - 1}
    assert watched._left() <= 0
    with pytest.raises(ThunderError, match=r"ranks \[0\] .* a process or a link hangs") as told:
        watched._raise_silence()
    assert told.value.cause == "ranks"


def test_replicas_that_differ_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def gather(replicas: list[torch.Tensor], own: torch.Tensor) -> None:
        replicas[0].copy_(own)
        replicas[1].copy_(own + 1)

    monkeypatch.setattr("torch.distributed.all_gather", gather)
    with pytest.raises(ThunderError, match=r"epoch 3: .* ranks \[1\] .* rank 0") as caught:
        Peers(0, 2).check_replicas(torch.ones(4), 3)
    assert caught.value.cause == "training"
