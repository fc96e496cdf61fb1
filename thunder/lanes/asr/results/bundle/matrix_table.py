"""T1: one row per cell of the matrix, with everything that its run measured on the test split."""

from typing import Any

import numpy as np
import numpy.typing as npt

from thunder.lanes.asr.artifacts import ROW_FAULTS, SPLITS
from thunder.lanes.asr.results.bundle import columns, measures
from thunder.lanes.asr.results.bundle.evidence import Evidence
from thunder.lanes.asr.results.bundle.gather import Arm, Gathered
from thunder.language import spelling

NAME = "T1_matrix"
_FAULTS = ("infeasible", "missing", "empty", "cut")  # of rows; runs of before do not know `cut`
_AVERAGED = (
    "cer",
    "cer_macro",
    "cer_raw",
    "cer_toneless",
    "cer_disjoint",
    "wer",
    "valid_cer",
    "valid_loss",
    "epochs",
)


def build(gathered: Gathered, over: str | None, samples: int) -> dict[str, Any]:
    """Return T1; `over` is the axis that gets a mean ± sd."""
    axes = columns.coordinates(gathered)
    has_tones = _has_tones(gathered)
    rows = [_row(arm, samples) for arm in gathered.arms]
    keys = [column["key"] for column in axes]
    table_rows = columns.with_means(rows, over, keys, _AVERAGED, ["run"])
    notes = [
        "CER: micro, all edits over all reference characters, on normalised text; the interval is "
        f"the 95 % bootstrap interval over {gathered.unit} ({samples:,} samples, seed "
        f"{measures.SEED}).",
        "macro: mean over utterances. raw: text as written. "
        f"{'toneless: without tones as well. ' if has_tones else ''}"
        "text-disjoint: over the utterances whose text no training utterance has. "
        "WER: micro, on normalised text, its interval likewise.",
        "rows, of: utterances of test that are scored, of those that its split has. infeasible: "
        "with more characters (and repeats) than frames, which CTC can not align. missing: without "
        "features, scored nowhere. empty: without a character. cut: heard in part. "
        f"{ROW_FAULTS} of a run names them.",
    ]
    if any(row["kind"] == "mean" for row in table_rows):
        notes.append(f"± is the sample standard deviation over {over}.")
    shown = [each for each in _columns(keys) if has_tones or each["key"] != "cer_toneless"]
    return columns.table(NAME, "Matrix: every cell on the same test rows", [*axes, *shown],
                   table_rows, notes, unit=gathered.unit)  # fmt: skip


def _has_tones(gathered: Gathered) -> bool:
    """Say whether a script has tones that can be put aside; without runs, one may have."""
    forms = [arm.evidence.test.references.form for arm in gathered.arms if arm.evidence]
    return not forms or any(map(_strips_tones, forms))


def _strips_tones(form: spelling.Script) -> bool:
    return "toneless" in spelling.variants(form)


def _columns(axes: list[str]) -> list[dict[str, Any]]:
    learning_rate = columns.column("learning_rate", "lr", columns.NUMBER)
    return [
        columns.column("rows", "rows", columns.COUNT),
        columns.column("of_rows", "of", columns.COUNT),
        columns.units(),
        columns.column("cer", "CER", columns.RATE),
        columns.column("cer_interval", "95 % interval", columns.RATES),
        columns.column("cer_macro", "macro", columns.RATE),
        columns.column("cer_raw", "raw", columns.RATE, is_printed=False),
        columns.column("cer_toneless", "toneless", columns.RATE, is_printed=False),
        columns.column("cer_disjoint", "text-disjoint", columns.RATE, is_printed=False),
        columns.column("wer", "WER", columns.RATE),
        columns.column("wer_interval", "its 95 % interval", columns.RATES, is_printed=False),
        columns.column("valid_cer", "valid CER", columns.RATE, is_printed=False),
        columns.column("valid_loss", "best valid loss", columns.NUMBER),
        columns.column("epochs", "epochs", columns.COUNT),
        columns.column("best_epoch", "best epoch", columns.COUNT, is_printed=False),
        *([] if "train.learning_rate" in axes else [learning_rate]),
        columns.column("patience", "patience", columns.COUNT),
        columns.column("parameters", "parameters", columns.COUNT),
        *(
            columns.column(
                f"{fault}_{split}",
                f"{fault} {split}",
                columns.COUNT,
                is_printed=fault == "infeasible" and split == "test",
            )
            for fault in _FAULTS
            for split in SPLITS
        ),
        columns.column("run", "run", columns.RUN),
    ]


def _row(arm: Arm, samples: int) -> dict[str, Any]:
    if arm.evidence is None:
        return columns.absent(arm)
    values = {**arm.point, **_values(arm.evidence, samples)}
    return columns.row(values, stand_in=arm.is_stand_in)


def _values(evidence: Evidence, samples: int) -> dict[str, Any]:
    results, counts = evidence.results, evidence.test.counts
    scores = {variant: measures.summary(counts[variant]) for variant in measures.VARIANTS}
    main, units = scores[measures.MAIN], evidence.test.units()
    form = evidence.test.references.form
    return {
        "rows": main["rows"],
        "units": len(units.edits),
        "cer": main["cer_micro"],
        "cer_interval": list(evidence.interval),
        "cer_macro": main["cer_macro"],
        "cer_raw": scores["raw"]["cer_micro"],
        "cer_toneless": scores["toneless"]["cer_micro"] if _strips_tones(form) else None,
        "cer_disjoint": measures.cer(measures.part(counts[measures.MAIN], _disjoint(evidence))),
        "wer": main["wer_micro"],
        "wer_interval": measures.interval(measures.of_words(units), samples),
        "valid_cer": results["valid"][measures.MAIN]["cer_micro"],
        "valid_loss": results["best_val_loss"],
        "epochs": results["epochs_trained"],
        "best_epoch": results["best_epoch"],
        "learning_rate": results["lr"],
        "patience": results["patience"],
        "parameters": results["n_params"],
        "of_rows": results["splits"]["test"]["rows"],
        **{
            f"{fault}_{split}": results["splits"][split].get(fault)
            for fault in _FAULTS
            for split in SPLITS
        },
        "run": evidence.name,
    }


def _disjoint(evidence: Evidence) -> npt.NDArray[np.bool_]:
    return evidence.test.references.text_disjoint[evidence.test.rows]
