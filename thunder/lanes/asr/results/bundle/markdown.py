"""All tables of a bundle on one page of Markdown, the question on top."""

from collections.abc import Mapping, Sequence
from typing import Any

from thunder.ground import markdown
from thunder.lanes.asr.results.bundle import notes, values


def render(document: Mapping[str, Any]) -> str:
    """Return the page."""
    blocks = [f"# {document['name']}"]
    blocks += [document["question"]] if document["question"] else []
    blocks += [notes.STAND_IN_NOTE] if document["stand_in"] else []
    blocks.append(_completeness(document))
    blocks += [line for line in [notes.inputs(document)] if line]
    for table in document["tables"]:
        blocks += [f"## {_heading(table)}", _table(table)]
        told = [*(f"**{caveat}**" for caveat in table["caveats"]), *table["notes"]]
        blocks += [_list(told)] if told else []
    blocks.append("## Plots")
    for figure in document["figures"]:
        place = f"{document['name']}/plots/{figure['name']}"
        blocks.append(f"[![{figure['title']}]({place}.png)]({place}.svg)")
    if meant := notes.definitions(document):
        blocks += ["## What the words mean in these runs", _list(meant)]
    if warned := notes.warnings(document):
        blocks += ["## What the runs warn of", _list(warned)]
    if states := notes.code(document):
        blocks += ["## Code", _list(states)]
    return "\n\n".join(blocks) + "\n"


def _heading(table: Mapping[str, Any]) -> str:
    return f"{table['name'].partition('_')[0]} {table['title']}"


def _completeness(document: Mapping[str, Any]) -> str:
    first, *missing = notes.completeness(document)
    return "\n\n".join([first, _list(missing)]) if missing else first


def _table(table: Mapping[str, Any]) -> str:
    columns = table["columns"]
    has_reasons = any(row["reason"] for row in table["rows"])
    head = [values.title(column) for column in columns] + ["note"] * has_reasons
    rule = ["---:" if values.is_number(column) else "---" for column in columns]
    lines = [markdown.row(head), markdown.row(rule + ["---"] * has_reasons)]
    for row in table["rows"]:
        cells = values.cells(columns, row) + [row["reason"] or ""] * has_reasons
        lines.append(
            markdown.row([_bold(cell) if row["kind"] == "mean" else cell for cell in cells])
        )
    return "\n".join(lines)


def _bold(cell: str) -> str:
    return f"**{cell}**" if cell and cell != values.MISSING else cell


def _list(lines: Sequence[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)
