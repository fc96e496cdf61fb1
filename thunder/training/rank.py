"""One rank's own side: its orders, its events, its deadline, how it ends.

Its stdin is its lifeline and its orders: a line with the request, a line `go` when all ranks have
come up, and an end of file when the supervisor is gone. Its stdout carries events.
"""

import faulthandler
import fcntl
import json
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from typing import Any

from thunder.ground.errors import ThunderError, cause_of, message_of
from thunder.hosts import lifeline
from thunder.hosts.pipe import emitter

# Exit codes; LIFELINE_GONE is between them.
CRASHED, TOLD, NOT_MET, PEER_LOST = 1, 3, 5, 6
# The supervisor's deadline comes first: it can name the rank that froze, a rank only itself.
GRACE_SECONDS = 5.0
FIRST_SECONDS = 15.0
AFTER_STEP = {"step", "stepped"}
_LOCK_TRIES, _LOCK_SECONDS = 50, 0.02


class NotMet(Exception):
    """The ranks could not meet where they were told to; elsewhere they may."""


class PeerLost(Exception):
    """Another rank is gone; who says so is innocent."""


class Channel:
    """The way to the supervisor, and the watchdog that every event re-arms."""

    def __init__(self) -> None:
        self._emit = emitter(os.dup(1))
        self._lock = threading.Lock()
        # Whatever a library prints must not be taken for an event.
        os.dup2(2, 1)
        self.seconds = self.stall_seconds = FIRST_SECONDS

    def emit(self, event: Mapping[str, Any]) -> None:
        """Send one event; the next must come within `seconds`."""
        with self._lock:
            if event["event"] in AFTER_STEP:
                # The first step may still compile kernels; from then on each takes its time only.
                self.seconds = self.stall_seconds
            self._emit({**event, "within": self.seconds})
            # A thread in C: it also ends a rank that hangs in a collective.
            faulthandler.dump_traceback_later(self.seconds + GRACE_SECONDS, exit=True)

    def tell(self, event: str, **values: Any) -> None:
        """Send one event by its name."""
        self.emit({"event": event, **values})


def run(serve: Callable[[Mapping[str, Any], Channel], Any]) -> None:
    """Serve one request, say what came of it, and leave with an exit code that says it as well."""
    channel = Channel()
    code = CRASHED
    try:
        _lead_a_group()
        request = json.loads(lifeline.line())
        channel.seconds, channel.stall_seconds = request["start_seconds"], request["stall_seconds"]
        channel.tell("done", result=serve(request, channel))
        code = 0
    except Exception as error:
        code = _told(error, channel)
    finally:
        sys.stderr.flush()
        # What libraries tidy up at the end can wait for a peer that is gone, or complain of it.
        os._exit(code)


def greet(channel: Channel, at: str = "") -> str:
    """Say that this rank has come up, wait for the others, and return where rank 0 said to meet.

    Args:
        at: where to meet, if this is rank 0.
    """
    channel.tell("hello", pid=os.getpid(), at=at)
    word, _, place = lifeline.line().strip().partition(" ")
    if word != "go":
        raise ThunderError("the supervisor said something else than go", "ranks")
    lifeline.watch(lifeline.leave)
    lifeline.guard()
    return place


def own(lock: str) -> None:
    """Be the only one that writes into a folder, from now to the end of this process.

    Args:
        lock: the file in it that says so: the kernel frees it, however this process ends.
    """
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o644)
    for _ in range(_LOCK_TRIES):  # who asks whether it is held, holds it for an instant
        try:
            return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(_LOCK_SECONDS)
    raise ThunderError(f"{lock} is held: the ranks of another thunder are at work here", "ranks")


def _told(error: Exception, channel: Channel) -> int:
    """Tell what ended the work, and return the exit code."""
    if isinstance(error, PeerLost):  # its trace would hide the cause
        return PEER_LOST
    if isinstance(error, NotMet):
        print(f"not met: {error}", file=sys.stderr, flush=True)
        channel.tell("not_met", text=str(error))
        return NOT_MET
    if not isinstance(error, ThunderError):
        traceback.print_exc()
    if not isinstance(error, ThunderError | OSError):
        return CRASHED
    channel.tell("error", message=message_of(error), cause=cause_of(error))
    return TOLD


def _lead_a_group() -> None:
    # The whole group is killed as one; over ssh nobody else has made it.
    if os.getpgrp() != os.getpid():
        os.setsid()
