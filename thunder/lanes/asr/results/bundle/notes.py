"""What a reader of any rendering must know: stand-ins, completeness, inputs, meanings, code."""

from collections.abc import Mapping
from typing import Any

from thunder.ground import wording
from thunder.lanes.asr.results.bundle import adaptation
from thunder.results.tables.render import code as code

_MEANT = {"trajectory": "trajectory", "tar": "TAR (mode tar)", "ttt": "TTT", "suta": "SUTA"}
STAND_IN_NOTE = (
    f"{wording.STAND_IN} stand-in model, data or features: these numbers show that the "
    "machinery works, no more."
)


def completeness(document: Mapping[str, Any]) -> list[str]:
    """Return how many cells there are and whether all required ones, then every missing one."""
    cells = document["cells"]
    done = sum(cell["run"] is not None for cell in cells)
    required = sum(cell["run"] is None and not cell["optional"] for cell in cells)
    ending = (
        f"incomplete: {wording.count(required, 'required cell')} without a run."
        if required
        else "complete: every required cell has a run."
    )
    missing = [
        f"{cell['label'] or 'the one cell'} ({cell['id']}): {cell['reason']}"
        for cell in cells
        if cell["reason"]
    ]
    return [f"{done} of {len(cells)} cells; {ending}", *missing]


def inputs(document: Mapping[str, Any]) -> str | None:
    """Return what all runs read."""
    digests = document["inputs"]
    if digests is None:
        return None
    listed = ", ".join(f"{name} sha256 {digests[name]}" for name in sorted(digests))
    return f"All runs read the same: {listed}."


def definitions(document: Mapping[str, Any], *, has_suta: bool = True) -> list[str]:
    """Return what the runs mean by their modes, so that no acronym passes for another's method."""
    shown = [one for one in document["definitions"] if has_suta or one["word"] != "suta"]
    words = [one["word"] for one in shown]
    return [
        f"{_MEANT[one['word']]}: {one['meaning']}"
        + (f" (runs {' '.join(one['runs'])})" if words.count(one["word"]) > 1 else "")
        for one in shown
    ]


def warnings(document: Mapping[str, Any]) -> list[str]:
    """Return what the runs warn of themselves; one warning of many runs is told once."""
    by_warning: dict[str, list[str]] = {}
    for entry in document["warnings"]:
        by_warning.setdefault(entry["text"], []).append(entry["run"])
    return [f"{warning} ({' '.join(runs)})" for warning, runs in by_warning.items()]


def of_table(document: Mapping[str, Any], table: Mapping[str, Any]) -> list[str]:
    """Return the footnotes of one table that stands alone, as in a paper."""
    marked = [STAND_IN_NOTE] if any(row["stand_in"] for row in table["rows"]) else []
    meant = definitions(document, has_suta=table["name"] == adaptation.NAME)
    return [*marked, *caveats(document, table), *table["notes"], *meant]


def caveats(document: Mapping[str, Any], table: Mapping[str, Any]) -> list[str]:
    """Return what changes the meaning of the numbers of one table, whatever shows them."""
    return [*table["caveats"], *warnings(document), *code(document)]
