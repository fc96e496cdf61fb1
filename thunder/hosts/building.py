"""An environment that is being made on a host: begun once, and followed to its end.

It is made by a process of its own there, which goes on when the way is lost.
"""

import json
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from thunder.ground import digest
from thunder.ground.errors import ThunderError
from thunder.hosts import base_python, delivery, environment, requirements
from thunder.hosts.connection import Connection
from thunder.hosts.far import builder
from thunder.hosts.far.environments import WHOLE
from thunder.hosts.host import Host
from thunder.hosts.requirements import Part

BEGIN_SECONDS = 15.0
_POLL_SECONDS = 1.0
_LOOK_SECONDS = 0.2
_KILL_SECONDS = 5.0
_WIDTH = 100
_TELLING = re.compile(r"Downloading |Building |Installing |ERROR: |WARNING: ")
_NO_WAY = ("NewConnectionError", "name resolution", "Network is unreachable", "ConnectTimeout")


@dataclass(frozen=True)
class Build:
    """An environment that is being made.

    Args:
        python: that it is made with.
        target: where it will be.
        folder: of who makes it: the plan, the log, the outcome.
    """

    way: Connection
    parts: Mapping[str, Part]
    python: Mapping[str, Any]
    target: str
    folder: str

    @property
    def lock(self) -> str:
        """The file that who makes it holds while it is at work."""
        return f"{self.folder}/{builder.LOCK}"


def of(way: Connection, parts: Mapping[str, Part]) -> Build:
    """Return what it takes to make an environment of these parts; nothing is begun.

    Raises:
        ThunderError: the host has no Python that it can be made with.
    """
    python = base_python.of(way)
    content = digest.of_value([*(part.digest for part in parts.values()), python["version"]])
    name = content[: environment.ID]
    place = f"{environment.workspace(way)}/env"
    return Build(way, parts, python, f"{place}/{name}", f"{place}/.making-{name}")


def begin(
    build: Build, seconds: float, variables: Mapping[str, str], stop: Callable[[], bool]
) -> int | None:
    """Start a builder; return its number, None: one is at work already.

    Args:
        seconds: after which it gives up.
        variables: of its environment.
    """
    # Of two who begin at once the second would take log and outcome from under the first.
    with delivery.alone(build.way, build.target, stop):
        if build.way.call("is_locked", path=build.lock):
            return None
        number = _started(build, seconds, variables)
        deadline = time.monotonic() + BEGIN_SECONDS
        while not _has_begun(build, number) and time.monotonic() < deadline:
            time.sleep(_LOOK_SECONDS)
        return number


def follow(
    build: Build, tell: Callable[[str], None], stop: Callable[[], bool], deadline: float
) -> dict[str, Any] | None:
    """Tell what a builder says until it has ended; return its outcome, None: to be stopped."""
    way = build.way
    log, offset = f"{build.folder}/{builder.LOG}", 0
    heard = time.monotonic()  # when it was seen at work
    while time.monotonic() < deadline and time.monotonic() - heard < BEGIN_SECONDS:
        if stop():
            return None
        part = way.call("follow", path=log, offset=offset, seconds=_POLL_SECONDS, lock=build.lock)
        offset = part["offset"]
        for line in filter(_TELLING.match, map(str.strip, part["text"].splitlines())):
            tell(line if len(line) <= _WIDTH else f"{line[: _WIDTH - 1]}…")
        if part["held"] or part["text"]:
            heard = time.monotonic()
        elif outcome := way.call("read", path=f"{build.folder}/{builder.OUTCOME}"):
            return dict(json.loads(outcome))
        elif _is_whole(build):  # who was first to see its end has removed its outcome
            return {"step": None, "code": 0, "is_new": True}
        else:
            time.sleep(_LOOK_SECONDS)
    return {"step": "builder", "code": "gone without a word"}


def kill(build: Build, number: int) -> None:
    """End a builder."""
    build.way.call("run", words=["kill", str(number)], seconds=_KILL_SECONDS)


def tidy(build: Build) -> None:
    """Remove what a builder left that has ended, unless another one is at work in its place."""
    with delivery.alone(build.way, build.target, lambda: False):
        if not build.way.call("is_locked", path=build.lock):
            build.way.call("remove", path=build.folder, below=build.way.host.workspace)


def failure(build: Build, outcome: Mapping[str, Any]) -> ThunderError:
    """Return why an environment could not be made, as a builder left it."""
    said = build.way.call("read", path=f"{build.folder}/{builder.LOG}") or ""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")]
    last = [*errors[:1], *reversed(lines), "it said nothing"][0]
    if isinstance(outcome["code"], str):
        last = outcome["code"]
    if any(word in said for word in _NO_WAY):
        last = "no way from there to the package index (--lend-network: through this machine)"
    where = f"{shown(build.way.host, build.folder)}/{builder.LOG}"
    reason = f"{outcome['step']}: {last}; all that was said is in {where}"
    return environment.unmade(build.way, reason)


def shown(host: Host, folder: str) -> str:
    """Return a folder of environments as it can be typed there."""
    return f"{host.workspace}/env/{folder.rpartition('/')[2]}"


def _started(build: Build, seconds: float, variables: Mapping[str, str]) -> int:
    way, folder = build.way, build.folder
    for name in (builder.LOG, builder.OUTCOME):
        way.call("remove", path=f"{folder}/{name}", below=folder)
    wanted = {line for part in build.parts.values() for line in part.wanted}
    pins = {line for part in build.parts.values() for line in part.pins}
    for name, lines in (("requirements", wanted), ("constraints", pins)):
        way.call("write", path=f"{folder}/{name}.txt", text="\n".join([*sorted(lines), ""]))
    way.call("write", path=f"{folder}/{builder.PLAN}", text=json.dumps(_plan(build, seconds)))
    program = Path(builder.__file__).read_text(encoding="utf-8")
    words = [build.python["path"], "-u", "-c", program, folder]
    pid = way.call("spawn", words=words, folder=folder, log=builder.LOG, environment=variables)
    return int(pid)


def _has_begun(build: Build, number: int) -> bool:
    """Say whether a builder is at work, or was."""
    return (
        build.way.call("is_locked", path=build.lock)
        or build.way.call("read", path=f"{build.folder}/{builder.OUTCOME}") is not None
        or build.way.call("state", pid=number) in (None, "Z")
    )


def _plan(build: Build, seconds: float) -> dict[str, Any]:
    inner = environment.python_in(build.target)
    pip = ["-m", "pip", "install", "--no-input", "--disable-pip-version-check"]
    pip += ["--progress-bar", "off"]
    lists = ["-r", f"{build.folder}/requirements.txt", "-c", f"{build.folder}/constraints.txt"]
    return {
        "target": build.target,
        "seconds": seconds,
        "steps": [
            ["venv", [build.python["path"], "-m", "venv", build.target]],
            ["pip", [inner, *pip, *lists]],
            ["import", [inner, "-c", requirements.script(build.parts)]],
        ],
        "whole": WHOLE,
        "says": {
            "parts": {name: part.digest for name, part in build.parts.items()},
            "python": build.python["version"],
        },
    }


def _is_whole(build: Build) -> bool:
    is_there = environment.prepared(build.way, build.parts) == build.target
    python = environment.python_in(build.target)
    return is_there and not environment.fault(build.way, python, build.parts)
