"""How many rows have which CER: bins of five points, and where they are drawn."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

_POINTS, _LAST = 5, 100
_WIDTH, _HEIGHT, _TOP, _FLOOR = 420.0, 180.0, 20.0, 160.0
_TICKS = (25, 50, 75)
Rates = np.ndarray[Any, np.dtype[np.float64]]


def bins(rates: Rates) -> list[dict[str, Any]]:
    """Return the rows without an error, those of each five points of CER, and those above 100 %.

    A bin has its upper bound and not its lower one: a row at 5 % is in `0 to 5`.
    """
    edges = np.arange(0, _LAST + 1, _POINTS) / 100
    # A rate is a ratio of integers: a hair's breadth keeps 1/20 on its side of 0.05.
    places = np.searchsorted(edges, rates - 1e-12, side="left")
    counts = np.bincount(places, minlength=len(edges) + 1).tolist()
    bounds = [(None, 0), *((low, low + _POINTS) for low in range(0, _LAST, _POINTS)), (_LAST, None)]
    return [
        {"above": low, "to": high, "rows": rows}
        for (low, high), rows in zip(bounds, counts, strict=True)
    ]


def bars(bins: Sequence[Mapping[str, Any]], median: float) -> dict[str, Any]:
    """Return the drawing of bins: bars, ticks and the median, in units of the picture."""
    most = max(row["rows"] for row in bins)
    step = _WIDTH / len(bins)
    drawn = [_bar(row, place * step, step, most) for place, row in enumerate(bins)]
    middle = min(step + median * 100 / _POINTS * step, _WIDTH - step / 2) if median else step / 2
    return {
        "width": _WIDTH,
        "height": _HEIGHT,
        "floor": _FLOOR,
        "bars": drawn,
        "most": most,
        "median": round(middle, 2),
        "anchor": "start" if middle < _WIDTH / 2 else "end",
        "said": "; ".join(bar["said"] for bar in drawn if bar["rows"]),
    }


def _bar(row: Mapping[str, Any], left: float, step: float, most: int) -> dict[str, Any]:
    height = (_FLOOR - _TOP) * row["rows"] / max(most, 1)
    height = max(height, 1.5) if row["rows"] else 0.0  # few are not none
    return {
        "x": round(left + 1, 2),
        "y": round(_FLOOR - height, 2),
        "width": round(step - 2, 2),
        "height": round(height, 2),
        "rows": row["rows"],
        "said": f"{_name(row)}: {row['rows']:,} rows",
        **_tick(row, left),
    }


def _name(row: Mapping[str, Any]) -> str:
    if row["above"] is None:
        return "no error"
    return f"above {_LAST} %" if row["to"] is None else f"{row['above']} to {row['to']} %"


def _tick(row: Mapping[str, Any], left: float) -> dict[str, Any]:
    """Return the word under a bar, kept inside the picture at both of its ends."""
    if row["above"] is None:
        return {"tick": "none", "at": 0.0, "anchor": "start"}
    if row["to"] is None:
        return {"tick": f">{_LAST} %", "at": _WIDTH, "anchor": "end"}
    tick = f"{row['above']} %" if row["above"] in _TICKS else ""
    return {"tick": tick, "at": round(left, 2), "anchor": "middle"}
