"""Where things lie: what ships with thunder, the working folder, paths as people type them."""

import os
from pathlib import Path

from thunder.ground.errors import ThunderError

_PACKAGE = Path(__file__).resolve().parent.parent
_WHEEL = _PACKAGE / "shipped"
# A checkout has conf/ beside the package; a wheel carries the same folders inside it.
SHIPPED = _WHEEL if _WHEEL.is_dir() else _PACKAGE.parent


def check_working_folder() -> None:
    """Refuse to work where nothing is: paths are relative to the working folder.

    Raises:
        ThunderError: it was removed.
    """
    try:
        os.getcwd()
    except FileNotFoundError as error:
        place = os.environ.get("PWD", "its path is not known")
        raise ThunderError(
            f"the working folder was removed ({place}); go to one that is there: cd FOLDER",
            "environment",
        ) from error


def check_outputs(folder: Path) -> None:
    """Refuse what cannot be a folder of outputs, whether runs are to land there or to be found.

    Raises:
        ThunderError: it, or what it should lie in, is there and is no folder.
    """
    there = next((path for path in (folder, *folder.parents) if os.path.lexists(path)), None)
    if there is None or there.is_dir():
        return
    if there.exists():
        raise ThunderError(f"{there}: a file; outputs need a folder: name another one")
    raise ThunderError(
        f"{there}: a link that leads nowhere ({os.readlink(there)}); outputs need a folder: make "
        "it, remove the link, or name another one"
    )


def shown(path: Path) -> str:
    """Return a path as short as it can be typed from here."""
    try:
        return str(path.resolve().relative_to(Path.cwd().resolve()))
    except ValueError:
        return str(path)
