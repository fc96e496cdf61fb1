"""Whether rows are enough to be trained on: told when they are imported, not hours later."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

from thunder.ground import wording
from thunder.lanes.asr import scripts
from thunder.lanes.asr.artifacts import SPLITS
from thunder.lanes.asr.data import letters, split, targets
from thunder.lanes.asr.features import layouts

_LAYOUT = layouts.named("log_mel_50hz")  # as many frames have the encoders
_SHOWN_NAMES = 5


@dataclass(frozen=True)
class Shortage:
    """What is said of the rows, and whether a run on them would be refused."""

    lines: list[str]
    is_too_little: bool


def of(rows: Sequence[Mapping[str, Any]], config: Mapping[str, Any]) -> Shortage:
    """Return what rows lack for a config that was composed and would train on them.

    Args:
        rows: of a pairs file that was imported.
    """
    settings = config["split"]
    if settings["rule"] != "random" or "stored" in config["features"]["source"]:
        return Shortage([], is_too_little=False)  # of that the rows alone say nothing
    parts = split.by_row([row["feat_id"] for row in rows], settings)
    if not all(parts.values()):
        fewest = next(n for n in count(len(rows)) if all(_sizes(n, settings)))
        said = (
            f"too little to train on: {wording.count(len(rows), 'row')} would be "
            f"{_counts(parts)}; at least {fewest} are needed "
            f"(split.train={settings['train']:g}, split.valid={settings['valid']:g})"
        )
        return Shortage([said], is_too_little=True)
    return _of_frames(rows, parts, config)


def _of_frames(
    rows: Sequence[Mapping[str, Any]],
    parts: Mapping[str, Sequence[str]],
    config: Mapping[str, Any],
) -> Shortage:
    tight = _tight(rows, config)
    if not tight:
        return Shortage([], is_too_little=False)
    stride = config["model"]["stride"]
    names = ", ".join(tight[:_SHOWN_NAMES]) + " …" * (len(tight) > _SHOWN_NAMES)
    lines = [
        f"{len(tight):,} of {wording.count(len(rows), 'row')} have more letters than frames at "
        f"{_LAYOUT.rate_hz / stride:g} a second (model.stride={stride}), and train nothing: {names}"
    ]
    fit = {name: [each for each in parts[name] if each not in {*tight}] for name in SPLITS}
    is_too_little = not (fit["train"] and fit["valid"])
    if is_too_little:
        lines.append(
            f"too little to train on: those that fit are {_counts(fit)}; are the texts those of "
            "the recordings? If so, use a smaller model.stride"
        )
    return Shortage(lines, is_too_little)


def _tight(rows: Sequence[Mapping[str, Any]], config: Mapping[str, Any]) -> list[str]:
    """Return the ids of rows whose text CTC cannot write in the frames of their sound."""
    form, stride = letters.form(scripts.settled(config)), config["model"]["stride"]
    longest, is_padded = config["features"]["seconds"], config["model"]["lengths"] != "real"
    tight = []
    for row in rows:
        seconds = longest if is_padded else min(row["duration_s"], longest)
        (normal,) = targets.normal([row[config["script"]]], form)
        room = layouts.output_length(_LAYOUT.frames(seconds), stride)
        if targets.frames_needed([*map(ord, normal)]) > room:
            tight.append(row["feat_id"])
    return tight


def _sizes(rows: int, settings: Mapping[str, Any]) -> tuple[int, int, int]:
    first, second = split.cuts(rows, settings)
    return first, second - first, rows - second


def _counts(parts: Mapping[str, Sequence[str]]) -> str:
    return ", ".join(f"{len(parts[name]):,} {name}" for name in SPLITS)
