"""An environment made on a host: venv and pip there, in the versions that are here.

It is made by a process of its own there. Who asked may lose the way, or ask twice: the second
follows what goes on.
"""

import json
import re
import sys
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
from thunder.hosts import connection, environment, lending, requirements
from thunder.hosts.connection import Connection
from thunder.hosts.far import builder
from thunder.hosts.far.environments import WHOLE
from thunder.hosts.host import Host
from thunder.hosts.requirements import CORE, Part

SECONDS = 1800.0
_SERIES = ("3.13", "3.12", "3.11")  # for which everything that thunder needs is published
_OLDEST = (3, 11)
_SEARCH_SECONDS = 120.0
_POLL_SECONDS = 1.0
_BEGIN_SECONDS = 15.0
_LOOK_SECONDS = 0.2
_WIDTH = 100
_SHOWN = re.compile(r"Downloading |Building |Installing |ERROR: |WARNING: ")
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
    folder = environment.prepared(way, parts)
    if folder and not environment.fault(way, environment.python_in(folder), parts):
        return Prepared(folder, False, time.monotonic() - begun)
    python = _python(way)
    tell(f"Python {python['version']}, {python['path']}")
    content = digest.of_value([*(part.digest for part in parts.values()), python["version"]])
    name = content[: environment.ID]
    place = f"{environment.workspace(way)}/env"
    making = way.call("folder", path=f"{place}/.making-{name}")
    with _network(way, lends_network) as variables:
        pid = None
        if way.call("is_locked", path=f"{making}/{builder.LOCK}"):
            tell("is being made already; following it")
        else:
            plan = _plan(f"{place}/{name}", making, python, parts) | {"seconds": seconds}
            pid = _begin(way, making, plan, parts, variables)
        outcome = _followed(way, making, tell, stop, seconds)
    if outcome is None:
        if pid is not None:
            way.call("run", words=["kill", str(pid)], seconds=_LOOK_SECONDS * 10)
        raise Stopped(f"host {way.host.name}: stopped while an environment was made")
    if outcome["code"]:
        raise _failure(way, making, outcome)
    way.call("remove", path=making, below=place)
    return Prepared(f"{place}/{name}", True, time.monotonic() - begun)


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
        say(f"PASS  {made.folder} {how}")
        return row | asdict(made)

    with ThreadPoolExecutor(len(hosts)) as pool:
        try:
            return list(pool.map(on, hosts.values()))
        finally:
            stopping.set()  # Ctrl-C: the others are not waited for


def _python(way: Connection) -> dict[str, Any]:
    """Return the Python to make it with: the site's, else one as here, else the newest."""
    ours = ".".join(map(str, sys.version_info[:2]))
    series = sorted(_SERIES, key=lambda name: name != ours)
    seen = way.call("pythons", first=way.host.python, series=series, within=_SEARCH_SECONDS)
    new = [row for row in seen if _series(row["version"]) >= _OLDEST]
    if fits := [row for row in new if not row["lacks"]]:
        return dict(fits[0])
    found = ", ".join(f"{row['version']} at {row['path']}" for row in seen)
    advice = "install one (macOS: brew install python@3.12), or name it by hosts.{}.python"
    reason = f"no Python 3.11 or later there, only {found}; {advice}"
    if new:
        reason = (
            f"Python {new[0]['version']} at {new[0]['path']} lacks {new[0]['lacks']}, with "
            "which an environment is made; install it (Debian: apt-get install python3-venv)"
        )
    raise _refused(way, reason.format(way.host.name))


def _series(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")[:2]))


def _plan(
    target: str, making: str, python: Mapping[str, Any], parts: Mapping[str, Part]
) -> dict[str, Any]:
    inner = environment.python_in(target)
    pip = ["-m", "pip", "install", "--no-input", "--disable-pip-version-check"]
    pip += ["--progress-bar", "off"]
    lists = ["-r", f"{making}/requirements.txt", "-c", f"{making}/constraints.txt"]
    return {
        "target": target,
        "program": python["path"],
        "steps": [
            ["venv", [python["path"], "-m", "venv", target]],
            ["pip", [inner, *pip, *lists]],
            ["import", [inner, "-c", requirements.script(parts)]],
        ],
        "whole": WHOLE,
        "says": {
            "parts": {name: part.digest for name, part in parts.items()},
            "extras": [name for name in parts if name != CORE],
            "python": python["version"],
        },
    }


def _begin(
    way: Connection,
    making: str,
    plan: Mapping[str, Any],
    parts: Mapping[str, Part],
    variables: Mapping[str, str],
) -> int:
    """Start a builder; return its number."""
    for name in (builder.LOG, builder.OUTCOME):
        way.call("remove", path=f"{making}/{name}", below=making)
    wanted = {line for part in parts.values() for line in part.wanted}
    pins = {line for part in parts.values() for line in part.pins}
    for name, lines in (("requirements", wanted), ("constraints", pins)):
        way.call("write", path=f"{making}/{name}.txt", text="\n".join([*sorted(lines), ""]))
    way.call("write", path=f"{making}/{builder.PLAN}", text=json.dumps(plan))
    program = Path(builder.__file__).read_text(encoding="utf-8")
    words = [plan["program"], "-u", "-c", program, making]
    return int(
        way.call("spawn", words=words, folder=making, log=builder.LOG, environment=variables)
    )


def _network(way: Connection, lends: bool) -> AbstractContextManager[dict[str, str]]:
    return lending.network(way) if lends else nullcontext({})


def _followed(
    way: Connection,
    making: str,
    tell: Callable[[str], None],
    stop: Callable[[], bool],
    seconds: float,
) -> dict[str, Any] | None:
    """Tell what a builder says until it has ended; return its outcome, None: to be stopped."""
    log, lock = f"{making}/{builder.LOG}", f"{making}/{builder.LOCK}"
    offset, deadline = 0, time.monotonic() + seconds + _BEGIN_SECONDS
    heard = time.monotonic()  # when it was seen at work
    while time.monotonic() < deadline and time.monotonic() - heard < _BEGIN_SECONDS:
        if stop():
            return None
        part = way.call("follow", path=log, offset=offset, seconds=_POLL_SECONDS, lock=lock)
        offset = part["offset"]
        for line in filter(_SHOWN.match, map(str.strip, part["text"].splitlines())):
            tell(line if len(line) <= _WIDTH else f"{line[: _WIDTH - 1]}…")
        if part["held"] or part["text"]:
            heard = time.monotonic()
        elif outcome := way.call("read", path=f"{making}/{builder.OUTCOME}"):
            return dict(json.loads(outcome))
        else:
            time.sleep(_LOOK_SECONDS)
    return {"step": "builder", "code": "gone without a word"}


def _failure(way: Connection, making: str, outcome: Mapping[str, Any]) -> ThunderError:
    log = f"{making}/{builder.LOG}"
    said = way.call("read", path=log) or ""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")]
    last = [*errors[:1], *reversed(lines), "it said nothing"][0]
    if isinstance(outcome["code"], str):
        last = outcome["code"]
    if any(word in said for word in _NO_WAY):
        last = "no way from there to the package index (--lend-network: through this machine)"
    return _refused(way, f"{outcome['step']}: {last}; all that was said is in {log}")


def _refused(way: Connection, reason: str) -> ThunderError:
    name = way.host.name
    return ThunderError(
        f"host {name}: no environment could be made: {reason}; or name a Python there that has "
        f"what thunder needs by hosts.{name}.environment of the site",
        "environment",
    )
