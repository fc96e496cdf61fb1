"""Everything a run reads, opened and checked together before anything is computed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from thunder.ground import files
from thunder.ground.errors import ThunderError
from thunder.lanes.asr import artifacts
from thunder.lanes.asr.data import groups, pairs, split, targets, vocabulary
from thunder.lanes.asr.data.folder import data_folder
from thunder.lanes.asr.data.targets import Targets
from thunder.lanes.asr.data.vocabulary import Vocabulary
from thunder.lanes.asr.features import layouts, store
from thunder.lanes.asr.features.store import Store
from thunder.lanes.asr.model import ctc
from thunder.training import events
from thunder.training.events import Emit
from thunder.training.progress import beating

if TYPE_CHECKING:
    from datasets import Dataset

SLOWEST_HZ = 12.0  # of frames that CTC sees; below, no row of speech fits


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


@dataclass(frozen=True)
class Material:
    """All that training and evaluation read."""

    config: Mapping[str, Any]
    vocabulary: Vocabulary
    store: Store
    splits: dict[str, Utterances]  # train, valid, test
    split: dict[str, Any]  # the document of split.json
    counts: dict[str, dict[str, int]]  # by split, see schemas/asr_results.json
    digests: dict[str, str]  # data, split, features
    text_disjoint: frozenset[str]  # ids of valid and test rows whose text train does not have
    bridge_version: str  # of the bridge that wrote the references; none
    stand_in: bool


def gather(config: Mapping[str, Any], folder: Path, emit: Emit) -> Material:
    """Return what a run reads, and leave split.json and vocab.json in its folder.

    Raises:
        ThunderError: data, features, split and model do not belong together; nothing was computed.
    """
    emit(events.phase("prepare", "pairs, split and features"))
    where = data_folder(config, emit)
    with beating(emit):
        return _gathered(config, folder, where)


def _gathered(config: Mapping[str, Any], folder: Path, where: Path) -> Material:
    rows = pairs.load(where, config["data"], config["split"]["by"])
    snapshot = pairs.snapshot(rows)
    opened = store.open_store(Path(config["runtime"]["paths"]["asr_features"]))
    _check_store(opened, snapshot, config)
    document = _split(rows, snapshot, config, folder, where)
    letters = _vocabulary(config, folder)
    texts = targets.make(rows, config["script"], config["text"], letters)
    references = dict(zip(rows["feat_id"], texts.references, strict=True))
    splits, counts = _splits(rows, document, opened, texts, config)
    _check_fit(splits, opened, config)
    return Material(
        config=config,
        vocabulary=letters,
        store=opened,
        splits=splits,
        split=document,
        counts=counts,
        digests={"data": snapshot, "split": document["digest"], "features": opened.digest},
        text_disjoint=groups.unseen(document["ids"], references, config["script"]),
        bridge_version=targets.bridge_version(config, where),
        stand_in=_is_stand_in(config),
    )


def _check_store(opened: Store, snapshot: str, config: Mapping[str, Any]) -> None:
    made_of, stride = opened.manifest["snapshot_sha256"], config["model"]["stride"]
    if made_of != snapshot:
        raise ThunderError(
            f"the features were made from the rows {made_of[:12]}…, the pairs are {snapshot[:12]}… "
            "now: the data changed; run the features again",
            "data",
        )
    layouts.check_stride(opened.layout, stride)
    rate = opened.rate_hz / stride
    if rate < SLOWEST_HZ:
        raise ThunderError(
            f"model.stride {stride} leaves {rate:g} frames a second of {opened.rate_hz:g}; "
            f"speech needs at least {SLOWEST_HZ:g}"
        )


def _split(
    rows: "Dataset", snapshot: str, config: Mapping[str, Any], folder: Path, where: Path
) -> dict[str, Any]:
    """Return the split of this run: made at its first start, read and checked ever after."""
    path = folder / artifacts.SPLIT
    if not path.exists():
        files.write_json(path, split.make(rows, config["split"], where))
    document = split.load(path)
    if document["snapshot"] != snapshot:
        raise ThunderError(
            f"{path} was made of other rows ({document['snapshot'][:12]}…, now {snapshot[:12]}…); "
            "the data changed: start a run of its own",
            "data",
        )
    split.check(document, None if config["split"]["rule"] == "given" else rows["feat_id"])
    return document


def _vocabulary(config: Mapping[str, Any], folder: Path) -> Vocabulary:
    """Return the classes of this run: written at its first start, read from there ever after."""
    path = folder / artifacts.VOCABULARY
    if not path.exists():
        vocabulary.write(path, vocabulary.make(config["script"]))
    return vocabulary.load(path)


def _splits(
    rows: "Dataset",
    document: Mapping[str, Any],
    opened: Store,
    texts: Targets,
    config: Mapping[str, Any],
) -> tuple[dict[str, Utterances], dict[str, dict[str, int]]]:
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
    room = {n: ctc.output_length(n, stride) for n in np.unique(frames).tolist()}
    pairs_ = zip(classes, frames.tolist(), strict=True)
    return np.array([0 < targets.frames_needed(target) <= room[n] for target, n in pairs_], bool)


def _check_fit(splits: Mapping[str, Utterances], opened: Store, config: Mapping[str, Any]) -> None:
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
    after, positions = ctc.output_length(longest, model["stride"]), model["size"]["positions"]
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


def _is_stand_in(config: Mapping[str, Any]) -> bool:
    sources = [part["source"] for part in config.values() if _has_source(part)]
    return bool(config["runtime"]["stand_ins"]) or any("recipe" in source for source in sources)


def _has_source(part: object) -> bool:
    return isinstance(part, Mapping) and "source" in part
