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


def shown(path: Path) -> str:
    """Return a path as short as it can be typed from here."""
    try:
        return str(path.resolve().relative_to(Path.cwd().resolve()))
    except ValueError:
        return str(path)
