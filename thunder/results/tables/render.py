"""A table as files: JSON, Markdown for people, CSV for programs; and as a terminal shows it."""

from collections.abc import Mapping
from math import floor, log10
from pathlib import Path
from typing import Any

from thunder.ground import csv_text, files, markdown, wording

DIGITS = 4
_PLAIN_FROM = 1000  # above this a number has no decimals, and no exponent
MISSING = "–"
STAND_IN = (
    f"{wording.STAND_IN} stand-in model or data: these numbers show that the machinery works, "
    "no more."
)


def write(table: Mapping[str, Any], folder: Path) -> list[Path]:
    """Write a table as JSON, Markdown and CSV; the same runs give the same bytes."""
    rendered = renderings(table)
    files.write_all({folder / name: content.encode() for name, content in rendered.items()})
    return [folder / name for name in rendered]


def stale(table: Mapping[str, Any], folder: Path) -> list[Path]:
    """Return the files on disk that do not follow from the runs any more."""
    return [
        folder / name
        for name, content in renderings(table).items()
        if not (folder / name).is_file() or (folder / name).read_text(encoding="utf-8") != content
    ]


def renderings(table: Mapping[str, Any]) -> dict[str, str]:
    """Return every file of a table by name."""
    name = table["name"]
    return {
        f"{name}.json": files.render_json(table),
        f"{name}.md": render_markdown(table),
        f"{name}.csv": render_csv(table),
    }


def render_markdown(table: Mapping[str, Any]) -> str:
    """Return the table for people: rounded, missing runs shown, run ids at the end of each row."""
    head, rows = _cells(table)
    lines = [f"# {table['name']}", ""]
    lines += [table["question"], ""] if table["question"] else []
    lines += [STAND_IN, ""] if _has_stand_ins(table) else []
    lines += [markdown.row(head), markdown.row(["---"] * len(head)), *map(markdown.row, rows)]
    lines += ["", *(f"- {note}" for note in notes)] if (notes := _notes(table)) else []
    lines += (
        ["", "Missing:", "", *(f"- {one}" for one in missing)]
        if (missing := _missing(table))
        else []
    )
    return "\n".join(lines) + "\n"


def render_brief(table: Mapping[str, Any]) -> str:
    """Return the table for a terminal, with all that the Markdown says."""
    lines = [table["question"] or table["name"]]
    lines += [STAND_IN] if _has_stand_ins(table) else []
    lines += ["", wording.columns(*_cells(table))]
    lines += ["", *notes] if (notes := _notes(table)) else []
    lines += (
        ["", "Missing:", *(f"  {one}" for one in missing)] if (missing := _missing(table)) else []
    )
    return "\n".join(lines) + "\n\n"


def render_csv(table: Mapping[str, Any]) -> str:
    """Return the table for programs: full precision, one mean, sd and count per metric."""
    axes = _axes(table)
    head = [*axes, "present", "wanted", "stand_in"]
    for metric in table["metrics"]:
        head += [f"{metric}_mean", f"{metric}_sd", f"{metric}_n"]
    rows: list[list[Any]] = [[*head, "runs", "caveats"]]
    told = " ".join(code(table))
    for row in table["rows"]:
        cells = [row["point"].get(axis, "") for axis in axes]
        cells += [row["present"], row["wanted"], row["stand_in"]]
        for metric in table["metrics"]:
            value = row["values"][metric]
            cells += ["" if value[key] is None else value[key] for key in ("mean", "sd", "n")]
        rows.append([*cells, " ".join(row["runs"]), told])
    return csv_text.render(rows)


def _axes(table: Mapping[str, Any]) -> list[str]:
    return list(dict.fromkeys(axis for row in table["rows"] for axis in row["point"]))


def _cells(table: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Return the head of a table, and its rows as people read them."""
    axes, metrics = _axes(table), table["metrics"]
    rows = []
    for row in table["rows"]:
        mark = f" {wording.STAND_IN}" if row["stand_in"] else ""
        rows.append([
            *(str(row["point"].get(axis, MISSING)) for axis in axes),
            f"{row['present']}/{row['wanted']}{mark}",
            *(_mean_text(row["values"][metric], row["present"]) for metric in metrics),
            " ".join(row["runs"]) or MISSING,
        ])  # fmt: skip
    return [*axes, "runs", *metrics, "run ids"], rows


def _has_stand_ins(table: Mapping[str, Any]) -> bool:
    return any(row["stand_in"] for row in table["rows"])


def _missing(table: Mapping[str, Any]) -> list[str]:
    return [reason for row in table["rows"] for reason in row["missing"]]


def _notes(table: Mapping[str, Any]) -> list[str]:
    """Return what a reader must know: what ± means, and what changes the meaning of numbers."""
    values = (value for row in table["rows"] for value in row["values"].values())
    has_spread = any(value["sd"] is not None for value in values)
    spread = [f"mean ± sample standard deviation over {table['over']}"] if has_spread else []
    return [*spread, *code(table)]


def code(table: Mapping[str, Any]) -> list[str]:
    """Return the states of code, when there are several or one that was not committed."""
    states = table["code"]
    if len(states) < 2 and not any(state["dirty"] for state in states):
        return []
    return [
        f"code {state['commit'][:12]}{', with uncommitted changes' if state['dirty'] else ''}: "
        + " ".join(state["runs"])
        for state in states
    ]


def _mean_text(value: Mapping[str, Any], present: int) -> str:
    if value["mean"] is None:
        return MISSING
    mean = _number_text(value["mean"])
    if value["sd"]:
        # As many decimals as two digits of the spread have, in both numbers.
        decimals = max(0, 1 - floor(log10(value["sd"])))
        mean = f"{value['mean']:,.{decimals}f} ± {value['sd']:,.{decimals}f}"
    elif value["sd"] is not None:
        mean += " ± 0"
    # A run that did not measure this metric may not pass for one that did.
    return mean + (f" (n={value['n']})" if value["n"] < present else "")


def _number_text(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= _PLAIN_FROM else f"{value:.{DIGITS}g}"
