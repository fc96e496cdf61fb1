"""ASR runs as bundle_runs leaves them, whose data folder has a recording for every test row."""

import wave
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import bundle_runs
import numpy as np

from thunder.ground import files
from thunder.jobs import job
from thunder.jobs.matrix import Cell
from thunder.lanes.asr.data import folder as data_folders
from thunder.runs.run import Run

RATE = 16_000


def cell(**coordinates: Any) -> Cell:
    """Return a cell whose config says which file has the rows, and how long a row may be."""
    plain = bundle_runs.cell(**coordinates)
    data = {**plain.job.config["data"], "pairs": "pairs.jsonl", "id": "feat_id"}
    config = {**plain.job.config, "data": data, "features": {"seconds": 30}}
    return Cell(plain.coordinates, job.Job(job.id_of(job.document(config)), config))


def finish(outputs: Path, planned: Cell, *, rows: int) -> tuple[Run, Path]:
    """Leave a run that is done and the data that it read; return it and the data folder."""
    run = bundle_runs.finish(outputs, planned, rows=rows)
    config = {**planned.job.config, "runtime": {**planned.job.runtime, "outputs": str(outputs)}}
    folder = data_folders.place(config)
    dumped = list(files.read_jsonl(run.folder / "test_predictions.jsonl"))
    (folder / "audio").mkdir(parents=True, exist_ok=True)
    files.write_jsonl(folder / "pairs.jsonl", [{"feat_id": row["feat_id"]} for row in dumped])
    for row in dumped:
        record(folder / "audio" / f"{row['feat_id']}.wav", row)
    return run, folder


def record(path: Path, row: Mapping[str, Any], *, longer: float = 0.0) -> None:
    """Write a tone as long as a row, low in its first half and high in its second."""
    count = round((row["duration_s"] + longer) * RATE)
    hertz = np.where(np.arange(count) < count / 2, 400.0, 4000.0)
    samples = 0.5 * np.sin(2 * np.pi * np.cumsum(hertz) / RATE)
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, RATE, count, "NONE", ""))
        file.writeframes((samples * 32767).astype("<i2").tobytes())
