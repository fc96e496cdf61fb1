"""An environment made on a host: venv and pip there, in the versions that are here.

It is made by a process of its own there. Who asked may lose the way, or ask twice: the second
follows what goes on.
"""

import json
import re
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from thunder.ground import digest
from thunder.ground.errors import Stopped, ThunderError
from thunder.hosts import base_python, connection, environment, lending, requirements
from thunder.hosts.connection import Connection
from thunder.hosts.far import builder
from thunder.hosts.far.environments import WHOLE
from thunder.hosts.host import Host
from thunder.hosts.requirements import Part

SECONDS = 1800.0
_POLL_SECONDS = 1.0
_BEGIN_SECONDS = 15.0
_LOOK_SECONDS = 0.2
_KILL_SECONDS = 5.0
_WIDTH = 100
_TELLING = re.compile(r"Downloading |Building |Installing |ERROR: |WARNING: ")
_NO_WAY = ("NewConnectionError", "name resolution", "Network is unreachable", "ConnectTimeout")


@dataclass(frozen=True)
class Prepared:
    """An environment of a host.

    Args:
        is_new: whether it was made now.
        seconds: that it took.
    """

    folder: str
    is_new: bool
    seconds: float


@dataclass(frozen=True)
class _Work:
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


def prepare(
    way: Connection,
    parts: Mapping[str, Part],
    tell: Callable[[str], None],
    *,
    lends_network: bool = False,
    seconds: float = SECONDS,
    stop: Callable[[], bool] = lambda: False,
) -> Prepared:
    """Make an environment there, unless one of these parts is whole and can be used.

    Args:
        tell: is given what happens meanwhile, line by line.
        lends_network: whether pip there goes through this machine.
        seconds: after which it is given up.
        stop: asked now and then; what was begun here is ended there.

    Raises:
        ThunderError: it cannot be made, why, and what to do instead; or it was stopped.
    """
    begun = time.monotonic()
    there = environment.prepared(way, parts)
    if there and not environment.fault(way, environment.python_in(there), parts):
        return Prepared(there, False, time.monotonic() - begun)
    work = _work(way, parts)
    tell(f"Python {work.python['version']}, {work.python['path']}")
    with _network(way, lends_network) as variables:
        pid = None
        if way.call("is_locked", path=f"{work.folder}/{builder.LOCK}"):
            tell("is being made already; following it")
        else:
            pid = _begin(work, seconds, variables)
        outcome = _followed(work, tell, stop, time.monotonic() + seconds + _BEGIN_SECONDS)
    if outcome is None:
        raise _stopped(way, pid)
    if outcome["code"]:
        raise _failure(work, outcome)
    way.call("remove", path=work.folder, below=way.host.workspace)
    return Prepared(work.target, outcome["is_new"], time.monotonic() - begun)


def on_hosts(
    hosts: Mapping[str, Host],
    parts: Mapping[str, Part],
    tell: Callable[[str], None],
    *,
    lends_network: bool = False,
) -> list[dict[str, Any]]:
    """Prepare hosts side by side; return of each what was done, or why nothing could be.

    Args:
        tell: is given each line, with the name of its host before it.
    """
    width, stopping = max(map(len, hosts)), threading.Event()

    def on(host: Host) -> dict[str, Any]:
        def say(line: str) -> None:
            tell(f"{host.name:<{width}}  {line}")

        row: dict[str, Any] = {"host": host.name, "fault": ""}
        try:
            with connection.opened(host) as way:
                made = prepare(way, parts, say, lends_network=lends_network, stop=stopping.is_set)
        except ThunderError as error:
            say(f"FAIL  {str(error).removeprefix(f'host {host.name}: ')}")
            return row | {"fault": str(error)}
        how = f"made in {made.seconds:.0f} s" if made.is_new else "is there already: nothing to do"
        say(f"PASS  {_shown(host, made.folder)} {how}")
        return row | asdict(made)

    with ThreadPoolExecutor(len(hosts)) as pool:
        try:
            return list(pool.map(on, hosts.values()))
        finally:
            stopping.set()  # Ctrl-C: the others are not waited for


def _work(way: Connection, parts: Mapping[str, Part]) -> _Work:
    python = base_python.of(way)
    content = digest.of_value([*(part.digest for part in parts.values()), python["version"]])
    name = content[: environment.ID]
    place = f"{environment.workspace(way)}/env"
    folder = way.call("folder", path=f"{place}/.making-{name}")
    return _Work(way, parts, python, f"{place}/{name}", folder)


def _plan(work: _Work, seconds: float) -> dict[str, Any]:
    inner = environment.python_in(work.target)
    pip = ["-m", "pip", "install", "--no-input", "--disable-pip-version-check"]
    pip += ["--progress-bar", "off"]
    lists = ["-r", f"{work.folder}/requirements.txt", "-c", f"{work.folder}/constraints.txt"]
    return {
        "target": work.target,
        "seconds": seconds,
        "steps": [
            ["venv", [work.python["path"], "-m", "venv", work.target]],
            ["pip", [inner, *pip, *lists]],
            ["import", [inner, "-c", requirements.script(work.parts)]],
        ],
        "whole": WHOLE,
        "says": {
            "parts": {name: part.digest for name, part in work.parts.items()},
            "python": work.python["version"],
        },
    }


def _begin(work: _Work, seconds: float, variables: Mapping[str, str]) -> int:
    """Start a builder; return its number."""
    way, folder = work.way, work.folder
    for name in (builder.LOG, builder.OUTCOME):
        way.call("remove", path=f"{folder}/{name}", below=folder)
    wanted = {line for part in work.parts.values() for line in part.wanted}
    pins = {line for part in work.parts.values() for line in part.pins}
    for name, lines in (("requirements", wanted), ("constraints", pins)):
        way.call("write", path=f"{folder}/{name}.txt", text="\n".join([*sorted(lines), ""]))
    way.call("write", path=f"{folder}/{builder.PLAN}", text=json.dumps(_plan(work, seconds)))
    program = Path(builder.__file__).read_text(encoding="utf-8")
    words = [work.python["path"], "-u", "-c", program, folder]
    pid = way.call("spawn", words=words, folder=folder, log=builder.LOG, environment=variables)
    return int(pid)


def _network(way: Connection, lends: bool) -> AbstractContextManager[dict[str, str]]:
    return lending.network(way) if lends else nullcontext({})


def _followed(
    work: _Work, tell: Callable[[str], None], stop: Callable[[], bool], deadline: float
) -> dict[str, Any] | None:
    """Tell what a builder says until it has ended; return its outcome, None: to be stopped."""
    way, lock = work.way, f"{work.folder}/{builder.LOCK}"
    log, offset = f"{work.folder}/{builder.LOG}", 0
    heard = time.monotonic()  # when it was seen at work
    while time.monotonic() < deadline and time.monotonic() - heard < _BEGIN_SECONDS:
        if stop():
            return None
        part = way.call("follow", path=log, offset=offset, seconds=_POLL_SECONDS, lock=lock)
        offset = part["offset"]
        for line in filter(_TELLING.match, map(str.strip, part["text"].splitlines())):
            tell(line if len(line) <= _WIDTH else f"{line[: _WIDTH - 1]}…")
        if part["held"] or part["text"]:
            heard = time.monotonic()
        elif outcome := way.call("read", path=f"{work.folder}/{builder.OUTCOME}"):
            return dict(json.loads(outcome))
        elif _is_whole(work):  # who was first to see its end has removed its outcome
            return {"step": None, "code": 0, "is_new": True}
        else:
            time.sleep(_LOOK_SECONDS)
    return {"step": "builder", "code": "gone without a word"}


def _is_whole(work: _Work) -> bool:
    is_there = environment.prepared(work.way, work.parts) == work.target
    python = environment.python_in(work.target)
    return is_there and not environment.fault(work.way, python, work.parts)


def _stopped(way: Connection, pid: int | None) -> Stopped:
    """End the builder, if it was started here, and return what is told."""
    if pid is not None:
        way.call("run", words=["kill", str(pid)], seconds=_KILL_SECONDS)
    return Stopped(f"host {way.host.name}: stopped while an environment was made")


def _failure(work: _Work, outcome: Mapping[str, Any]) -> ThunderError:
    said = work.way.call("read", path=f"{work.folder}/{builder.LOG}") or ""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")]
    last = [*errors[:1], *reversed(lines), "it said nothing"][0]
    if isinstance(outcome["code"], str):
        last = outcome["code"]
    if any(word in said for word in _NO_WAY):
        last = "no way from there to the package index (--lend-network: through this machine)"
    where = f"{_shown(work.way.host, work.folder)}/{builder.LOG}"
    reason = f"{outcome['step']}: {last}; all that was said is in {where}"
    return environment.unmade(work.way, reason)


def _shown(host: Host, folder: str) -> str:
    """Return a folder of environments as it can be typed there."""
    return f"{host.workspace}/env/{folder.rpartition('/')[2]}"
