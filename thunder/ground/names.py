"""Names that become paths: of matrices, plans, tables, promotions, profiles, sites."""

from thunder.ground.errors import ThunderError
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
