"""Answers questions through a pipe, one JSON object a line, several at once.

A question is {"id", "op", its arguments}; an answer {"id", "value"} or {"id", "error", "cause"}.
The agent ends with its pipe, or when nothing has come through it for so long that nobody can be at
the other end: a link may be cut in silence. What it started detached goes on.
"""

from __future__ import annotations

import errno
import json
import os
import platform
import select
import threading
from typing import Any

from thunder.hosts.far import (
    discarding,
    environments,
    filesystem,
    landing,
    link,
    machine,
    processes,
    slots,
)
from thunder.hosts.far.refusal import Refused

SILENT_SECONDS = 60.0
OPS = {
    function.__name__: function
    for function in (
        machine.facts, machine.clock, machine.hub_cache, filesystem.read, filesystem.write,
        filesystem.folder, filesystem.entries, filesystem.listing, filesystem.rename,
        filesystem.remove, filesystem.placed, landing.land, landing.link, landing.arrived,
        landing.room, discarding.discard, discarding.living, landing.hold, landing.let_go,
        processes.run, processes.spawn, processes.is_locked, processes.follow, processes.state,
        slots.take_slot, slots.leave_slot,
        link.free_ports, link.listen, link.ping, environments.pythons, environments.environments,
    )
}  # fmt: skip
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO)
_speaking = threading.Lock()


def serve() -> None:
    """Answer until the pipe ends or is silent for too long."""
    _say({"id": 0, "value": platform.python_version()})
    rest = b""
    while True:
        readable, _, _ = select.select([0], [], [], SILENT_SECONDS)
        chunk = os.read(0, 1 << 16) if readable else b""
        if not chunk:
            os._exit(0)
        *lines, rest = (rest + chunk).split(b"\n")
        for line in filter(None, lines):  # an empty one says that somebody is there
            threading.Thread(target=_answer, args=(json.loads(line),), daemon=True).start()


def _answer(question: dict[str, Any]) -> None:
    number, name = question.pop("id"), question.pop("op")
    try:
        answer = {"value": OPS[name](**question)}
    except Refused as error:
        answer = {"error": str(error), "cause": "environment"}
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        cause = "write" if error.errno in _FULL else "environment"
        answer = {"error": f"{place}{error.strerror or error}", "cause": cause}
    except Exception as error:
        answer = {"error": f"{type(error).__name__}: {error}", "cause": "crash"}
    _say({"id": number, **answer})


def _say(answer: dict[str, Any]) -> None:
    data = (json.dumps(answer) + "\n").encode()
    with _speaking:
        try:
            while data:
                data = data[os.write(1, data) :]
        except OSError:  # nobody is there to hear it
            os._exit(0)
