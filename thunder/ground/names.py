"""Names that become paths: of matrices, plans, tables, promotions, profiles, sites."""

from collections.abc import Iterable
from pathlib import PurePosixPath

from thunder.ground.errors import Faults, ThunderError
from thunder.ground.wording import CONTROL, is_text

MOST_BYTES = 200  # a file system allows 255, of which endings and temporary names need some


def fault(name: str) -> str | None:
    """Return why a name cannot be that of a file, None when it can."""
    if not name:
        return "a name is needed"
    if "/" in name or "\\" in name or name in (".", ".."):
        return "a name is needed, not a path"
    if CONTROL.search(name) or "\n" in name or "\t" in name or not is_text(name):
        return "a name has no control characters"
    if len(name.encode()) > MOST_BYTES:
        return f"a name has {MOST_BYTES} bytes at most"
    return None


def check(name: str, what: str) -> str:
    """Return a name that can be that of a file, one path part and no more.

    Args:
        what: what it is the name of, for the message.

    Raises:
        ThunderError: it has a separator in it, or is no name at all.
    """
    if why := fault(name):
        shown = name if len(name) <= MOST_BYTES else f"{name[:40]}…"
        raise ThunderError(f"{what} {shown!r}: {why}")
    return name


def check_inside(paths: Iterable[str], where: str) -> None:
    """Refuse paths of files that do not stay in the folder that they are relative to.

    Args:
        where: who names them, for the message.

    Raises:
        Faults: one is absolute, leads out by `..`, or names no file.
    """
    if wrong := [repr(path) for path in paths if not _is_inside(path)]:
        raise Faults(f"{where}: a path there leads out of its folder:", wrong, "write")


def _is_inside(path: str) -> bool:
    parts = PurePosixPath(path).parts
    return bool(parts) and not path.startswith("/") and ".." not in parts and "\0" not in path
