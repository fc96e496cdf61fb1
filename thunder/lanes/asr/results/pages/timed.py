"""Where in time a model heard each letter: the frames of its characters, as shares of a line."""

from collections.abc import Mapping
from itertools import accumulate
from typing import Any

from thunder.lanes.asr.features import layouts
from thunder.language import spelling


def frame_seconds(results: Mapping[str, Any]) -> float:
    """Return how long one frame of a model's output is."""
    return float(results["stride"] / layouts.named(results["feature_layout"]).rate_hz)


def letters(row: Mapping[str, Any], frame: float, seconds: float) -> dict[str, Any]:
    """Return the letters of a row of predictions, each with its marks, on a line of time.

    Args:
        frame: seconds of one.
        seconds: of the sound; the line is longer where a model wrote into the silence after it.
    """
    spans = [(first * frame, end * frame) for first, end in row["char_frames"]]
    line = max([seconds, *(end for _, end in spans)])
    clusters = spelling.clusters(row["asr_text"])
    ends = list(accumulate(map(len, clusters)))
    places = zip(clusters, [0, *ends], ends, strict=False)
    shown = [_letter(text, spans[a:b], row["char_conf"][a:b], line) for text, a, b in places]
    return {
        "line": line,
        "share": seconds / line,
        "letters": shown,
        "ticks": [{"second": second, "at": second / line} for second in range(int(line) + 1)],
    }


def _letter(
    text: str, spans: list[tuple[float, float]], confidences: list[float], line: float
) -> dict[str, Any]:
    first, end = min(start for start, _ in spans), max(end for _, end in spans)
    said = f"{first:.2f} to {end:.2f} s, confidence {min(confidences):.2f}"
    return {"text": text, "at": first / line, "share": (end - first) / line, "said": said}
