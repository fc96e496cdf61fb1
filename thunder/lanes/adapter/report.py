"""What happened, for a person and for a program: the questions that a hand-over asks, answered."""

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from thunder.ground import files, schema
from thunder.ground.errors import ThunderError
from thunder.lanes.adapter import host_items, input_checks, preflight, report_markdown
from thunder.lanes.adapter.artifacts import REPORT
from thunder.lanes.adapter.context import Context
from thunder.lanes.adapter.training import state
from thunder.training import checkpoints, host_links, metrics
from thunder.training.preflight import Row

DATA_CHECKS = (
    input_checks.DATA_PRESENT,
    input_checks.DATA_ROWS,
    preflight.DATA_NONTRIVIAL,
    preflight.ROWS_FIT,
)
MODEL_CHECKS = (
    input_checks.MODEL_COMPLETE,
    preflight.VOCABULARY,
    preflight.LORA_FITS,
    preflight.SPLIT,
    input_checks.MODEL_REHASHED,
)
UNLIKE = (
    "the ranks do not compute alike (ranks_alike: false in checkpoint.json): another BLAS, chip or "
    "version on one host; windows repeat within 1e-3 of the validation loss, not to the bit"
)
# They do not apply: no limit.
NEEDLESS = (preflight.EARLIER_CHECKPOINT, host_links.HOSTS_REACH)


def window_numbers(folder: Path, record: Mapping[str, Any]) -> dict[str, float | None]:
    """Return the final numbers of a window, each from a row that the run wrote."""
    rows = metrics.rows(folder)
    losses = [(row["step"], row["valid_loss"]) for row in rows if "valid_loss" in row]
    steps = [row for row in rows if "loss" in row]
    first = losses[0][1] if losses and losses[0][0] == 0 else None
    last = record["valid_loss"]
    return {
        "valid_loss": last,
        "valid_loss_start": first,
        "valid_loss_drop": None if first is None or last is None else (first - last) / first,
        "train_loss": record["train_loss"],
        "tokens_seen": record["tokens_seen"],
        "tokens_per_second": _rate(steps),
        "grad_norm_max": max((row["grad_norm"] for row in steps), default=None),
        "trainable_parameters": record["trainable_parameters"],
        "train_seconds": sum(row["seconds"] for row in steps),
        "peak_memory_bytes": max(record.get("peak_memory_bytes", []), default=None),
    }


def write(
    context: Context,
    checks: Sequence[Row],
    *,
    verification: Sequence[Row],
    numbers: Mapping[str, float | None],
    record: Mapping[str, Any],
    copies: host_items.Copies,
) -> Path:
    """Write the report of a verified window; returns its path.

    Args:
        checks: the rows of the preflight.
        verification: those of the verification.
        record: the window's checkpoint.json.
        copies: by host that has the checkpoint, the digest of each of its files.
    """
    document = _document(context, checks, record["step"], record["step"], numbers)
    alike = record["fingerprint"]["ranks_alike"]
    found = {
        "verification": list(verification),
        "peak_memory_bytes": record.get("peak_memory_bytes", []),
        "hosts": host_items.of(context, record["step"], copies),
        "remaining_limits": [*([] if alike else [UNLIKE]), *document["remaining_limits"]],
    }
    return _write(context.folder, {**document, **found})


def write_failed(context: Context, checks: Sequence[Row], goal: int, error: ThunderError) -> Path:
    """Write what stands in the way of a step, and how far the run is; returns the path."""
    newest, _ = checkpoints.latest(context.folder, state.LAYOUT)
    step = newest.step if newest else 0
    numbers = window_numbers(context.folder, newest.record) if newest else {}
    document = _document(context, checks, step, goal, numbers)
    limits = [f"{error.cause}: {error}", *document["remaining_limits"]]
    return _write(context.folder, {**document, "remaining_limits": limits})


def _write(folder: Path, document: dict[str, Any]) -> Path:
    path = folder.absolute() / REPORT
    data = path.with_suffix(".json")
    schema.check("report", document, str(data), cause="crash")
    files.write_json(data, document)
    files.write_text(path, report_markdown.render(document))
    return path


def _document(
    context: Context,
    checks: Sequence[Row],
    step: int,
    goal: int,
    numbers: Mapping[str, float | None],
) -> dict[str, Any]:
    total = context.config["train"]["steps"]
    return {
        **_who(context),
        **_inputs(context, checks),
        "step": step,
        "goal": goal,
        "total_steps": total,
        "checkpoint_reached": step >= goal,
        "preflight": list(checks),
        "verification": [],
        "peak_memory_bytes": [],
        "hosts": host_items.of(context, step, {}),
        "metrics": dict(numbers),
        "remaining_limits": _limits(context, checks, numbers, total - step),
    }


def _who(context: Context) -> dict[str, Any]:
    runtime = context.config["runtime"]
    return {
        "run_id": context.folder.name,
        "run_folder": str(context.folder.absolute()),
        "profile": runtime["profile"],
        "site": runtime["site"]["name"],
        "stand_ins": list(context.inputs.stand_ins),
        "command": runtime["command"],
        "reproduce": runtime["reproduce"],
    }


def _inputs(context: Context, checks: Sequence[Row]) -> dict[str, Any]:
    config = context.config
    return {
        "data_set": {
            "name": config["data"]["name"],
            "folder": str(context.inputs.data.absolute()),
            "sha256": context.digests.get("data"),
            "rows": context.counts.get("rows", {}),
            "checks": [row for row in checks if row["check"] in DATA_CHECKS],
        },
        "model_cache": {
            "name": config["model"]["name"],
            "folder": str(context.inputs.model.absolute()),
            "sha256": context.digests.get("model"),
            "bytes": context.counts.get("model_bytes", 0),
            "checks": [row for row in checks if row["check"] in MODEL_CHECKS],
        },
    }


def _limits(
    context: Context, checks: Sequence[Row], numbers: Mapping[str, float | None], left: int
) -> list[str]:
    total = context.config["train"]["steps"]
    limits = [
        f"{name} is a stand-in: no number here says anything of the real one"
        for name in context.inputs.stand_ins
    ]
    limits += [
        f"{row['check']} on {row['host']} was not checked: {row['reason']}"
        for row in checks
        if row["status"] == "SKIPPED" and row["check"] not in NEEDLESS
    ]
    limits += context.warnings
    drop = numbers.get("valid_loss_drop")
    if drop is not None and drop <= 0:
        limits.append(f"validation loss did not fall: {drop:+.2%} since step 0")
    limits.append(f"{left} of {total} steps are left" if left else "no steps left")
    return limits


def _rate(steps: Sequence[Mapping[str, Any]]) -> float | None:
    rates = [row["tokens_per_second"] for row in steps]
    return statistics.median(rates) if rates else None
