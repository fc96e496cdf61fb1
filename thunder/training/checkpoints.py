"""Checkpoints: folders that appear whole and carry the digests of what they hold.

A record, in JSON, says at least `step`, `sha256` (file → digest) and `kept`: whether the checkpoint
stays when a newer one is in place.
"""

import re
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from thunder.ground import digest, files, schema
from thunder.ground.errors import Faults, ThunderError

_FOLDER = re.compile(r"step-\d{7}")


@dataclass(frozen=True)
class Layout:
    """What the checkpoints of a lane are made of.

    Args:
        record: the name of the file that says what a checkpoint is; written last.
        schema: the schema of the record.
        hashed: the files whose digests the record has.
    """

    record: str
    schema: str
    hashed: Sequence[str]


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint on disk and its record."""

    step: int
    folder: Path
    record: Mapping[str, Any]


def folder_of(run: Path, step: int) -> Path:
    """Return where the checkpoint of a step lies."""
    return run / "checkpoints" / f"step-{step:07d}"


def steps(run: Path) -> list[int]:
    """Return the steps of all checkpoint folders, the newest first."""
    return steps_of(path.name for path in run.glob("checkpoints/step-*"))


def steps_of(names: Iterable[str]) -> list[int]:
    """Return the steps that names of checkpoint folders have, the newest first."""
    return sorted((int(name[5:]) for name in names if _FOLDER.fullmatch(name)), reverse=True)


def faults(folder: Path, layout: Layout) -> list[str]:
    """Return what is wrong with a checkpoint on disk; nothing if it is what was saved."""
    path = folder / layout.record
    try:
        record = files.read_json(path)
        schema.check(layout.schema, record, str(path))
    except OSError:
        return [f"{folder.name} has no {layout.record}"]
    except (ValueError, Faults) as error:
        return [f"{folder.name}/{layout.record}: {error}"]
    digests = record["sha256"]
    broken = [fault for name in layout.hashed if (fault := _file_fault(folder, name, digests))]
    if folder != folder_of(folder.parent.parent, record["step"]):
        broken.append(f"{folder.name} says that it holds step {record['step']}")
    return broken


def _file_fault(folder: Path, name: str, digests: Mapping[str, str]) -> str | None:
    try:
        held = digest.of_file(folder / name)
    except OSError:
        return f"{folder.name}/{name} is missing"
    if held != digests[name]:
        return f"{folder.name}/{name} has sha256 {held[:12]}…, recorded was {digests[name][:12]}…"
    return None


def read(folder: Path, layout: Layout) -> Checkpoint:
    """Return a checkpoint whose digests hold."""
    if broken := faults(folder, layout):
        raise Faults(f"{folder}: not what was saved", broken, "verification")
    return load(folder, layout)


def load(folder: Path, layout: Layout) -> Checkpoint:
    """Return a checkpoint that was found without `faults` just now; nothing is hashed again."""
    record = files.read_json(folder / layout.record)
    return Checkpoint(record["step"], folder, record)


def latest(run: Path, layout: Layout) -> tuple[Checkpoint | None, list[str]]:
    """Return the newest checkpoint whose digests hold, and a warning for each one passed over."""
    warnings: list[str] = []
    for step in steps(run):
        folder = folder_of(run, step)
        if not (broken := faults(folder, layout)):
            return load(folder, layout), warnings
        warnings.append(f"passed over a damaged checkpoint: {'; '.join(broken)}")
    return None, warnings


def save(
    run: Path, layout: Layout, record: Mapping[str, Any], write: Callable[[Path], None]
) -> Path:
    """Save a checkpoint that appears whole, drop older ones that only passed, return its folder.

    Args:
        record: all of the record but the digests.
        write: writes the files of the layout into a folder.
    """
    target = folder_of(run, record["step"])
    try:
        with files.fresh_folder(target) as work:
            write(work)
            digests = {name: digest.of_file(work / name) for name in layout.hashed}
            whole = {**record, "sha256": digests}
            schema.check(layout.schema, whole, str(target / layout.record), cause="crash")
            files.write_json(work / layout.record, whole)
    except (OSError, RuntimeError) as error:
        raise ThunderError(
            f"{target}: the checkpoint could not be written: {error}", "write"
        ) from error
    drop_passing(run, record["step"], layout)
    return target


def drop_passing(run: Path, step: int, layout: Layout) -> None:
    """Drop the checkpoints before a step that windows only passed through."""
    for older in steps(run):
        folder = folder_of(run, older)
        if older < step and _is_passing(folder, layout):
            # Out of sight in one step: a crash must not leave half a checkpoint under its name.
            gone = folder.with_name(f".{folder.name}.gone{files.UNFINISHED}")
            folder.rename(gone)
            shutil.rmtree(gone)


def _is_passing(folder: Path, layout: Layout) -> bool:
    try:
        return not files.read_json(folder / layout.record)["kept"]
    except (OSError, ValueError, KeyError):
        return False


def keep(folder: Path, layout: Layout, **changes: Any) -> None:
    """Make a checkpoint that a window only passed through one that stays.

    Args:
        changes: keys of the record that are known only now.
    """
    record = files.read_json(folder / layout.record)
    if not record["kept"]:
        files.write_json(folder / layout.record, {**record, **changes, "kept": True})


def clean(run: Path, resumed: int) -> None:
    """Set aside what lies beyond the resumed step, and drop what a crash left half-written."""
    for work in run.glob(f"checkpoints/.step-*{files.UNFINISHED}"):
        shutil.rmtree(work, ignore_errors=True)
    for step in steps(run):
        if step > resumed:
            set_aside(folder_of(run, step))


def set_aside(folder: Path) -> None:
    """Take a folder from among the checkpoints, and keep it for who wants to look into it."""
    target = folder.with_name(f".damaged-{folder.name}")
    shutil.rmtree(target, ignore_errors=True)
    folder.rename(target)
