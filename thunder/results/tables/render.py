"""A table as files: JSON, Markdown for people, CSV for programs."""

from collections.abc import Mapping
from math import floor, log10
from pathlib import Path
from typing import Any

from thunder.ground import csv_text, files, markdown, wording

DIGITS = 4
_PLAIN_FROM = 1000  # above this a number has no decimals, and no exponent
MISSING = "–"


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
    axes = _axes(table)
    head = [*axes, "runs", *table["metrics"], "run ids"]
    lines = [f"# {table['name']}", ""]
    lines += [table["question"], ""] if table["question"] else []
    if any(row["stand_in"] for row in table["rows"]):
        lines += [
            f"{wording.STAND_IN} stand-in model or data: these numbers show that the machinery "
            "works, no more.",
            "",
        ]
    lines += [markdown.row(head), markdown.row(["---"] * len(head))]
    for row in table["rows"]:
        mark = f" {wording.STAND_IN}" if row["stand_in"] else ""
        cells = [str(row["point"].get(axis, MISSING)) for axis in axes]
        cells.append(f"{row['present']}/{row['wanted']}{mark}")
        cells += [_mean_text(row["values"][metric], row["present"]) for metric in table["metrics"]]
        lines.append(markdown.row([*cells, " ".join(row["runs"]) or MISSING]))
    lines += _notes(table)
    missing = [f"- {reason}" for row in table["rows"] for reason in row["missing"]]
    if missing:
        lines += ["", "Missing:", "", *missing]
    return "\n".join(lines) + "\n"


def render_csv(table: Mapping[str, Any]) -> str:
    """Return the table for programs: full precision, one mean, sd and count per metric."""
    axes = _axes(table)
    head = [*axes, "present", "wanted", "stand_in"]
    for metric in table["metrics"]:
        head += [f"{metric}_mean", f"{metric}_sd", f"{metric}_n"]
    rows: list[list[Any]] = [[*head, "runs"]]
    for row in table["rows"]:
        cells = [row["point"].get(axis, "") for axis in axes]
        cells += [row["present"], row["wanted"], row["stand_in"]]
        for metric in table["metrics"]:
            value = row["values"][metric]
            cells += ["" if value[key] is None else value[key] for key in ("mean", "sd", "n")]
        rows.append([*cells, " ".join(row["runs"])])
    return csv_text.render(rows)


def _axes(table: Mapping[str, Any]) -> list[str]:
    return list(dict.fromkeys(axis for row in table["rows"] for axis in row["point"]))


def _notes(table: Mapping[str, Any]) -> list[str]:
    """Return what a reader must know: what ± means, and code that was not committed or not one."""
    notes = []
    if any(value["sd"] is not None for row in table["rows"] for value in row["values"].values()):
        notes.append(f"mean ± sample standard deviation over {table['over']}")
    if len(table["code"]) > 1 or any(state["dirty"] for state in table["code"]):
        for state in table["code"]:
            changed = ", with uncommitted changes" if state["dirty"] else ""
            runs = " ".join(state["runs"])
            notes.append(f"code {state['commit'][:12]}{changed}: {runs}")
    return ["", *(f"- {note}" for note in notes)] if notes else []


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
