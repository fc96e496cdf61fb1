"""Which rows of a run are not whole, by id: heard in part, in no batch, or not at all."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from thunder.ground import files, schema
from thunder.lanes.asr import artifacts
from thunder.lanes.asr.features.store import REJECTED, Store

if TYPE_CHECKING:
    from thunder.lanes.asr.utterances import Utterances

MISSING = "missing"  # without features: in no batch, recognised nowhere, scored nowhere
EMPTY = "empty"  # without a letter of the script: in no batch, but scored
INFEASIBLE = "infeasible"  # more letters than frames: in no batch, but scored
LEFT_OUT = "left_out"  # in no part of a given split
CUT = "cut"  # longer than what is heard of it, with a text of all of it


def write(
    folder: Path,
    splits: Mapping[str, "Utterances"],
    ids: Mapping[str, Sequence[str]],
    every: Sequence[str],
    opened: Store,
) -> None:
    """Write the rows that are not whole, each with its reason.

    Args:
        ids: of every split, with those that have no features.
        every: the ids of all rows.
    """
    path = folder / artifacts.ROW_FAULTS
    if path.exists():  # written at the run's first start, of the same rows
        return
    rows: list[dict[str, str | None]] = [
        {"feat_id": feat_id, "split": split, "fault": fault, "reason": reason}
        for split in artifacts.SPLITS
        for feat_id, fault, reason in sorted(_of_split(splits[split], ids[split], opened))
    ]
    inside = {feat_id for split in ids.values() for feat_id in split}
    rows += [
        {"feat_id": feat_id, "split": None, "fault": LEFT_OUT, "reason": "in no part of the split"}
        for feat_id in every
        if feat_id not in inside
    ]
    for row in rows:
        schema.check("asr_row_fault", row, path.name, cause="crash")
    files.write_jsonl(path, rows)


def count_cut(utterances: "Utterances", opened: Store) -> int:
    """Return how many rows of a split are cut."""
    return int(_is_cut(utterances, opened).sum())


def sentences(counts: Mapping[str, Mapping[str, int]]) -> list[str]:
    """Return what a reader must know of the rows of test before using a number of it."""
    test, said = counts["test"], []
    if test["missing"]:
        said.append(
            f"{test['missing']:,} of {test['rows']:,} rows of test have no features and are not "
            f"scored: {artifacts.ROW_FAULTS} names them"
        )
    if test["cut"]:
        said.append(
            f"{test['cut']:,} of {test['rows']:,} rows of test are longer than features.seconds "
            f"and heard in part: {artifacts.ROW_FAULTS} names them"
        )
    return said


def _of_split(
    utterances: "Utterances", ids: Sequence[str], opened: Store
) -> Iterator[tuple[str, str, str]]:
    absent = [feat_id for feat_id in ids if feat_id not in opened.index]
    why = _rejected(opened.folder) if absent else {}
    for feat_id in absent:
        yield feat_id, MISSING, why.get(feat_id, "not among the features")
    for place in np.flatnonzero(~utterances.fits):
        letters, frames = len(utterances.targets[place]), int(utterances.frames[place])
        reason = f"{letters} letters for {frames} frames before the stride"
        fault = INFEASIBLE if letters else EMPTY
        yield utterances.ids[place], fault, reason if letters else "no letter of the script"
    limit = opened.manifest["audio"]["limit_seconds"]
    for place in np.flatnonzero(_is_cut(utterances, opened)):
        yield (
            utterances.ids[place],
            CUT,
            f"{limit:g} of {utterances.seconds[place]:.1f} s are heard",
        )


def _is_cut(utterances: "Utterances", opened: Store) -> Any:
    return utterances.seconds > opened.manifest["audio"]["limit_seconds"]


def _rejected(folder: Path) -> dict[str, str]:
    """Return why the rows without features have none."""
    return {row["feat_id"]: row["reason"] for row in files.read_jsonl(folder / REJECTED)}
