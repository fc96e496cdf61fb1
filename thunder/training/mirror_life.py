"""Whose a mirror of a run folder is: of this very folder, and nobody else is at work there."""

import json
import secrets
import time
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from thunder.ground import files, run_files
from thunder.ground.errors import ThunderError
from thunder.hosts import delivery, keeper
from thunder.hosts.connection import Connection

_LIFE = ".mirror"  # in both folders; that they are of one life of the run, which may begin anew
_FREE_SECONDS = keeper.SILENT_SECONDS + 15.0
_LOOK_SECONDS = 0.5


def wait_until_free(way: Connection, there: str) -> None:
    """Wait for a rank that a cut or a kill has left: it goes when its lifeline is gone.

    Raises:
        ThunderError: somebody else is at work there.
    """
    deadline = time.monotonic() + _FREE_SECONDS
    while way.call("is_locked", path=f"{there}/{run_files.LOCK}"):
        if time.monotonic() > deadline:
            raise ThunderError(
                f"host {way.host.name}: {there}: the ranks of another thunder are at work there; "
                "wait for them, or end them",
                "ranks",
            )
        time.sleep(_LOOK_SECONDS)


def be_of_one(way: Connection, here: Path, there: str) -> Iterator[str]:
    """Move a mirror of another run folder than the one here aside, and say so.

    What it has may be nowhere else.
    """
    life = _life_of(here)
    if way.call("read", path=f"{there}/{_LIFE}") == life:
        return
    if way.call("read", path=f"{there}/{run_files.RECORD}"):
        raise ThunderError(
            f"host {way.host.name}: {there} is a whole run of its own; bring it home and remove it "
            "there first: thunder hosts clean",
            "environment",
        )
    if delivery.is_there(way, there):
        workspace = str(PurePosixPath(there).parents[2])
        aside = delivery.move_aside(way, there, workspace)
        yield f"host {way.host.name}: a mirror of another run folder is now {aside}"
    way.call("write", path=f"{there}/{_LIFE}", text=life)


def _life_of(folder: Path) -> str:
    """Return what tells this life of a run folder from every other one."""
    path = folder / _LIFE
    life = path.read_text(encoding="utf-8") if path.is_file() else ""
    if not life:
        life = json.dumps({"life": secrets.token_hex(8)}) + "\n"
        files.write_text(path, life)
    return life
