"""T2 and T3: what one axis changes, each cell against its counterpart on the same utterances."""

import re
from collections.abc import Sequence
from typing import Any

from thunder.lanes.asr.data.pairs import BILINGUAL
from thunder.lanes.asr.results.bundle import columns, comparisons, measures
from thunder.lanes.asr.results.bundle.comparisons import Pair
from thunder.lanes.asr.results.bundle.evidence import Dump, Evidence
from thunder.lanes.asr.results.bundle.gather import Arm, Gathered

SCRIPT = "T2_script_effect"
_TWO_ALPHABETS = (
    "Error rates of two alphabets are not of one unit: a letter of one may say more than a letter "
    "of the other. No bridge takes these scripts to one alphabet; compare words, too (WER in T1)."
)
_MUCH = 0.1  # CER of the bridge alone beyond which it hides the effect


def script(gathered: Gathered, reference: str, over: str | None, samples: int) -> dict[str, Any]:
    """Return T2: N'Ko beside Latin, and beside Latin as the bridge writes it in N'Ko."""
    pairs = comparisons.pairs(gathered.arms, "script", reference)
    rows = [_script_row(pair, gathered, reference, samples) for pair in pairs]
    rows = comparisons.adjust(comparisons.adjust(rows), "letters_p_value")
    axes = columns.coordinates(gathered, without=["script"])
    keys = [column["key"] for column in axes]
    averaged = ("cer_nko", "cer_latin", "cer_bridged", "difference", "letters_difference")
    filled = columns.with_means(rows, over, keys, averaged, ["run_nko", "run_latin"])
    title = "Script effect: N'Ko against Latin, same utterances"
    return columns.table(SCRIPT, title, [*axes, *_script_columns()], filled,
                   _script_notes(gathered, pairs, reference, samples))  # fmt: skip


def is_bilingual(gathered: Gathered) -> bool:
    """Say whether the scripts are those that a bridge joins, N'Ko and Latin."""
    return {arm.script for arm in gathered.arms} <= set(BILINGUAL)


def axis(
    gathered: Gathered, name: str, reference: Any, over: str | None, samples: int
) -> dict[str, Any]:
    """Return T3: every other value of an axis against the reference, all else equal."""
    pairs = comparisons.pairs(gathered.arms, name, reference)
    rows = comparisons.adjust([_axis_row(pair, name, reference, samples) for pair in pairs])
    axes = columns.coordinates(gathered)
    keys = [column["key"] for column in axes]
    averaged = ("cer", "reference_cer", "difference")
    filled = columns.with_means(rows, over, keys, averaged, ["run", "reference_run"])
    word = name.rpartition(".")[2].replace("_", " ")
    notes = [
        *([_TWO_ALPHABETS] if name == "script" else []),
        f"Δ CER: CER of the row minus CER of {word} {reference}, in percentage points; below zero "
        "is better than the reference.",
        measures.paired_note(samples, sum(pair.is_complete for pair in pairs)),
    ]
    title = f"{word.capitalize()} effect: against {word} {reference}, same utterances"
    return columns.table(
        axis_name(name), title, [*axes, *_axis_columns(str(reference))], filled, notes
    )


def axis_name(name: str) -> str:
    """Return the name of the table for an axis."""
    return f"T3_{name.replace('.', '_')}_effect"


def is_effect(name: str) -> bool:
    """Say whether a table is T2 or T3."""
    return name == SCRIPT or bool(re.fullmatch(axis_name(r"\w+"), name))


def _script_columns() -> list[dict[str, Any]]:
    return [
        columns.column("rows", "utterances", columns.COUNT),
        columns.column("cer_nko", "N'Ko CER", columns.RATE),
        columns.column("cer_latin", "Latin CER", columns.RATE),
        columns.column("cer_bridged", "Latin via bridge CER", columns.RATE),
        columns.column("bridge_error", "bridge alone CER", columns.RATE, is_printed=False),
        columns.column("difference", "Δ CER, one alphabet", columns.DIFFERENCE),
        columns.column("interval", "95 % interval", columns.DIFFERENCES),
        columns.column("p_value", "p", columns.P_VALUE),
        columns.column("p_value_holm", "p (Holm)", columns.P_VALUE),
        columns.column("letters_difference", "Δ CER, two alphabets", columns.DIFFERENCE),
        columns.column(
            "letters_interval", "its 95 % interval", columns.DIFFERENCES, is_printed=False
        ),
        columns.column("letters_p_value", "its p", columns.P_VALUE, is_printed=False),
        columns.column("letters_p_value_holm", "its p (Holm)", columns.P_VALUE, is_printed=False),
        columns.column("run_nko", "N'Ko run", columns.RUN),
        columns.column("run_latin", "Latin run", columns.RUN),
    ]


def _script_row(pair: Pair, gathered: Gathered, reference: str, samples: int) -> dict[str, Any]:
    arms = {arm.script: arm for arm in (pair.arm, pair.reference) if arm is not None}
    values: dict[str, Any] = dict(pair.arm.point)
    for name, arm in arms.items():
        if arm.evidence:
            values |= {
                f"cer_{name}": measures.cer(arm.evidence.test.counts[measures.MAIN]),
                f"run_{name}": arm.evidence.name,
            }
    reason = pair.reason("script", reference)
    if reason is not None:
        return columns.row(values, kind="missing", reason=reason, stand_in=pair.is_stand_in)
    latin = _evidence(arms["latin"])
    if latin.bridged is None or gathered.bridge is None:
        raise RuntimeError(f"{latin.name}: both scripts have runs, yet nothing was bridged")
    values |= {
        "cer_bridged": measures.cer(latin.bridged.counts[measures.MAIN]),
        "bridge_error": gathered.bridge.error,
    }
    nko, sign = _evidence(arms["nko"]).test, 1 if pair.arm.script == "nko" else -1
    values |= _difference(nko, latin.bridged, samples, sign)
    letters = _difference(nko, latin.test, samples, sign)
    values |= {f"letters_{key}": value for key, value in letters.items() if key != "rows"}
    return columns.row(values, stand_in=pair.is_stand_in)


def _script_notes(
    gathered: Gathered, pairs: Sequence[Pair], reference: str, samples: int
) -> list[str]:
    other = "N'Ko" if reference == "latin" else "Latin"
    base = "Latin" if reference == "latin" else "N'Ko"
    notes = [
        "The CERs of two alphabets are not directly comparable: one spelling needs more letters "
        "than the other. Compare N'Ko CER with Latin via bridge: the Latin hypotheses written in "
        "N'Ko and scored against the N'Ko references of the same utterances.",
        f"Δ CER: {other} minus {base}, in percentage points.",
        measures.paired_note(samples, sum(pair.is_complete for pair in pairs)),
    ]
    if gathered.bridge:
        bridge = gathered.bridge
        notes.append(
            f"bridge: {bridge.version}. It brings an error of its own: the Latin references as "
            f"N'Ko differ from the N'Ko references by a CER of {100 * bridge.error:.2f} % "
            f"({bridge.rows:,} utterances)."
        )
        if bridge.error > _MUCH:
            notes.append(
                "With so much error of its own the bridge cannot show which script is better."
            )
    return notes


def _axis_columns(reference: str) -> list[dict[str, Any]]:
    return [
        columns.column("rows", "utterances", columns.COUNT),
        columns.column("reference_cer", f"{reference} CER", columns.RATE),
        columns.column("cer", "CER", columns.RATE),
        *columns.paired(),
        columns.column("run", "run", columns.RUN),
        columns.column("reference_run", f"{reference} run", columns.RUN),
    ]


def _axis_row(pair: Pair, name: str, reference: Any, samples: int) -> dict[str, Any]:
    values: dict[str, Any] = dict(pair.arm.point)
    for arm, prefix in ((pair.arm, ""), (pair.reference, "reference_")):
        if arm is not None and arm.evidence:
            evidence = arm.evidence
            values |= {
                f"{prefix}cer": measures.cer(evidence.test.counts[measures.MAIN]),
                f"{prefix}run": evidence.name,
            }
    reason = pair.reason(name, reference)
    if reason is not None or pair.reference is None:
        return columns.row(values, kind="missing", reason=reason, stand_in=pair.is_stand_in)
    first, second = _evidence(pair.arm).test, _evidence(pair.reference).test
    return columns.row(values | _difference(first, second, samples), stand_in=pair.is_stand_in)


def _difference(first: Dump, second: Dump, samples: int, sign: int = 1) -> dict[str, Any]:
    comparison = comparisons.paired(first, second, samples)
    return {
        "rows": comparison["rows"],
        "difference": sign * comparison["difference"],
        "interval": sorted([sign * comparison["low"], sign * comparison["high"]]),
        "p_value": comparison["p_value"],
    }


def _evidence(arm: Arm) -> Evidence:
    if arm.evidence is None:
        raise RuntimeError(f"{arm.cell.label}: a comparison without a run")
    return arm.evidence
