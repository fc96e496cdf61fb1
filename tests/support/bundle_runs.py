"""ASR runs that were never trained, with records and manifests, for the tests of their tables."""

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

import asr_runs
import numpy as np

from thunder import scoring
from thunder.commands import requests
from thunder.ground import files, run_files
from thunder.jobs import job
from thunder.jobs.matrix import Cell
from thunder.jobs.matrix_file import Matrix
from thunder.lanes.asr.evaluation import tally
from thunder.language import bridge, sentences
from thunder.runs import attempts, manifest, provenance
from thunder.runs.run import Run
from thunder.scoring import intervals
from thunder.scoring.score import grouped, part

SNAPSHOT, SPLIT, FEATURES = "a" * 64, "b" * 64, "c" * 64  # as asr_runs has them
ROWS = 240
BRIDGE = "v2_standard"
ERRORS = {"baseline": 0.30, "trajectory": 0.20, "tar": 0.31, "trajectory_ttt": 0.19}
Pairs = Sequence[tuple[str, str]]
SPEC: dict[str, Any] = {
    "profile": "asr_ctc",
    "axes": {"script": ["nko", "latin"], "mode": ["baseline", "trajectory"]},
    "compare": {"script": "latin", "mode": "baseline"},
}


def matrix(name: str = "bundle", **words: Any) -> Matrix:
    """Return a matrix of two scripts and two modes; `words` replace those of its file."""
    return Matrix(name, {**SPEC, **words}, {}, "What do script and mode change?")


def cell(**coordinates: Any) -> Cell:
    """Return a cell with the config that a stand-in of it has; `__` in a name is a dot."""
    point = {key.replace("__", "."): value for key, value in coordinates.items()}
    config: dict[str, Any] = {
        "kind": "asr",
        "script": "nko",
        "mode": "baseline",
        "seed": 42,
        "data": {"name": "pairs", "source": {"recipe": "spoken", "rows": ROWS, "seed": 0}},
        "split": {"rule": "random", "seed": 42},
        "text": {"bridge": "none"},
        "evaluate": {"bootstrap": 1000},
        "train": {"epochs": 50, "learning_rate": 3e-4},
        "runtime": _runtime(),
    }
    for key, value in point.items():
        section, _, inner = key.rpartition(".")
        (config[section] if section else config)[inner] = value
    return Cell(point, job.Job(job.id_of(job.document(config)), config))


def cells(grid: Matrix) -> list[Cell]:
    """Return the cells of the axes of a matrix."""
    axes = grid.axes
    points: list[dict[str, Any]] = [{}]
    for axis, values in axes.items():
        points = [{**point, axis: value} for point in points for value in values]
    return [cell(**point) for point in points]


def finish(
    outputs: Path, planned: Cell, *, rows: int = ROWS, error_rate: float | None = None,
    inputs: Mapping[str, str] | None = None, dirty: bool = False,
    changed: Mapping[str, Any] | None = None, pairs: Pairs | None = None, **words: Any,
) -> Run:  # fmt: skip
    """Leave a run of a cell as one that is done leaves it, with its manifest and record.

    Args:
        inputs: digests that its record says and its results repeat.
        changed: keys of results.json that say something else.
        pairs: reference and hypothesis of each test utterance, instead of drawn ones.
        words: for asr_runs.write_artifacts.
    """
    run = Run(outputs / "asr" / planned.job.id)
    made = {**provenance.collect(), "commit": "0" * 40, "dirty": dirty, "reason": None}
    record = attempts.start(run, planned.job, made)
    rows = rows if pairs is None else len(pairs)
    read = {"data": SNAPSHOT, "split": SPLIT, "features": FEATURES, **(inputs or {})}
    config = planned.job.config
    share = ERRORS[config["mode"]] if error_rate is None else error_rate
    about = {key: config[key] for key in ("script", "mode", "seed")}
    about |= {"run_id": run.id, "snapshot": read["data"], "split": read["split"]}
    with patch.object(asr_runs, "texts", _texts):
        asr_runs.write_artifacts(run.folder, rows=rows, error_rate=share, **about, **words)
    if pairs is not None:
        _retell(run.folder, pairs)
    path = run.folder / "results.json"
    results = files.read_json(path) | {"features_sha256": read["features"], **(changed or {})}
    files.write_json(path, results)
    metrics = {"test_cer_micro": results["test_cer"]}
    attempts.finish(run, record, {"metrics": metrics, "step": None, "inputs": read}, 1.0)
    return run


def rewrite(run: Run, name: str, text: str) -> None:
    """Change a file of a run, and its manifest with it: a lie that no digest shows."""
    files.write_text(run.folder / name, text)
    manifest.write(run.folder, run.id, leave_out=(run_files.RECORD,))


def cluster(run: Run, clusters: Sequence[str]) -> None:
    """Let the test rows of a run have clusters, as `data.cluster` names them for a run."""
    rows = list(files.read_jsonl(run.folder / "test_references.jsonl"))
    rows = [{**row, "cluster": name} for row, name in zip(rows, clusters, strict=True)]
    heard = [row["asr_text"] for row in files.read_jsonl(run.folder / "test_predictions.jsonl")]
    said, script = [row["reference_text"] for row in rows], rows[0]["script"]
    units = grouped(scoring.counts(said, heard, script, "norm"), clusters)
    results = files.read_json(run.folder / "results.json")
    results["cer_ci95"] = list(intervals.bootstrap(units))
    rewrite(run, "results.json", files.render_json(results))
    rewrite(run, "test_references.jsonl", files.render_jsonl(rows))


def _retell(folder: Path, pairs: Pairs) -> None:
    """Let all test dumps of a run have other texts, and results.json follow from them."""
    results = files.read_json(folder / "results.json")
    script = results["script"]
    references, heard = ([pair[side] for pair in pairs] for side in (0, 1))
    counts = {v: scoring.counts(references, heard, script, v) for v in scoring.VARIANTS}
    main = counts["norm"]
    for path in folder.glob("test_predictions*.jsonl"):
        rows = list(files.read_jsonl(path))
        for row, pair, edits, chars in zip(rows, pairs, main.edits, main.chars, strict=True):
            row |= {"reference_text": pair[0], "asr_text": pair[1], "partition": "stable"}
            row |= {
                "cer_edits": int(edits),
                "reference_chars": int(chars),
                "partition_fine": "stable",
            }
        files.write_jsonl(path, rows)
    rows = list(files.read_jsonl(folder / "test_references.jsonl"))
    for row, reference in zip(rows, references, strict=True):
        row["reference_text"] = reference
    files.write_jsonl(folder / "test_references.jsonl", rows)
    disjoint = np.array([row["text_disjoint"] for row in rows])
    summary = {v: scoring.summary(counted) for v, counted in counts.items()}
    own = {**summary["norm"], "main_cer_micro": summary["norm"]["cer_micro"]}
    results |= {
        "test": summary,
        "text_disjoint": {v: scoring.summary(part(counts[v], disjoint)) for v in counts},
        "test_cer": summary["norm"]["cer_micro"],
        "cer_ci95": list(intervals.bootstrap(main)),
        "adaptation": {key: scores and own for key, scores in results["adaptation"].items()},
    }
    files.write_json(folder / "results.json", results)
    policy = files.read_json(folder / "partition_policy.json")
    metrics = tally.by_partition(
        files.read_jsonl(folder / "test_predictions.jsonl"), lambda _: None,
        run_id=results["run_id"], split="test", policy=policy,
    )  # fmt: skip
    files.write_json(folder / "test_metrics_by_partition.json", metrics)


@cache
def _texts(script: str, split: str, rows: int) -> tuple[str, ...]:
    """Return what is said in the rows of a split: N'Ko is the bridge's, as the data may have it."""
    latin = sentences.generate(rows, {"valid": 1, "test": 2}[split], "latin")
    return tuple(latin if script == "latin" else (bridge.to_nko(text, BRIDGE) for text in latin))


@cache
def _runtime() -> dict[str, Any]:
    """Return how a run is made on a machine with nothing set up."""
    (dry_cell,) = requests.read(["+profile=dry"]).cells
    return dry_cell.job.runtime
