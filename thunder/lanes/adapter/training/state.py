"""Checkpoints: folders that appear whole and carry the digests of what they hold."""

import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from thunder.ground import digest, files, schema
from thunder.ground.errors import Faults, ThunderError

TENSORS = ("adapters.safetensors", "optimizer.safetensors", "rng.safetensors")
HASHED = (*TENSORS, "adapter_config.json")
EXPORTED = ("adapters.safetensors", "adapter_config.json", "checkpoint.json")
METRICS = "metrics.jsonl"
_FOLDER = re.compile(r"step-\d{7}")


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint on disk and its record."""

    step: int
    folder: Path
    record: Mapping[str, Any]


def folder_of(run: Path, step: int) -> Path:
    """Return where the checkpoint of a step lies."""
    return run / "checkpoints" / f"step-{step:07d}"


def faults(folder: Path) -> list[str]:
    """Return what is wrong with a checkpoint on disk; nothing if it is what was saved."""
    path = folder / "checkpoint.json"
    try:
        record = files.read_json(path)
        schema.check("checkpoint", record, str(path))
    except OSError:
        return [f"{folder.name} has no checkpoint.json"]
    except (ValueError, Faults) as error:
        return [f"{folder.name}/checkpoint.json: {error}"]
    found = [fault for name in HASHED if (fault := _file_fault(folder, name, record["sha256"]))]
    if folder != folder_of(folder.parent.parent, record["step"]):
        found.append(f"{folder.name} says that it holds step {record['step']}")
    return found


def _file_fault(folder: Path, name: str, digests: Mapping[str, str]) -> str | None:
    try:
        found = digest.of_file(folder / name)
    except OSError:
        return f"{folder.name}/{name} is missing"
    if found != digests[name]:
        return f"{folder.name}/{name} has sha256 {found[:12]}…, recorded was {digests[name][:12]}…"
    return None


def read(folder: Path) -> Checkpoint:
    """Return a checkpoint whose digests hold."""
    if found := faults(folder):
        raise Faults(f"{folder}: not what was saved", found, "verification")
    return load(folder)


def load(folder: Path) -> Checkpoint:
    """Return a checkpoint that was found without `faults` just now; nothing is hashed again."""
    record = files.read_json(folder / "checkpoint.json")
    return Checkpoint(record["step"], folder, record)


def steps(run: Path) -> list[int]:
    """Return the steps of all checkpoint folders, the newest first."""
    names = (path.name for path in run.glob("checkpoints/step-*"))
    return sorted((int(name[5:]) for name in names if _FOLDER.fullmatch(name)), reverse=True)


def latest(run: Path) -> tuple[Checkpoint | None, list[str]]:
    """Return the newest checkpoint whose digests hold, and a warning for each one passed over."""
    warnings: list[str] = []
    for step in steps(run):
        folder = folder_of(run, step)
        if not (found := faults(folder)):
            return load(folder), warnings
        warnings.append(f"passed over a damaged checkpoint: {'; '.join(found)}")
    return None, warnings


def clean(run: Path, resumed: int) -> None:
    """Set aside what lies beyond the resumed step, and drop what a crash left half-written."""
    for work in run.glob("checkpoints/.step-*.tmp"):
        shutil.rmtree(work, ignore_errors=True)
    for step in steps(run):
        if step > resumed:
            _set_aside(folder_of(run, step))
    _cut_metrics(run, resumed)


def _set_aside(folder: Path) -> None:
    target = folder.with_name(f".damaged-{folder.name}")
    shutil.rmtree(target, ignore_errors=True)
    folder.rename(target)


def _cut_metrics(run: Path, resumed: int) -> None:
    path = run / METRICS
    if not path.exists():
        return
    kept = [row for row in files.read_jsonl(path) if row["step"] <= resumed]
    if files.render_jsonl(kept).encode() != path.read_bytes():
        files.write_jsonl(path, kept)


def note(run: Path, row: Mapping[str, Any]) -> None:
    """Add a row of numbers at one step to the run's metrics."""
    schema.check("metrics_row", row, str(run / METRICS), cause="crash")
    files.append_jsonl(run / METRICS, row)


def recorded_loss(run: Path, step: int) -> float | None:
    """Return the validation loss that the metrics hold for a step."""
    rows = files.read_jsonl(run / METRICS)
    return next(
        (row["valid_loss"] for row in rows if row["step"] == step and "valid_loss" in row), None
    )


def save(
    run: Path,
    tensors: Mapping[str, Mapping[str, Any]],
    adapter_config: Mapping[str, Any],
    record: Mapping[str, Any],
) -> Path:
    """Write a checkpoint that appears whole, drop older ones that only passed, return its folder.

    Args:
        tensors: the arrays of `adapters`, `optimizer` and `rng`.
        record: `checkpoint.json` without the digests.
    """
    # The supervisor reads checkpoints as well, and never loads mlx.
    import mlx.core as mx

    _sync(run / METRICS)
    target = folder_of(run, record["step"])
    try:
        with files.fresh_folder(target) as work:
            for name in TENSORS:
                # The order of the names is part of a file's bytes.
                arrays = dict(sorted(tensors[name.removesuffix(".safetensors")].items()))
                mx.save_safetensors(str(work / name), arrays)
            files.write_json(work / "adapter_config.json", adapter_config)
            digests = {name: digest.of_file(work / name) for name in HASHED}
            found = {**record, "sha256": digests}
            schema.check("checkpoint", found, str(target / "checkpoint.json"), cause="crash")
            files.write_json(work / "checkpoint.json", found)
    except (OSError, RuntimeError) as error:
        raise ThunderError(
            f"{target}: the checkpoint could not be written: {error}", "write"
        ) from error
    _drop_passing(run, record["step"])
    return target


def _sync(path: Path) -> None:
    if path.exists():
        with path.open("rb") as stream:
            os.fsync(stream.fileno())


def _drop_passing(run: Path, step: int) -> None:
    for older in steps(run):
        folder = folder_of(run, older)
        if older < step and _is_passing(folder):
            # Out of sight in one step: a crash must not leave half a checkpoint under its name.
            gone = folder.with_name(f".{folder.name}.gone.tmp")
            folder.rename(gone)
            shutil.rmtree(gone)


def _is_passing(folder: Path) -> bool:
    try:
        return not files.read_json(folder / "checkpoint.json")["kept"]
    except (OSError, ValueError, KeyError):
        return False


def keep(folder: Path, valid_loss: float | None) -> None:
    """Make a checkpoint that a window only passed through one that stays."""
    path = folder / "checkpoint.json"
    record = files.read_json(path)
    if not record["kept"]:
        files.write_json(path, {**record, "kept": True, "valid_loss": valid_loss})


def export(run: Path, folder: Path) -> None:
    """Copy a checkpoint's adapter to the top of the run, where mlx_lm.load finds it."""
    for name in EXPORTED:
        files.write_bytes(run / name, (folder / name).read_bytes())


def refuse_other_inputs(checkpoint: Checkpoint, inputs: Mapping[str, str]) -> None:
    """Raise if the run's inputs are not those that the checkpoint was trained with."""
    old = checkpoint.record["inputs"]
    changed = [
        f"{name} was {old.get(name)}, now {inputs.get(name)}"
        for name in sorted({*old, *inputs})
        if old.get(name) != inputs.get(name)
    ]
    if changed:
        title = f"{checkpoint.folder}: the inputs changed; restore them, or start a new run"
        raise Faults(title, changed, "data")
