"""Comparisons that answer one question together: p-values adjusted for their number."""

from collections.abc import Mapping, Sequence
from typing import Any

from thunder.ground import wording
from thunder.lanes.asr.results.bundle import columns, measures

Rows = Sequence[Mapping[str, Any]]
Measured = Mapping[str, str]  # what the keys of a measure begin with, to its words
SEED = "seed"
_KINDS = {"run": "single trainings", "mean": "seeds"}


def adjust(rows: Rows, measured: Measured, by: str | None = None) -> list[dict[str, Any]]:
    """Return rows with p-values adjusted for the number of comparisons in their family (Holm).

    Args:
        measured: each measure is a family of its own.
        by: a column that parts the rows in families; single trainings and means always are.
    """
    copies = [{**row, "values": dict(row["values"])} for row in rows]
    for (name, _, _), family in _families(copies, measured, by).items():
        adjusted = measures.holm([values[f"{name}p_value"] for values in family])
        for values, p in zip(family, adjusted, strict=True):
            values[f"{name}p_value_holm"] = p
    return copies


def caveats(rows: Rows, measured: Measured, by: str | None = None) -> list[str]:
    """Return which families cannot show anything: their least possible p (Holm) is too large."""
    families, said = _families(rows, measured, by), dict[str, list[str]]()
    has_both = len({kind for _, kind, _ in families}) > 1
    for (name, kind, part), family in families.items():
        smallest = min(values[f"{name}{measures.SMALLEST}"] for values in family)
        least = min(1.0, len(family) * smallest)
        if least >= measures.LEVEL:
            why = f"{wording.count(len(family), 'comparison')}, too few units that differ"
            words = [measured[name], part, f"over {_KINDS[kind]}" if has_both else ""]
            said.setdefault(f"{least:.2g} ({why})", []).append(" ".join(filter(None, words)))
    return [
        f"p (Holm) of {', '.join(of)} cannot come below {least}: it can show no difference."
        for least, of in said.items()
    ]


def differences(measured: Measured) -> list[str]:
    """Return the columns of differences."""
    return [f"{name}difference" for name in measured]


def of_trainings(rows: Rows) -> list[str]:
    """Return what single trainings cannot show, where rows compare some."""
    if not any(row["kind"] == "run" for row in rows):
        return []
    if len({str(row["values"].get(SEED)) for row in rows if row["kind"] != "mean"}) > 1:
        return [
            "A row of one seed compares single trainings. What holds of the method is in the rows "
            "over seeds, where a pair of trainings is one unit."
        ]
    return [
        "There is one training of each cell: p and interval say whether these runs differ, not "
        "whether others, trained again from another seed, would."
    ]


def over_seeds(over: str | None, measured: Measured, *alike: str) -> columns.More:
    """Return what tests a mean over seeds, each pair of trainings being one unit.

    Args:
        alike: columns that are the same in every row, and in the mean.
    """

    def more(present: Rows) -> dict[str, Any]:
        values: dict[str, Any] = {key: present[0]["values"][key] for key in alike}
        for name in measured if over == SEED else ():
            differences = [row["values"][f"{name}difference"] for row in present]
            if None not in differences:
                found = measures.over_pairs(differences)
                values |= {f"{name}{key}": value for key, value in found.items()}
                values["units"] = len(differences)
                values["rows"] = min(row["values"]["rows"] for row in present)
        return values

    return more


def _families(
    rows: Rows, measured: Measured, by: str | None
) -> dict[tuple[str, str, str], list[dict[str, Any]]]:
    families: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    for name in measured:
        for row in rows:
            if row["values"].get(f"{name}p_value") is not None:
                key = name, row["kind"], str(row["values"].get(by) or "") if by else ""
                families.setdefault(key, []).append(row["values"])
    return families
