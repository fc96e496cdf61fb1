"""Error rates by the router's label: one pure function of the rows of a dump."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thunder.ground import schema
from thunder.ground.errors import ThunderError
from thunder.lanes.asr import artifacts
from thunder.lanes.asr.labels import FINE, LABELS
from thunder.lanes.asr.model.oracle import NAMES
from thunder.scoring.score import rates

UNKNOWN = "unknown"

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class _Columns:
    """What is counted of each row."""

    labels: NDArray[np.str_]
    fine: NDArray[np.str_]
    sources: NDArray[np.str_]
    edits: NDArray[np.int64]
    chars: NDArray[np.int64]
    sure: NDArray[np.float64]
    scalars: NDArray[np.float64]  # (rows, 7)


def by_partition(
    rows: Iterable[Mapping[str, Any]],
    origin_of: Callable[[str], str | None],
    *,
    run_id: str,
    split: str,
    policy: Mapping[str, Any],
) -> dict[str, Any]:
    """Return the content of `<split>_metrics_by_partition.json`.

    Args:
        rows: of a dump, with their labels.
        origin_of: where a row comes from, by its feat_id.

    Raises:
        ThunderError: the sums of the labels are not those of the whole.
    """
    columns = _columns(rows, origin_of)
    metrics = {
        "run_id": run_id,
        "split": split,
        "policy_version": policy["policy_version"],
        "policy_sha256": policy["sha256"],
        "n_rows": len(columns.edits),
        "partitions": _group(columns, columns.labels, LABELS),
        "fine": _group(columns, columns.fine, FINE),
        "by_source": _group(columns, columns.sources, sorted(set(columns.sources.tolist()))),
        "all": _numbers(columns, np.full(len(columns.edits), True)),
    }
    place = artifacts.by_partition(split)
    schema.check("asr_partitions", metrics, place, cause="crash")
    check_sums(metrics, place)
    return metrics


def check_sums(metrics: Mapping[str, Any], place: str) -> None:
    """Refuse metrics whose parts do not add up to the whole, in rows, edits and characters."""
    for group in ("partitions", "fine", "by_source"):
        for key in ("rows", "edits", "ref_chars"):
            parts = sum(numbers[key] for numbers in metrics[group].values())
            if parts != metrics["all"][key]:
                raise ThunderError(
                    f"{place}: {key} of {group} add up to {parts}, of all rows to "
                    f"{metrics['all'][key]}: rows were lost or counted twice",
                    "verification",
                )


def _columns(rows: Iterable[Mapping[str, Any]], origin_of: Callable[[str], str | None]) -> _Columns:
    kept = [
        (
            row["partition"],
            row["partition_fine"],
            origin_of(row["feat_id"]) or UNKNOWN,
            row["cer_edits"],
            row["reference_chars"],
            row["mean_maxp"],
            [row["trajectory_scalars"][name]["mean"] for name in NAMES],
        )
        for row in rows
    ]
    labels, fine, sources, edits, chars, sure, scalars = (
        zip(*kept, strict=True) if kept else [()] * 7
    )
    return _Columns(
        np.array(labels, np.str_),
        np.array(fine, np.str_),
        np.array(sources, np.str_),
        np.array(edits, np.int64),
        np.array(chars, np.int64),
        np.array(sure, np.float64),
        np.array(scalars, np.float64).reshape(len(kept), len(NAMES)),
    )


def _group(
    columns: _Columns, values: NDArray[np.str_], names: Iterable[str]
) -> dict[str, dict[str, Any]]:
    return {name: _numbers(columns, values == name) for name in names}


def _numbers(columns: _Columns, mask: Mask) -> dict[str, Any]:
    """Return the numbers of some rows, with the conventions of scoring; without rows, none."""
    edits, chars = columns.edits[mask], columns.chars[mask]
    scalars, rows = columns.scalars[mask], len(edits)

    def mean(values: NDArray[Any]) -> float | None:
        return float(values.mean()) if rows else None

    return {
        "rows": rows,
        "share": rows / len(mask) if len(mask) else 0.0,
        "edits": int(edits.sum()),
        "ref_chars": int(chars.sum()),
        "cer_micro": float(rates(edits.sum(), chars.sum())) if rows else None,
        "cer_macro": mean(rates(edits, chars)),
        "exact": mean(edits == 0),
        "mean_maxp": mean(columns.sure[mask]),
        "scalars_mean": {name: mean(scalars[:, place]) for place, name in enumerate(NAMES)},
    }
