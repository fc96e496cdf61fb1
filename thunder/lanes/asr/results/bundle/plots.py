"""Plots of a bundle with matplotlib's objects: no global state, the same bytes every time."""

import io
import textwrap
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import matplotlib
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from thunder.ground.wording import STAND_IN
from thunder.lanes.asr.results.bundle import figures, partitions, seal

_DPI = 150
_WIDTH = 8.0  # inches
_LETTERS = 120  # of a legend that fit into it, about
# Okabe and Ito's colours, told apart with any colour vision; markers say the same again.
_COLOURS = {
    "baseline": "#0072B2", "trajectory": "#D55E00", "tar": "#009E73", "trajectory_ttt": "#CC79A7",
}  # fmt: skip
_MARKERS = {"baseline": "o", "trajectory": "s", "tar": "^", "trajectory_ttt": "D"}
_SPARE_COLOUR, _SPARE_MARKER = "#000000", "v"
_QUIET = "#666666"
_STYLE = {
    "svg.hashsalt": "thunder", "svg.fonttype": "path", "font.family": "DejaVu Sans",
    "font.size": 9.5, "axes.spines.top": False, "axes.spines.right": False,
    "axes.titlesize": 10.5, "axes.titlelocation": "left", "legend.frameon": False,
    "path.simplify": False, "text.usetex": False,
}  # fmt: skip


def render(figure: Mapping[str, Any], kind: str) -> bytes:
    """Return a figure as a PNG or SVG that carries the digest of what it shows.

    Args:
        kind: png or svg.
    """
    shows = figures.digest_of(figure)
    with matplotlib.rc_context(_STYLE):  # restored at once: nothing of it stays behind
        drawn = _DRAW[figure["name"]](_shaded(figure["series"]))
        drawn.suptitle(_title(figure), x=0.01, ha="left", fontsize=12, fontweight="bold")
        FigureCanvasAgg(drawn)
        stream = io.BytesIO()
        if kind == "png":
            drawn.savefig(stream, format="png", metadata={"Software": None})
            return seal.sealed_png(stream.getvalue(), shows)
        drawn.savefig(stream, format="svg", metadata={**seal.metadata(shows), "Date": None})
        return seal.sealed_svg(stream.getvalue().decode("utf-8"))


def _title(figure: Mapping[str, Any]) -> str:
    mark = f" · {STAND_IN} stand-in: shows the machinery, no result" if figure["stand_in"] else ""
    return f"{figure['title']}{mark}"


def _shaded(series: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return series with a shade each: of cells that look alike, as seeds do, later are lighter.

    One script is filled, N'Ko or else the first; the others are hollow.
    """
    seen: dict[tuple[str, str], int] = {}
    scripts = [one["script"] for one in series]
    filled = "nko" if "nko" in scripts else next(iter(scripts), None)
    shaded = []
    for one in series:
        look = (one["script"], one["mode"])
        shade = max(0.3, 1 - 0.3 * seen.get(look, 0))
        shaded.append({**one, "filled": one["script"] == filled, "shade": shade})
        seen[look] = seen.get(look, 0) + 1
    return shaded


def _cer(series: Sequence[Mapping[str, Any]]) -> Figure:
    """Draw the CER of each cell with its interval, one line per cell."""
    drawn = _figure(1.5 + 0.34 * len(series))
    axes = drawn.subplots()
    for place, one in enumerate(series):
        if one["cer"] is None:
            reason = one["reason"] or "no run"
            axes.text(0.01, place, reason, transform=axes.get_yaxis_transform(), va="center",
                      color=_QUIET, style="italic")  # fmt: skip
            continue
        value = 100 * one["cer"]
        errors = [[value - 100 * one["interval"][0]], [100 * one["interval"][1] - value]]
        axes.errorbar([value], [place], xerr=errors, **_look(one), capsize=3)
        axes.annotate(f"{value:.2f}", (value, place), xytext=(0, 6), textcoords="offset points",
                      ha="center", fontsize=8)  # fmt: skip
    axes.set_yticks(range(len(series)), [_label(one) for one in series])
    axes.set_ylim(len(series) - 0.4, -0.8)
    axes.set_xlabel("CER % (micro, normalised; 95 % bootstrap interval)")
    axes.grid(axis="x", color="#dddddd", linewidth=0.6)
    axes.margins(x=0.12)
    if all(one["cer"] is None for one in series):
        axes.set_xlim(0, 100)
    return drawn


def _curves(series: Sequence[Mapping[str, Any]]) -> Figure:
    """Draw validation loss and CER by epoch; a mark is the best epoch."""
    shown = [one for one in series if one["points"]]
    drawn = _figure(3.6 + 0.2 * _legend_lines(series))
    panels = drawn.subplots(1, 2)
    titles = (("valid_loss", "validation loss", 1), ("valid_cer", "validation CER %", 100))
    for axes, (key, title, factor) in zip(panels, titles, strict=True):
        for one in shown:
            points = [point for point in one["points"] if point[key] is not None]
            epochs = [point["epoch"] for point in points]
            values = [factor * point[key] for point in points]
            style = "-" if one["filled"] else "--"
            best = [i for i, epoch in enumerate(epochs) if epoch == one["best_epoch"]]
            look = _look(one) | {"linestyle": style, "markevery": best, "linewidth": 1.3}
            axes.plot(epochs, values, label=_label(one), **look)
        axes.set_title(f"{title} (mark: best epoch)")
        axes.set_xlabel("epoch")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(color="#dddddd", linewidth=0.6)
    _legend(drawn, panels[0], series)
    return drawn


def _partitions(series: Sequence[Mapping[str, Any]]) -> Figure:
    """Draw the CER of each partition, and below it the share of rows, side by side per cell."""
    shown = [one for one in series if one["points"]]
    names = list(dict.fromkeys(p["partition"] for one in shown for p in one["points"]))
    drawn = _figure(4.8 + 0.2 * _legend_lines(series))
    upper, lower = drawn.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    step = 0.8 / max(1, len(shown))
    for number, one in enumerate(shown):
        points = [point for point in one["points"] if point["cer"] is not None]
        shift = (number - (len(shown) - 1) / 2) * step
        places = [names.index(point["partition"]) + shift for point in points]
        values = [100 * point["cer"] for point in points]
        errors = [_reach(point) for point in points]
        upper.errorbar(places, values, yerr=list(zip(*errors, strict=True)) or None,
                       **_look(one), capsize=2, label=_label(one))  # fmt: skip
        shares = [100 * point["share"] for point in points]
        parts = [i for i, point in enumerate(points) if point["partition"] != partitions.ALL]
        lower.bar([places[i] for i in parts], [shares[i] for i in parts], width=0.85 * step,
                  color=_look(one)["markerfacecolor"], edgecolor=_colour(one),
                  alpha=one["shade"])  # fmt: skip
    upper.set_ylabel("CER % (95 % interval)")
    upper.set_ylim(bottom=0)
    lower.set_ylabel("share of rows %")
    lower.set_ylim(0, 100)
    lower.set_xticks(range(len(names)), names)
    for axes in (upper, lower):
        axes.grid(axis="y", color="#dddddd", linewidth=0.6)
        axes.set_axisbelow(True)
        for place in range(1, len(names)):
            axes.axvline(place - 0.5, color="#dddddd", linewidth=0.6)
    _legend(drawn, upper, series)
    return drawn


_DRAW: Mapping[str, Callable[[Sequence[Mapping[str, Any]]], Figure]] = {
    figures.CER: _cer,
    figures.CURVES: _curves,
    figures.PARTITIONS: _partitions,
}


def _figure(height: float) -> Figure:
    return Figure(figsize=(_WIDTH, height), dpi=_DPI, layout="constrained")


def _look(one: Mapping[str, Any]) -> dict[str, Any]:
    """Return how a cell is marked: colour and form by mode, filled for one script alone."""
    colour = _colour(one)
    fill = colour if one["filled"] else "white"
    marker = _MARKERS.get(one["mode"], _SPARE_MARKER)
    return {"color": colour, "marker": marker, "markerfacecolor": fill, "linestyle": "none",
            "alpha": one["shade"]}  # fmt: skip


def _colour(one: Mapping[str, Any]) -> str:
    return _COLOURS.get(one["mode"], _SPARE_COLOUR)


def _label(one: Mapping[str, Any]) -> str:
    return f"{one['label']} {STAND_IN}" if one["stand_in"] else str(one["label"])


def _reach(point: Mapping[str, Any]) -> tuple[float, float]:
    low, high = point["interval"] or (point["cer"], point["cer"])
    return 100 * max(0.0, point["cer"] - low), 100 * max(0.0, high - point["cer"])


def _legend_columns(series: Sequence[Mapping[str, Any]]) -> int:
    longest = max(len(_label(one)) for one in series)
    return max(1, min(4, _LETTERS // (longest + 8)))  # eight for the mark and the gap


def _legend_lines(series: Sequence[Mapping[str, Any]]) -> int:
    shown = sum(bool(one["points"]) for one in series)
    return -(-shown // _legend_columns(series)) + (shown < len(series))


def _legend(drawn: Figure, axes: Any, series: Sequence[Mapping[str, Any]]) -> None:
    """Put the legend below, and above it what is not there."""
    handles, labels = axes.get_legend_handles_labels()
    absent = [
        f"{_label(one)} ({one['reason'] or 'nothing'})" for one in series if not one["points"]
    ]
    not_shown = textwrap.fill("not shown: " + "; ".join(absent), _LETTERS) if absent else None
    if not handles:
        axes.text(0.5, 0.5, "no run yet", transform=axes.transAxes, ha="center", color=_QUIET)
        return
    drawn.legend(handles, labels, loc="outside lower center", ncols=_legend_columns(series),
                 fontsize=8.5, title=not_shown, title_fontproperties={"size": 7.5},
                 alignment="left")  # fmt: skip
