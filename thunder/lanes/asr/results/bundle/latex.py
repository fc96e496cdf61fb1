"""One table as LaTeX: a booktabs tabular and its footnotes, to be put into a table environment."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from thunder.lanes.asr.results.bundle import notes, values

_ESCAPES = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_",
    "{": r"\{", "}": r"\}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    "<": "$<$", ">": "$>$", "|": r"\textbar{}", "[": "{[}", "]": "{]}",
    "†": r"\textdagger{}", "‡": r"\textdaggerdbl{}",
    "±": r"$\pm$", "−": "$-$", "–": "--", "—": "---", "…": r"\ldots{}",
    "Δ": r"$\Delta$", "×": r"$\times$", "·": r"$\cdot$", "≤": r"$\leq$", "≥": r"$\geq$",
    "α": r"$\alpha$", "β": r"$\beta$", "λ": r"$\lambda$", "η": r"$\eta$", "→": r"$\to$",
    "‖": r"$\|$", "²": r"\textsuperscript{2}", "§": r"\S{}", "’": "'", "“": "``", "”": "''",
}  # fmt: skip
_SPECIAL = re.compile("|".join(re.escape(char) for char in _ESCAPES))
_NOT_ASCII = re.compile(r"[^\x00-\x7f]")


def render(document: Mapping[str, Any], table: Mapping[str, Any]) -> str:
    """Return a table for a paper; it needs \\usepackage{booktabs}."""
    columns = [column for column in table["columns"] if column["printed"]]
    left_out = [column["key"] for column in table["columns"] if not column["printed"]]
    has_reasons = any(row["reason"] for row in table["rows"])
    places = "".join("r" if values.is_number(column) else "l" for column in columns)
    lines = [
        f"% {escape(document['name'])} {escape(table['name'])}: {escape(table['title'])}",
        "% made by thunder table; do not edit, a check compares it with the runs",
        *([f"% in the CSV as well: {escape(', '.join(left_out))}"] if left_out else []),
        r"% needs \usepackage{booktabs}; many columns: a sidewaystable (package rotating) has room",
        r"{\scriptsize\setlength{\tabcolsep}{3pt}\noindent",
        rf"\begin{{tabular}}{{@{{}}{places}{'l' * has_reasons}@{{}}}}",
        r"\toprule",
        _line([values.title(column) for column in columns] + ["note"] * has_reasons),
        r"\midrule",
    ]
    for row in table["rows"]:
        lines.append(_line([*values.cells(columns, row), *([row["reason"] or ""] * has_reasons)]))
    lines += [r"\bottomrule", r"\end{tabular}}", *_footnotes(notes.of_table(document, table))]
    return "\n".join(lines) + "\n"


def escape(text: str) -> str:
    """Return a text that LaTeX prints as it is; what its fonts lack is shown by code point."""
    escaped = _SPECIAL.sub(lambda match: _ESCAPES[match[0]], text)
    return _NOT_ASCII.sub(lambda match: f"U+{ord(match[0]):04X}", escaped).replace("\n", " ")


def _footnotes(lines: Sequence[str]) -> list[str]:
    if not lines:
        return []
    body = [rf"{escape(line)}\par" for line in lines]
    return [r"\par\smallskip", r"\noindent\begin{minipage}{\linewidth}\footnotesize", *body,
            r"\end{minipage}"]  # fmt: skip


def _line(cells: Sequence[str]) -> str:
    return " & ".join(escape(cell) for cell in cells) + r" \\"
