"""The slots of a host, kept there: `jobs` runs at once, whichever launchers begin them.

What a launcher remembers of its own runs (`capacity`) spares it questions; who is let in is decided
on the host.
"""

from pathlib import PurePosixPath

from thunder.ground import wording
from thunder.ground.errors import ThunderError
from thunder.hosts.connection import Connection

_FOLDER = "slots"  # of a workspace
_OWNER_DIGITS = 8


class Full(ThunderError):
    """A host has no slot, or no memory, for one more run while those that it has go on."""

    def __init__(self, message: str) -> None:
        super().__init__(message, "environment")


def take(way: Connection, far: str, owner: str, most: int) -> str:
    """Take a slot for a run on a host, to be held by what is begun in it; twice is as good as once.

    Args:
        far: the folder of the run there.
        owner: begins alike for all runs of the same outputs.
        most: how many runs this launcher lets the host have.

    Returns the other runs that the host has, in words; nothing: it has none.

    Raises:
        Full: there is none.
    """
    answer = way.call("take_slot", folder=_folder(far), name=_name(far, owner), most=most)
    others = answer["others"]
    named = ", ".join(" ".join(one.rsplit("-", 2)[:2]) for one in others)
    if not answer["taken"]:
        runs = wording.count(len(others), "run")
        raise Full(f"host {way.host.name} has {runs} with jobs={most}: {named}")
    return named


def leave(way: Connection, far: str, owner: str) -> None:
    """Give back a slot that nothing was begun in."""
    way.call("leave_slot", folder=_folder(far), name=_name(far, owner))


def slot(far: str, owner: str) -> str:
    """Return the slot of a run on a host, once it is taken."""
    return f"{_folder(far)}/{_name(far, owner)}"


def _folder(far: str) -> str:
    return str(PurePosixPath(far).parents[2] / _FOLDER)


def _name(far: str, owner: str) -> str:
    run = PurePosixPath(far)
    return f"{run.parent.name}-{run.name}-{owner[:_OWNER_DIGITS]}"
