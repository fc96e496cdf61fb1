"""The plain form of one table of a bundle: typed columns, rows of values, notes."""

from collections.abc import Callable, Mapping, Sequence
from statistics import fmean, stdev
from typing import Any

from thunder.lanes.asr.results.bundle import measures
from thunder.lanes.asr.results.bundle.gather import Arm, Gathered

# What a column holds, which says how it is rounded and aligned.
TEXT, LABEL, RUN = "text", "label", "run"  # words; a coordinate; ids of runs
COUNT, NUMBER, P_VALUE = "count", "number", "p_value"
RATE, DIFFERENCE = "rate", "difference"  # fractions, shown as % and percentage points
UNITS = "units"
RATES, DIFFERENCES = "rates", "differences"  # [low, high] of the two


More = Callable[[Sequence[Mapping[str, Any]]], Mapping[str, Any]]


def column(key: str, title: str, kind: str, *, is_printed: bool = True) -> dict[str, Any]:
    """Return a column.

    Args:
        is_printed: whether the LaTeX table has it; Markdown and CSV have all.
    """
    return {"key": key, "title": title, "kind": kind, "printed": is_printed}


def coordinates(gathered: Gathered, *, without: Sequence[str] = ()) -> list[dict[str, Any]]:
    """Return the columns of script, mode, seed and all further axes."""
    keys = dict.fromkeys(key for arm in gathered.arms for key in arm.point)
    return [column(key, key.rpartition(".")[2], LABEL) for key in keys if key not in without]


def units() -> dict[str, Any]:
    """Return the column that says over how many independent units intervals and tests are."""
    return column(UNITS, UNITS, COUNT, is_printed=False)


def paired() -> list[dict[str, Any]]:
    """Return the columns of a paired comparison: differences, their intervals and p-values."""
    return [
        units(),
        column("difference", "Δ CER", DIFFERENCE),
        column("interval", "95 % interval", DIFFERENCES),
        column("p_value", "p", P_VALUE),
        column("p_value_holm", "p (Holm)", P_VALUE),
        column("wer_difference", "Δ WER", DIFFERENCE, is_printed=False),
        column("wer_interval", "its 95 % interval", DIFFERENCES, is_printed=False),
        column("wer_p_value", "its p", P_VALUE, is_printed=False),
        column("wer_p_value_holm", "its p (Holm)", P_VALUE, is_printed=False),
    ]


def row(
    values: Mapping[str, Any], *, kind: str = "run", reason: str | None = None,
    stand_in: bool = False,
) -> dict[str, Any]:  # fmt: skip
    """Return a row.

    Args:
        kind: run, mean (over an axis) or missing.
    """
    return {"kind": kind, "values": dict(values), "reason": reason, "stand_in": stand_in}


def absent(arm: Arm, run_key: str = "run") -> dict[str, Any]:
    """Return the row of a cell that has no evidence."""
    values = {**arm.point, run_key: None}
    return row(values, kind="missing", reason=arm.reason, stand_in=arm.is_stand_in)


def table(
    name: str, title: str, columns: Sequence[Mapping[str, Any]],
    rows: Sequence[Mapping[str, Any]], notes: Sequence[str], caveats: Sequence[str] = (),
    unit: str = "utterances",
) -> dict[str, Any]:  # fmt: skip
    """Return a table whose rows have a value for every column.

    Args:
        caveats: notes without which its numbers mean something else; every rendering has them.
        unit: what intervals are over, in plural; it is said where some are over few.
    """
    keys = [column["key"] for column in columns]
    filled = [{**row, "values": {key: row["values"].get(key) for key in keys}} for row in rows]
    return {
        "name": name,
        "title": title,
        "columns": list(columns),
        "rows": filled,
        "notes": list(notes),
        "caveats": [*caveats, *([measures.few_note(unit)] if any(map(is_few, filled)) else [])],
    }


def is_few(row: Mapping[str, Any]) -> bool:
    """Say whether the intervals of a row are over so few units that they are too narrow.

    A mean over seeds has an exact one, of any number.
    """
    units = row["values"].get(UNITS)
    return row["kind"] == "run" and bool(units) and units < measures.FEWEST


def spread(values: Sequence[float | None]) -> dict[str, Any] | None:
    """Return mean, sample standard deviation and count of what there is."""
    present = [float(value) for value in values if value is not None]
    if not present:
        return None
    sd = stdev(present) if len(present) > 1 else None
    return {"mean": fmean(present), "sd": sd, "n": len(present)}


def with_means(
    rows: Sequence[Mapping[str, Any]], over: str | None, keys: Sequence[str],
    averaged: Sequence[str], runs: Sequence[str], more: More = lambda present: {},
) -> list[Mapping[str, Any]]:  # fmt: skip
    """Return rows with a mean below each group that differs in `over` alone.

    Args:
        keys: what names a row: its coordinates.
        averaged: columns that the mean is taken of.
        runs: columns with ids, which the mean lists.
        more: what else a mean says of the rows that it is over.
    """
    if over is None or over not in keys:
        return list(rows)
    groups: dict[tuple[Any, ...], list[Mapping[str, Any]]] = {}
    for row in rows:
        point = tuple(row["values"].get(key) for key in keys if key != over)
        groups.setdefault(point, []).append(row)
    out: list[Mapping[str, Any]] = []
    for group in groups.values():
        out += group
        present = [row for row in group if row["kind"] == "run"]
        if len(group) > 1 and present:
            mean = _mean(group, present, over, [k for k in keys if k != over], averaged, runs)
            out.append({**mean, "values": {**mean["values"], **more(present)}})
    return out


def _mean(
    group: Sequence[Mapping[str, Any]], present: Sequence[Mapping[str, Any]], over: str,
    keys: Sequence[str], averaged: Sequence[str], runs: Sequence[str],
) -> dict[str, Any]:  # fmt: skip
    values = {key: group[0]["values"].get(key) for key in keys}
    values[over] = f"mean ± sd ({len(present)} of {len(group)})"
    for key in averaged:
        values[key] = spread([member["values"][key] for member in present])
    for key in runs:
        values[key] = " ".join(str(member["values"][key]) for member in present)
    return row(values, kind="mean", stand_in=any(member["stand_in"] for member in group))
