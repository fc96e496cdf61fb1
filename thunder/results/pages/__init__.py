"""The error page of a run, which its lane makes, and the templates of pages."""

from pathlib import Path

from thunder.ground.errors import ThunderError
from thunder.jobs import kinds
from thunder.runs.run import Run


def write(run: Run, *, rows: int, variant: str, has_sound: bool = True) -> Path:
    """Write the error page of a run, and return its path.

    Args:
        rows: how many rows of each selection.
        variant: the form of the texts that is shown.
        has_sound: whether recordings are put on it.

    Raises:
        ThunderError: runs of its kind have no such page, or it is not what its manifest says.
    """
    have = [name for name, kind in kinds.KINDS.items() if kind.page]
    if run.kind not in have:
        raise ThunderError(
            f"run {run.folder.name} is of kind {run.kind}; "
            f"error pages are of kind {', '.join(have)}"
        )
    path: Path = kinds.loaded(f"{kinds.KINDS[run.kind].page}").write(
        run.folder, rows=rows, variant=variant, has_sound=has_sound
    )
    return path
