"""T2 and T3: what one axis changes, each cell against its counterpart on the same utterances."""

import re
from typing import Any

from thunder.lanes.asr.data.pairs import BILINGUAL
from thunder.lanes.asr.results.bundle import columns, comparisons, families, measures
from thunder.lanes.asr.results.bundle.comparisons import Asked, Pair
from thunder.lanes.asr.results.bundle.evidence import Evidence
from thunder.lanes.asr.results.bundle.gather import Arm, Gathered

SCRIPT = "T2_script_effect"
WORST_BRIDGE = 0.1  # CER of the bridge alone above which nothing is compared by way of it
_LETTERS = "letters_"  # begins the keys of the comparison of two alphabets
_MEASURED = {"": "CER", comparisons.WER: "WER"}
_SCRIPT_MEASURED = {
    "": "CER in one alphabet",
    comparisons.WER: "WER in one alphabet",
    _LETTERS: "CER in two alphabets",
}
_LETTERS_DIFFER = (
    "The CERs of two alphabets are not directly comparable: one spelling needs more letters than "
    "the other. Compare N'Ko CER with Latin via bridge CER."
)
_TWO_ALPHABETS = (
    "Error rates of two alphabets are not of one unit: a letter of one may say more than a letter "
    "of the other. No bridge takes these scripts to one alphabet; compare words, too (Δ WER)."
)


def script(gathered: Gathered, reference: str, over: str | None) -> dict[str, Any]:
    """Return T2: N'Ko beside Latin, and beside Latin as the bridge writes it in N'Ko."""
    pairs = comparisons.pairs(gathered.arms, "script", reference)
    axes = columns.coordinates(gathered, without=["script"])
    rows = columns.with_means(
        comparisons.made([_script_row(pair, gathered, reference) for pair in pairs]), over,
        [column["key"] for column in axes],
        ("cer_nko", "cer_latin", "cer_bridged", *families.differences(_SCRIPT_MEASURED)),
        ["run_nko", "run_latin"],
        families.over_seeds(over, _SCRIPT_MEASURED, "bridge_error", "wer_bridge_error"),
    )  # fmt: skip
    title = "Script effect: N'Ko against Latin, same utterances"
    return columns.table(
        SCRIPT, title, [*axes, *_script_columns()], families.adjust(rows, _SCRIPT_MEASURED),
        _script_notes(gathered, reference),
        [_LETTERS_DIFFER, *_bridge_caveats(gathered), *families.of_trainings(rows),
         *families.caveats(rows, _SCRIPT_MEASURED)],
        gathered.unit,
    )  # fmt: skip


def is_bilingual(gathered: Gathered) -> bool:
    """Say whether the scripts are those that a bridge joins, N'Ko and Latin."""
    return {arm.script for arm in gathered.arms} <= set(BILINGUAL)


def axis(gathered: Gathered, name: str, reference: Any, over: str | None) -> dict[str, Any]:
    """Return T3: every other value of an axis against the reference, all else equal."""
    pairs = comparisons.pairs(gathered.arms, name, reference)
    over = None if over == name else over
    axes = columns.coordinates(gathered)
    rows = columns.with_means(
        comparisons.made([_axis_row(pair, name, reference) for pair in pairs]), over,
        [column["key"] for column in axes],
        ("cer", "reference_cer", *families.differences(_MEASURED)),
        ["run", "reference_run"], families.over_seeds(over, _MEASURED),
    )  # fmt: skip
    word = name.rpartition(".")[2].replace("_", " ")
    notes = [
        f"Δ CER: CER of the row minus CER of {word} {reference}, in percentage points; below zero "
        "is better than the reference. Δ WER: the same of words.",
        measures.paired_note(gathered.unit),
    ]
    title = f"{word.capitalize()} effect: against {word} {reference}, same utterances"
    return columns.table(
        axis_name(name), title, [*axes, *_axis_columns(str(reference))],
        families.adjust(rows, _MEASURED), notes,
        [*([_TWO_ALPHABETS] if name == "script" else []), *families.of_trainings(rows),
         *families.caveats(rows, _MEASURED)],
        gathered.unit,
    )  # fmt: skip


def axis_name(name: str) -> str:
    """Return the name of the table for an axis."""
    return f"T3_{name.replace('.', '_')}_effect"


def is_effect(name: str) -> bool:
    """Say whether a table is T2 or T3."""
    return name == SCRIPT or bool(re.fullmatch(axis_name(r"\w+"), name))


def _script_columns() -> list[dict[str, Any]]:
    one_alphabet = [
        {**one, "title": "Δ CER, one alphabet"} if one["key"] == "difference" else one
        for one in columns.paired()
    ]
    return [
        columns.column("rows", "utterances", columns.COUNT),
        columns.column("cer_nko", "N'Ko CER", columns.RATE),
        columns.column("cer_latin", "Latin CER", columns.RATE),
        columns.column("cer_bridged", "Latin via bridge CER", columns.RATE),
        columns.column("bridge_error", "bridge alone CER", columns.RATE, is_printed=False),
        columns.column("wer_bridge_error", "bridge alone WER", columns.RATE, is_printed=False),
        *one_alphabet,
        columns.column("letters_difference", "Δ CER, two alphabets", columns.DIFFERENCE),
        columns.column(
            "letters_interval", "its 95 % interval", columns.DIFFERENCES, is_printed=False
        ),
        columns.column("letters_p_value", "its p", columns.P_VALUE, is_printed=False),
        columns.column("letters_p_value_holm", "its p (Holm)", columns.P_VALUE, is_printed=False),
        columns.column("run_nko", "N'Ko run", columns.RUN),
        columns.column("run_latin", "Latin run", columns.RUN),
    ]


def _script_row(pair: Pair, gathered: Gathered, reference: str) -> Asked:
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
        return columns.row(values, kind="missing", reason=reason, stand_in=pair.is_stand_in), {}
    nko, latin = _evidence(arms["nko"]), _evidence(arms["latin"])
    if latin.bridged is None or gathered.bridge is None:
        raise RuntimeError(f"{latin.name}: both scripts have runs, yet nothing was bridged")
    values |= {
        "cer_bridged": measures.cer(latin.bridged.counts[measures.MAIN]),
        "bridge_error": gathered.bridge.error,
        "wer_bridge_error": gathered.bridge.word_error,
    }
    dumps = {_LETTERS: (nko.test, latin.test), "": (nko.test, latin.bridged)}
    if gathered.bridge.error > WORST_BRIDGE:
        del dumps[""]
        values |= dict.fromkeys(families.differences(_MEASURED))
        reason = f"one alphabet: n/a, {_bridge_alone(gathered)}"
    if pair.arm.script != "nko":
        dumps = {name: (other, one) for name, (one, other) in dumps.items()}
    return columns.row(values, reason=reason, stand_in=pair.is_stand_in), dumps


def _script_notes(gathered: Gathered, reference: str) -> list[str]:
    other = "N'Ko" if reference == "latin" else "Latin"
    base = "Latin" if reference == "latin" else "N'Ko"
    notes = [
        "Latin via bridge: the Latin hypotheses written in N'Ko and scored against the N'Ko "
        "references of the same utterances.",
        f"Δ CER: {other} minus {base}, in percentage points; Δ WER: the same of words, in one "
        "alphabet.",
        measures.paired_note(gathered.unit),
    ]
    if gathered.bridge:
        bridge = gathered.bridge
        notes.append(
            f"bridge: {bridge.version}. It brings an error of its own: the Latin references as "
            f"N'Ko differ from the N'Ko references by a CER of {100 * bridge.error:.2f} % and a "
            f"WER of {100 * bridge.word_error:.2f} % ({bridge.rows:,} utterances)."
        )
    return notes


def _bridge_caveats(gathered: Gathered) -> list[str]:
    if gathered.bridge is None or gathered.bridge.error <= WORST_BRIDGE:
        return []
    return [
        f"Δ in one alphabet is not available: {_bridge_alone(gathered)}. With so much error of "
        "its own it cannot show which script is better."
    ]


def _bridge_alone(gathered: Gathered) -> str:
    error = gathered.bridge.error if gathered.bridge else 0.0
    return f"the bridge alone has a CER of {100 * error:.2f} %, above {100 * WORST_BRIDGE:.0f} %"


def _axis_columns(reference: str) -> list[dict[str, Any]]:
    return [
        columns.column("rows", "utterances", columns.COUNT),
        columns.column("reference_cer", f"{reference} CER", columns.RATE),
        columns.column("cer", "CER", columns.RATE),
        *columns.paired(),
        columns.column("run", "run", columns.RUN),
        columns.column("reference_run", f"{reference} run", columns.RUN),
    ]


def _axis_row(pair: Pair, name: str, reference: Any) -> Asked:
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
        return columns.row(values, kind="missing", reason=reason, stand_in=pair.is_stand_in), {}
    dumps = (_evidence(pair.arm).test, _evidence(pair.reference).test)
    return columns.row(values, stand_in=pair.is_stand_in), {"": dumps}


def _evidence(arm: Arm) -> Evidence:
    if arm.evidence is None:
        raise RuntimeError(f"{arm.cell.label}: a comparison without a run")
    return arm.evidence
