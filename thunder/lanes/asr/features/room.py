"""The disk that a feature store takes, by the lengths that the rows of its data set name."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from thunder.ground import files, input_files
from thunder.ground.kind import Room
from thunder.lanes.asr.data import pairs
from thunder.lanes.asr.features import layouts

_LAYOUT = layouts.named("log_mel_50hz")  # as many frames have the encoders
_BYTES = 2  # of a number of a frame
_NO_MEMORY = "no run has measured it"


def of(config: Mapping[str, Any]) -> Room:
    """Return what making the features of a data set takes of a machine."""
    width, why = _width(config)
    seconds, lacks = _seconds(config) if width else ([], "")
    if not width or lacks:
        return Room(None, None, {"memory": _NO_MEMORY, "disk": why or lacks})
    frames = sum(map(_LAYOUT.frames, seconds))
    return Room(None, frames * width * _BYTES, {"memory": _NO_MEMORY})


def _width(config: Mapping[str, Any]) -> tuple[int, str]:
    """Return how many numbers a frame has; 0 and why, where nobody can know before."""
    source, paths = config["features"]["source"], config["runtime"]["paths"]
    if "log_mel" in source:
        return layouts.STACKED * int(source["log_mel"]), ""
    if "stored" in source:
        return 0, "the files of stored features say how wide they are"
    if "features" not in paths:
        return 0, "its encoder is a stand-in that is built when the run needs it"
    try:
        return int(files.read_json(Path(paths["features"]) / input_files.CONFIG)["d_model"]), ""
    except (OSError, ValueError, KeyError, TypeError):  # told when it is loaded
        return 0, "its encoder does not say how wide its frames are"


def _seconds(config: Mapping[str, Any]) -> tuple[list[float], str]:
    """Return how long each row is, as it will be cut; or why that is not known."""
    if "data" not in config["runtime"]["paths"]:
        return [], "its data set is a stand-in that is built when the run needs it"
    longest = float(config["features"]["seconds"])
    rows = pairs.load(Path(config["runtime"]["paths"]["data"]), config["data"])["duration_s"]
    if silent := sum(seconds is None for seconds in rows):
        return [], f"{silent} of {len(rows)} rows do not say how long they are (duration_s)"
    return [min(seconds, longest) for seconds in rows], ""
