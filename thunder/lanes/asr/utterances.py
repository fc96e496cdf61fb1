"""The utterances of a split: rows that have features, and whether CTC can write their texts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from thunder.ground.errors import ThunderError
from thunder.lanes.asr import artifacts, row_faults
from thunder.lanes.asr.data import targets
from thunder.lanes.asr.data.targets import Targets
from thunder.lanes.asr.features import layouts
from thunder.lanes.asr.features.store import Store

if TYPE_CHECKING:
    from datasets import Dataset


@dataclass(frozen=True)
class Utterances:
    """One split, in the order of the ids; rows without features are left out and counted."""

    ids: list[str]
    rows: NDArray[np.int64]  # index into the store
    frames: NDArray[np.int64]  # stored frames
    references: list[str]  # NFC text as in the data, or as bridged
    targets: list[list[int]]  # classes of the normalised text
    origins: list[str | None]
    seconds: NDArray[np.float32]
    fits: NDArray[np.bool_]  # has a target, and enough frames for CTC after the stride
    clusters: list[str] | None = None  # of data.cluster; None: every row is on its own


def of_splits(
    rows: "Dataset",
    document: Mapping[str, Any],
    opened: Store,
    texts: Targets,
    config: Mapping[str, Any],
) -> tuple[dict[str, Utterances], dict[str, dict[str, int]]]:
    """Return the utterances of each split, and what of its rows is missing or of no use."""
    place = {name: number for number, name in enumerate(rows["feat_id"])}
    labels = {name: list(rows[name]) for name in ("origin", "cluster")}
    splits, counts = {}, {}
    for name in artifacts.SPLITS:
        ids = document["ids"][name]
        have = [feat_id for feat_id in ids if feat_id in opened.index]
        numbers = [place[feat_id] for feat_id in have]
        splits[name] = _utterances(have, numbers, labels, opened, texts, config)
        empty = sum(not target for target in splits[name].targets)
        counts[name] = {
            "rows": len(ids),
            "missing": len(ids) - len(have),
            "empty": empty,
            "infeasible": int((~splits[name].fits).sum()) - empty,
            "cut": row_faults.count_cut(splits[name], opened),
            "foreign_chars": int(texts.foreign_chars[numbers].sum()),
            "chars": int(texts.chars[numbers].sum()),
        }
    return splits, counts


def _utterances(
    ids: list[str],
    numbers: list[int],
    labels: Mapping[str, list[str | None]],
    opened: Store,
    texts: Targets,
    config: Mapping[str, Any],
) -> Utterances:
    rows = np.array([opened.index[feat_id] for feat_id in ids], np.int64)
    frames = opened.lengths[rows].astype(np.int64)
    classes = [texts.classes[number] for number in numbers]
    return Utterances(
        ids=ids,
        rows=rows,
        frames=frames,
        references=[texts.references[number] for number in numbers],
        targets=classes,
        origins=[labels["origin"][number] for number in numbers],
        seconds=opened.durations[rows],
        fits=_fits(classes, frames, opened, config),
        clusters=_clusters(labels["cluster"], numbers),
    )


def _clusters(named: Sequence[str | None], numbers: Sequence[int]) -> list[str] | None:
    clusters = [name for name in map(named.__getitem__, numbers) if name is not None]
    return clusters or None


def _fits(
    classes: list[list[int]],
    frames: NDArray[np.int64],
    opened: Store,
    config: Mapping[str, Any],
) -> NDArray[np.bool_]:
    """Say of each row whether CTC can write its target in the frames that the model puts out.

    A row without a target does not fit: nothing but blanks would be asked of it, and its loss, of
    a whole row and not of a character, would outweigh all others.
    """
    stride = config["model"]["stride"]
    frames = _counted(frames, opened, config)
    room = {n: layouts.output_length(n, stride) for n in np.unique(frames).tolist()}
    pairs_ = zip(classes, frames.tolist(), strict=True)
    return np.array([0 < targets.frames_needed(target) <= room[n] for target, n in pairs_], bool)


def check_fit(splits: Mapping[str, Utterances], opened: Store, config: Mapping[str, Any]) -> None:
    """Refuse a split without rows, without rows that have room, or with rows too long."""
    model = config["model"]
    for name, utterances in splits.items():
        if not utterances.ids:
            raise ThunderError(f"no row of {name} has features", "data")
        if name != "test" and not utterances.fits.any():
            raise ThunderError(
                f"no row of {name} fits its frames at model.stride {model['stride']}: every text "
                "is longer than what CTC can write; use a smaller stride",
                "data",
            )
    frames = [_counted(utterances.frames, opened, config) for utterances in splits.values()]
    longest = max(int(each.max()) for each in frames)
    after, positions = layouts.output_length(longest, model["stride"]), model["size"]["positions"]
    if after > positions:
        raise ThunderError(
            f"model.size.positions is {positions}, and the longest row has {after} frames after "
            f"the stride of {model['stride']}; use more positions or fewer features.seconds"
        )


def _counted(
    frames: NDArray[np.int64], opened: Store, config: Mapping[str, Any]
) -> NDArray[np.int64]:
    """Return the frames of each row that the model is given."""
    if config["model"]["lengths"] == "real":
        return frames
    window = layouts.named(opened.layout).frames(config["features"]["seconds"])
    return np.full(len(frames), window)
