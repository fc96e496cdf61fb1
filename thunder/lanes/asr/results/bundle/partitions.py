"""T4: error rates by the router's label, for every run."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from thunder.lanes.asr.labels import LABELS
from thunder.lanes.asr.results.bundle import columns, measures
from thunder.lanes.asr.results.bundle.gather import Arm, Gathered

NAME = "T4_partitions"
ALL = "all"


def build(gathered: Gathered, samples: int) -> dict[str, Any]:
    """Return T4."""
    rows = [row for arm in gathered.arms for row in _rows(arm, samples)]
    notes = [
        "partition: what the router calls an utterance by the model's own telemetry; its "
        "thresholds were fitted on the validation rows of the same run.",
        f"CER: micro, on normalised text; 95 % bootstrap interval over {gathered.unit} "
        f"({samples:,} samples).",
    ]
    return columns.table(NAME, "Partitions of the test split, by run",
                   [*columns.coordinates(gathered), *_columns()], rows, notes, _caveats(gathered),
                   gathered.unit)  # fmt: skip


def _caveats(gathered: Gathered) -> list[str]:
    return [
        "Rows change partition from run to run, so the CERs of one partition are over different "
        "utterances in each run and are no comparison of runs."
    ] * (len(gathered.present) > 1)


def _columns() -> list[dict[str, Any]]:
    return [
        columns.column("partition", "partition", columns.TEXT),
        columns.column("rows", "rows", columns.COUNT),
        columns.units(),
        columns.column("share", "share", columns.RATE),
        columns.column("edits", "edits", columns.COUNT, is_printed=False),
        columns.column("characters", "characters", columns.COUNT, is_printed=False),
        columns.column("cer", "CER", columns.RATE),
        columns.column("cer_interval", "95 % interval", columns.RATES),
        columns.column("run", "run", columns.RUN),
    ]


def _rows(arm: Arm, samples: int) -> Iterator[dict[str, Any]]:
    evidence = arm.evidence
    if evidence is None:
        yield columns.absent(arm)
        return
    labels = np.array(evidence.test.labels)
    by_label = evidence.by_partition["partitions"]
    known = [label for label in LABELS if label in by_label]
    for label in [*known, *sorted({*by_label} - {*LABELS})]:
        units = evidence.test.units(labels == label)
        interval = measures.interval(units, samples) if len(units.edits) else None
        yield _row(arm, label, by_label[label], len(units.edits), interval)
    units = evidence.test.units()
    yield _row(arm, ALL, evidence.by_partition["all"], len(units.edits), list(evidence.interval))


def _row(
    arm: Arm, label: str, numbers: Mapping[str, Any], units: int, interval: list[float] | None
) -> dict[str, Any]:
    values = {
        **arm.point,
        "partition": label,
        "rows": numbers["rows"],
        "units": units,
        "share": numbers["share"],
        "edits": numbers["edits"],
        "characters": numbers["ref_chars"],
        "cer": numbers["cer_micro"],
        "cer_interval": interval,
        "run": arm.evidence.name if arm.evidence else None,
    }
    return columns.row(values, stand_in=arm.is_stand_in)
