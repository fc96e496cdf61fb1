"""T11: the same utterances without and with adaptation at test time."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from thunder.lanes.asr.results.bundle import columns, comparisons, families, measures
from thunder.lanes.asr.results.bundle.comparisons import Asked
from thunder.lanes.asr.results.bundle.evidence import ADAPTED, Dump, Evidence
from thunder.lanes.asr.results.bundle.gather import Arm, Gathered

NAME = "T11_adaptation"
TTT_ON, TTT_OFF = "TTT on", "TTT off"
_MEASURED = {"": "CER", comparisons.WER: "WER"}
_CHANGED = ("changed", "valid_changed")
ALL, DISJOINT = "all", "text-disjoint"  # subsets of the utterances


def build(gathered: Gathered, over: str | None) -> dict[str, Any]:
    """Return T11; `over` is the axis that gets a mean ± sd."""
    axes = columns.coordinates(gathered)
    rows = columns.with_means(
        comparisons.made([asked for arm in gathered.arms for asked in _rows(arm)]), over,
        [*(column["key"] for column in axes), "condition", "against", "subset"],
        ("cer", "reference_cer", *_CHANGED, *families.differences(_MEASURED)), ["run"],
        families.over_seeds(over, _MEASURED),
    )  # fmt: skip
    notes = [
        "Every row compares two ways to hear the same utterances with the same weights: with the "
        "adaptation, and with what stands under `against`. Δ CER: the first minus the second, in "
        "percentage points; below zero is better.",
        "text-disjoint: utterances whose text no training utterance has.",
        "changed: utterances in which the two hear different texts. changed of valid: the same on "
        "the validation split, which settings are to be chosen by.",
        measures.paired_note(gathered.unit),
        "TTT and SUTA are different things. TTT is here the fast-weight adapter that the model was "
        "trained with; SUTA adapts a trained model at evaluation alone, on the first utterances "
        "by id, as many as the config says.",
    ]
    return columns.table(
        NAME, "Adaptation at test time, same utterances", [*axes, *_columns()],
        families.adjust(rows, _MEASURED, "subset"), notes,
        [*families.of_trainings(rows), *families.caveats(rows, _MEASURED, "subset")],
        gathered.unit,
    )  # fmt: skip


def _columns() -> list[dict[str, Any]]:
    return [
        columns.column("condition", "adaptation", columns.TEXT),
        columns.column("subset", "utterances", columns.TEXT),
        columns.column("rows", "rows", columns.COUNT),
        columns.column("against", "against", columns.TEXT),
        columns.column("changed", "changed", columns.COUNT),
        columns.column("valid_changed", "changed of valid", columns.COUNT),
        columns.column("valid_rows", "rows of valid", columns.COUNT),
        columns.column("reference_cer", "its CER", columns.RATE),
        columns.column("cer", "CER", columns.RATE),
        *columns.paired(),
        columns.column("run", "run", columns.RUN),
    ]


def _rows(arm: Arm) -> Iterator[Asked]:
    evidence = arm.evidence
    if evidence is None:
        yield columns.absent(arm), {}
        return
    point = {**arm.point, "run": evidence.name}
    if evidence.results["use_ttt"] and "off" not in evidence.dumps:
        yield _missing(arm, {**point, "condition": TTT_ON}, f"there is no {ADAPTED['off']}")
    for condition, against, plain, adapted in _conditions(evidence):
        for subset in (ALL, DISJOINT):
            values = {**point, "condition": condition, "against": against, "subset": subset}
            yield _row(arm, values, adapted, plain)
    if len(evidence.dumps) == 1 and not evidence.results["use_ttt"]:
        yield _missing(arm, point, "no adaptation was evaluated")


def _missing(arm: Arm, values: Mapping[str, Any], reason: str) -> Asked:
    return columns.row(values, kind="missing", reason=reason, stand_in=arm.is_stand_in), {}


def _conditions(evidence: Evidence) -> Iterator[tuple[str, str, Dump, Dump]]:
    """Yield each adaptation, what it is compared with, and the dumps: without, with."""
    dumps = evidence.dumps
    if "off" in dumps:
        yield TTT_ON, TTT_OFF, dumps["off"], evidence.test
    if "off" in dumps and "shuffled" in dumps:
        yield f"{TTT_ON}, chunks shuffled", TTT_OFF, dumps["off"], dumps["shuffled"]
    if "suta" in dumps:
        own = TTT_ON if evidence.results["use_ttt"] else "no adaptation"
        adapted = f"SUTA on top of {own}" if evidence.results["use_ttt"] else "SUTA"
        yield adapted, own, evidence.test, dumps["suta"]


def _row(arm: Arm, values: Mapping[str, Any], adapted: Dump, plain: Dump) -> Asked:
    is_disjoint = values["subset"] == DISJOINT
    first, second = ((_disjoint(dump) if is_disjoint else dump) for dump in (adapted, plain))
    mine, others = comparisons.common(first, second)
    if not len(mine):
        return _missing(arm, values, "no such utterance")
    parts = ((first, mine), (second, others))
    rates = [measures.cer(measures.part(d.counts[measures.MAIN], rows)) for d, rows in parts]
    of_sides = {"cer": rates[0], "reference_cer": rates[1]}
    changed = int((first.heard[mine] != second.heard[others]).sum())
    of_sides |= {"changed": changed, **_of_valid(arm, values)}
    row = columns.row({**values, **of_sides}, stand_in=arm.is_stand_in)
    return row, {"": (first, second)}


def _of_valid(arm: Arm, values: Mapping[str, Any]) -> dict[str, int | None]:
    """Return what fast weights change on the validation split."""
    counted = arm.evidence and arm.evidence.changed_of_valid
    is_told = (values["condition"], values["subset"]) == (TTT_ON, ALL)
    changed, rows = counted if counted and is_told else (None, None)
    return {"valid_changed": changed, "valid_rows": rows}


def _disjoint(dump: Dump) -> Dump:
    chosen = dump.references.text_disjoint[dump.rows]
    main = measures.part(dump.counts[measures.MAIN], chosen)
    rows, heard = dump.rows[chosen], dump.heard[chosen]
    return replace(dump, rows=rows, counts={measures.MAIN: main}, heard=heard, labels=())
