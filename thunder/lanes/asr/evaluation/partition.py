"""The router's label of a row, from what the model knows of itself; never from the reference."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from thunder.ground import digest, files, schema
from thunder.ground.errors import ThunderError
from thunder.lanes.asr.labels import BOUNDARY, NOVELTY, RECOVERY, STABLE, UNCERTAIN

POLICY_VERSION = 1  # raise it when a threshold, a quantile or the order of the rule changes
MICRO = 1_000_000

# No threshold is published (docs/asr.md, Partitions). What has a meaning of its own is fixed; a
# scalar's scale is the model's, so it is fitted as a quantile of what the model gives on rows that
# it did not learn from.
FIXED = {
    "blank_mass_above": 0.98,
    "oov_above": 0.02,
    "chars_per_second_below": 2.0,
    "chars_per_second_above": 25.0,
    "novelty_maxp_below": 0.60,
    "repeats_from": 4.0,
    "ratio_below": 0.35,
    "maxp_below": 0.75,
    "edge_conf_below": 0.80,
    "inner_conf_from": 0.90,
}
QUANTILES = {
    "novelty_above": 0.99,
    "recovery_margin_below": 0.05,
    "entropy_above": 0.85,
    "uncertainty_above": 0.85,
    "edge_pressure_above": 0.90,
}


def fit(rows: Iterable[Mapping[str, Any]], run_id: str) -> dict[str, Any]:
    """Return the policy of a run, its quantiles those of the given rows of valid.

    Raises:
        ThunderError: there is no row, or one that is not of valid.
    """
    measured = []
    for row in rows:
        if row["split"] != "valid":
            raise ThunderError(
                f"the partition policy: row {row['feat_id']} is of {row['split']}; only rows of "
                "valid may decide where the thresholds are",
                "crash",
            )
        measured.append(measures(row))
    if not measured:
        raise ThunderError("the partition policy: valid has no row to fit it on", "data")
    fitted = {
        name: float(np.quantile([values[name] for values in measured], share))
        for name, share in QUANTILES.items()
    }
    thresholds = {name: _micro(value) for name, value in {**FIXED, **fitted}.items()}
    content = {
        "policy_version": POLICY_VERSION,
        "fitted_on": {"run_id": run_id, "split": "valid", "rows": len(measured)},
        "thresholds": thresholds,
    }
    return {**content, "sha256": digest.of_value(content)}


def measures(row: Mapping[str, Any]) -> dict[str, float]:
    """Return the numbers of a row whose thresholds are fitted, by the name of the threshold."""
    scalars = row["trajectory_scalars"]
    return {
        "novelty_above": scalars["novelty"]["mean"],
        "recovery_margin_below": scalars["recovery_margin"]["mean"],
        "entropy_above": row["mean_entropy"],
        "uncertainty_above": scalars["uncertainty"]["mean"],
        # The rows' largest pressure, wherever it is: an edge counts when it is as large as few are.
        "edge_pressure_above": scalars["transition_pressure"]["max"],
    }


def label(row: Mapping[str, Any], policy: Mapping[str, Any]) -> str:
    """Return the fine label of a row, the first whose condition holds."""
    bounds = policy["thresholds"]
    if _is_novel(row, bounds):
        return NOVELTY
    if _is_degenerate(row, bounds):
        return RECOVERY
    if _is_unsure(row, bounds):
        return UNCERTAIN
    return BOUNDARY if _is_unsure_at_edges(row, bounds) else STABLE


def merged(fine: str) -> str:
    """Return the label among four: recovery counts as uncertain."""
    return UNCERTAIN if fine == RECOVERY else fine


def labelled(row: Mapping[str, Any], policy: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row with its two labels."""
    fine = label(row, policy)
    return {**row, "partition": merged(fine), "partition_fine": fine}


def write(path: Path, policy: Mapping[str, Any]) -> None:
    """Write a partition_policy.json."""
    schema.check("partition_policy", policy, str(path), cause="crash")
    files.write_json(path, policy)


def load(path: Path) -> dict[str, Any]:
    """Read a partition_policy.json.

    Raises:
        ThunderError: missing, not a policy, or changed since it was written.
    """
    policy = schema.read("partition_policy", path)
    actual = digest.of_value({key: value for key, value in policy.items() if key != "sha256"})
    if policy["sha256"] != actual:
        raise ThunderError(
            f"{path}: says sha256 {policy['sha256'][:12]}…, its content has {actual[:12]}…; it was "
            "changed after it was written: take the file of the run again",
            "data",
        )
    return dict(policy)


def _is_novel(row: Mapping[str, Any], bounds: Mapping[str, int]) -> bool:
    if not row["asr_text"] or row["duration_s"] <= 0:
        return True
    rate = _micro(len(row["asr_text"]) / row["duration_s"])
    novelty = _micro(row["trajectory_scalars"]["novelty"]["mean"])
    return (
        _micro(row["blank_mass"]) > bounds["blank_mass_above"]
        or _micro(row["oov"]) > bounds["oov_above"]
        or not bounds["chars_per_second_below"] <= rate <= bounds["chars_per_second_above"]
        or (
            novelty > bounds["novelty_above"]
            and _micro(row["mean_maxp"]) < bounds["novelty_maxp_below"]
        )
    )


def _is_degenerate(row: Mapping[str, Any], bounds: Mapping[str, int]) -> bool:
    margin = _micro(row["trajectory_scalars"]["recovery_margin"]["mean"])
    return (
        _micro(row["repetition"]["repeats"]) >= bounds["repeats_from"]
        or _micro(row["repetition"]["ratio"]) < bounds["ratio_below"]
        or margin < bounds["recovery_margin_below"]
    )


def _is_unsure(row: Mapping[str, Any], bounds: Mapping[str, int]) -> bool:
    uncertainty = _micro(row["trajectory_scalars"]["uncertainty"]["mean"])
    return (
        _micro(row["mean_maxp"]) < bounds["maxp_below"]
        or _micro(row["mean_entropy"]) > bounds["entropy_above"]
        or uncertainty > bounds["uncertainty_above"]
    )


def _is_unsure_at_edges(row: Mapping[str, Any], bounds: Mapping[str, int]) -> bool:
    if _micro(row["edge_pressure"]) > bounds["edge_pressure_above"]:
        return True
    words = _word_confidences(row["asr_text"], row["char_conf"])
    inner = [value for word in words[1:-1] for value in word]
    if not inner or _mean(inner) < bounds["inner_conf_from"]:
        return False  # without a sure interior nothing says that the doubt is at the edges alone
    return min(_mean(words[0]), _mean(words[-1])) < bounds["edge_conf_below"]


def _word_confidences(text: str, confidences: Sequence[float]) -> list[list[float]]:
    words: list[list[float]] = [[]]
    for char, value in zip(text, confidences, strict=True):
        if char == " ":
            words.append([])
        else:
            words[-1].append(value)
    return [word for word in words if word]


def _mean(values: Sequence[float]) -> int:
    return _micro(sum(values) / len(values))


def _micro(value: float) -> int:
    """Thresholds and values meet as integers, so that a label is the same on every machine."""
    return round(value * MICRO)
