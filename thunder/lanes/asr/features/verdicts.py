"""What is said of rows that did not become frames, and when it ends the job."""

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from thunder.ground.errors import Faults
from thunder.ground.json_lines import MOST_SHOWN
from thunder.ground.wording import some_lines
from thunder.lanes.asr.features import publish, shards, store
from thunder.lanes.asr.features.rows import Misfit
from thunder.lanes.asr.features.task import Task
from thunder.training import events
from thunder.training.events import Emit


def refuse_misfits(task: Task, misfits: list[Misfit]) -> None:
    """Raise what is of another layout or width, all that one shard has of it."""
    if misfits:
        title = (
            f"features of {len(misfits)} utterances are not {task.making.dims} wide "
            f"in layout {task.making.layout}:"
        )
        named = [f"{m.row.feat_id} (line {m.row.line}): {m.reason}" for m in misfits]
        raise Faults(title, some_lines(named, MOST_SHOWN), "data")


def check_rejected(task: Task, made: int, rejected: int, beat: Callable[[], None]) -> None:
    """Fail as soon as more rows are rejected than may be, or all of them."""
    if rejected <= task.most_rejected and rejected < len(task.rows):
        return
    publish.write_rejected(task.folder, made, beat)
    named = []
    for number in range(made):
        rows = shards.part(task.folder, number)["rejected"]
        named += [f"{row['feat_id']} (line {row['line']}): {row['reason']}" for row in rows]
        if rows:  # looked at again by the next attempt: a disk may have been away
            shards.part_path(task.folder, number).unlink()
    looked = min(made * shards.ROWS, len(task.rows))
    raise Faults(
        f"{rejected} of the first {looked} rows have no usable audio or features, of all "
        f"{len(task.rows)} rows {task.most_rejected} may have none (features.most_corrupt); "
        f"they are listed in {task.folder / store.REJECTED}:",
        some_lines(named, MOST_SHOWN),
        "data",
    )


def check_room(task: Task, frames: int) -> None:
    """Warn, after the first shard, where the disk looks too small for all of them."""
    needed = frames * task.making.dims * 2 * (task.shards - 1)
    free = shutil.disk_usage(task.folder).free
    if needed > free:
        message = (
            f"{task.folder}: by its first rows the store needs {needed / 1e9:.1f} GB more, "
            f"{free / 1e9:.1f} GB are free"
        )
        task.emit(events.warning(message))


def tell_kept(task: Task, kept: int, rows: int) -> None:
    """Say what an earlier attempt left, and what of it cannot be kept."""
    if kept:
        message = f"going on after {rows} of {len(task.rows)} utterances, which are there"
        task.emit(events.note(message))
    if shards.part_path(task.folder, kept).exists():
        message = f"shard {kept} was torn, or made by other libraries or of other data: made again"
        task.emit(events.warning(message))


def tell(manifest: Mapping[str, Any], folder: Path, emit: Emit) -> None:
    """Say which rows have no frames, or not all of theirs."""
    meanings = {
        "rejected": f"utterances without frames, listed in {folder / store.REJECTED}",
        "cut": f"utterances longer than {manifest['audio']['limit_seconds']:g} s, cut",
        "padded": "utterances of unknown length (no duration_s), kept with their padding",
    }
    for name, meaning in meanings.items():
        if manifest[name]:
            emit(events.warning(f"{manifest[name]} {meaning}"))
