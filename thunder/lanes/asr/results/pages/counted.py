"""What an error page counts over all rows of test, not those alone that it shows."""

from collections import Counter
from typing import Any

import numpy as np

from thunder.lanes.asr.labels import LABELS
from thunder.lanes.asr.results.pages.scored import Scored
from thunder.scoring import edits, intervals, summary
from thunder.scoring.score import grouped

_MOST_CONFUSIONS = 40
KINDS = (
    ("substitute", "substitution", "≠", "another letter"),
    ("insert", "insertion", "+", "a letter too many"),
    ("delete", "deletion", "−", "a letter left out"),
)


def cer(scored: Scored) -> dict[str, Any]:
    """Return the error rates, and the interval of the micro CER."""
    rates = summary(scored.counts)
    units = grouped(scored.counts, scored.dump.clusters)
    low, high = intervals.bootstrap(units)
    return {
        "micro": rates["cer_micro"],
        "low": low,
        "high": high,
        "units": len(units.edits),
        "few": len(units.edits) < intervals.FEWEST,
        "macro": rates["cer_macro"],
        "median": rates["cer_median"],
        "rows": rates["rows"],
        "edits": rates["edits"],
        "ref_chars": rates["ref_chars"],
        "exact": rates["exact"],
    }


def partitions(scored: Scored) -> list[dict[str, Any]]:
    """Return rows, error rate and share of all edits of each label."""
    labels = np.array(scored.dump.partitions)
    total = max(int(scored.counts.edits.sum()), 1)
    rows = []
    for name in LABELS:
        is_here = labels == name
        wrong, chars = (int(n[is_here].sum()) for n in (scored.counts.edits, scored.counts.chars))
        rows.append(
            {
                "name": name,
                "rows": int(is_here.sum()),
                "share": float(is_here.mean()),
                "cer_micro": wrong / chars if chars else None,
                "share_of_edits": wrong / total,
            }
        )
    return [row for row in rows if row["rows"]]


def kinds(scored: Scored) -> dict[str, Any]:
    """Return kinds of edits, and which letters are most often taken for which."""
    counted: Counter[str] = Counter()
    confusions: Counter[tuple[str, str]] = Counter()
    for index in np.flatnonzero(scored.counts.edits).tolist():
        alignment = scored.alignment(index)
        counted.update(edits.totals([alignment]))
        confusions.update((one, other) for op, one, other in alignment if op == "substitute")
    total = max(sum(counted[name] for name, *_ in KINDS), 1)
    most = sorted(confusions.items(), key=lambda item: (-item[1], item[0]))[:_MOST_CONFUSIONS]
    return {
        "kinds": [
            {"name": name, "mark": mark, "title": title, "count": counted[name],
             "share": counted[name] / total}
            for name, _, mark, title in KINDS
        ],
        "confusions": [
            {"reference": one, "hypothesis": other, "count": count, "share": count / total}
            for (one, other), count in most
        ],
    }  # fmt: skip
