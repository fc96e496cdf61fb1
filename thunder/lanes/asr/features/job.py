"""The job asr_features: the audio of a data set into frames, shard by shard, once for all cells."""

import os
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import Executor
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

from thunder.ground import digest
from thunder.ground.errors import ThunderError
from thunder.lanes.asr.data import pairs
from thunder.lanes.asr.data.folder import data_folder
from thunder.lanes.asr.features import extractor, pool, publish, shards, store, verdicts
from thunder.lanes.asr.features.extractor import Extractor
from thunder.lanes.asr.features.rows import CHUNK_ROWS, Framed, Misfit, Outcome, Rejected, Row
from thunder.lanes.asr.features.shards import Making, Writer
from thunder.lanes.asr.features.task import Task
from thunder.training import events
from thunder.training.events import Emit
from thunder.training.progress import Progress, beating, written

ROWS_OF_A_PROCESS = 1024  # fewer are done here before a process has started
AHEAD_PER_WORKER = 3  # chunks
FIRST_ROWS = 1024


def run(config: dict[str, Any], folder: Path, emit: Emit) -> dict[str, Any]:
    """Make the feature store of a data set in the run folder, or go on with it.

    Raises:
        ThunderError: too many rows without frames, or features of another layout (`data`); a
            model that cannot be loaded (`model`). The shards that were made before stay.
    """
    began, emit = time.monotonic(), written(emit)
    emit(events.phase("prepare", "reading the rows"))
    data = data_folder(config, emit)
    with beating(emit):
        rows = pairs.load(data, config["data"])
        snapshot = pairs.snapshot(rows)
        chosen = extractor.choose(config, data, islice(_rows(rows, 0), FIRST_ROWS))
    task = _task(config, folder, emit, rows, _making(config, chosen, snapshot))
    manifest, per_second = _finished(task), None
    if manifest is None:
        manifest, per_second = _make(task, chosen)
    publish.tidy(folder)
    verdicts.tell(manifest, folder, emit)
    numbers = {
        **{name: manifest[name] for name in ("rows", "rejected", "cut", "frames")},
        "hours": round(manifest["seconds"] / 3600, 4),
        "seconds_taken": round(time.monotonic() - began, 3),
        "utterances_per_second": per_second,
        "bytes": manifest["frames"] * manifest["dims"] * 2,
    }
    inputs = {"data": snapshot, "features": digest.of_value(manifest)}
    return {"metrics": numbers, "step": None, "inputs": inputs}


def _task(config: Mapping[str, Any], folder: Path, emit: Emit, rows: Any, making: Making) -> Task:
    # The small share is for 0.07 * 100, which is a little less than 7.
    most_rejected = int(config["features"]["most_corrupt"] * len(rows) + 1e-6)
    stall_seconds = float(config["runtime"]["stall_seconds"])
    return Task(folder, rows, making, most_rejected, stall_seconds, emit)


def _making(config: Mapping[str, Any], chosen: Extractor, snapshot: str) -> Making:
    return Making(
        layout=chosen.layout,
        dims=chosen.dims,
        encoder={"name": chosen.name, "digest": chosen.digest},
        snapshot=snapshot,
        source=digest.of_value(config["data"]["source"]),
        limit_seconds=float(config["features"]["seconds"]),
        versions=chosen.versions,
    )


def _finished(task: Task) -> Any:
    """Return the manifest of a store that an earlier attempt finished just before it ended."""
    try:
        manifest = store.open_store(task.folder).manifest
    except ThunderError:
        manifest = {"made_from": None}
    if manifest["made_from"] == task.making.digest:
        return manifest
    (task.folder / store.MANIFEST).unlink(missing_ok=True)
    return None


def _make(task: Task, chosen: Extractor) -> tuple[Any, float | None]:
    """Make the shards that are not there yet; return the manifest, and rows per second."""
    kept = [len(part["rejected"]) for part in shards.parts(task.folder, task.making)][: task.shards]
    done, rejected = min(len(kept) * shards.ROWS, len(task.rows)), sum(kept)
    verdicts.tell_kept(task, len(kept), done)
    verdicts.check_rejected(task, len(kept), rejected, lambda: None)
    task.emit(events.phase("prepare", f"frames: {chosen.name}"))
    progress = Progress(task.emit, done, len(task.rows), unit="utterances")
    with _workers(chosen, len(task.rows) - done) as (executor, ahead):
        prepared = pool.ordered(
            executor,
            chosen.prepare,
            _chunks(_rows(task.rows, done)),
            ahead=ahead,
            beat=progress.beat,
            stall_seconds=task.stall_seconds,
        )
        outcomes = (outcome for chunk in prepared for outcome in chosen.finish(chunk))
        for number in range(len(kept), task.shards):
            rejected += _shard(task, number, outcomes, progress)
            verdicts.check_rejected(task, number + 1, rejected, progress.beat)
    per_second = round(progress.per_second, 2) if progress.done > done else None
    return publish.publish(task.folder, task.making, task.shards, progress.beat), per_second


def _shard(task: Task, number: int, outcomes: Iterator[Outcome], progress: Progress) -> int:
    """Write one shard; return how many of its rows were rejected."""
    misfits: list[Misfit] = []
    with Writer(task.folder, number, task.making) as writer:
        for outcome in islice(outcomes, task.size(number)):
            match outcome:
                case Framed(row, frames, duration_s, is_cut, is_padded):
                    writer.add(row.feat_id, frames, duration_s, is_cut=is_cut, is_padded=is_padded)
                case Rejected(row, reason):
                    writer.reject(row.feat_id, row.line, reason)
                case Misfit():
                    misfits.append(outcome)
            progress.add()
        verdicts.refuse_misfits(task, misfits)
    if number == 0:
        verdicts.check_room(task, writer.frames)
    return len(writer.rejected)


@contextmanager
def _workers(chosen: Extractor, rows: int) -> Iterator[tuple[Executor, int]]:
    """Give who prepares chunks, and how many chunks they may be ahead."""
    cores = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    if not chosen.in_processes:
        with pool.threads(cores) as executor:
            yield executor, AHEAD_PER_WORKER * cores
    elif rows < 2 * ROWS_OF_A_PROCESS:
        with pool.one_thread() as executor:
            yield executor, AHEAD_PER_WORKER
    else:
        count = min(cores, rows // ROWS_OF_A_PROCESS)
        with pool.processes(count) as executor:
            yield executor, AHEAD_PER_WORKER * count


def _chunks(rows: Iterator[Row]) -> Iterator[list[Row]]:
    while chunk := list(islice(rows, CHUNK_ROWS)):
        yield chunk


def _rows(rows: Any, start: int) -> Iterator[Row]:
    names = ("feat_id", "line", "audio", "duration_s")
    left = rows.select(range(start, len(rows))).select_columns(list(names))
    for batch in left.iter(batch_size=shards.ROWS):
        yield from map(Row, *(batch[name] for name in names))
