"""Everything a run reads, opened and checked together before anything is computed."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from thunder.ground import files
from thunder.ground.errors import ThunderError
from thunder.lanes.asr import artifacts, row_faults, utterances
from thunder.lanes.asr.data import groups, letters, pairs, split, targets, vocabulary
from thunder.lanes.asr.data.folder import data_folder
from thunder.lanes.asr.data.vocabulary import Vocabulary
from thunder.lanes.asr.features import layouts, store
from thunder.lanes.asr.features.store import Store
from thunder.lanes.asr.utterances import Utterances
from thunder.language import spelling
from thunder.training import events
from thunder.training.events import Emit
from thunder.training.progress import beating

if TYPE_CHECKING:
    from datasets import Dataset

SLOWEST_HZ = 12.0  # of frames that CTC sees; below, no row of speech fits


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

    @property
    def form(self) -> spelling.Script:
        """How texts of the script are compared."""
        return letters.form(self.config)


def gather(config: Mapping[str, Any], folder: Path, emit: Emit) -> Material:
    """Return what a run reads, and leave split.json, vocab.json and row_faults.jsonl there.

    Raises:
        ThunderError: data, features, split and model do not belong together; nothing was computed.
    """
    emit(events.phase("prepare", "pairs, split and features"))
    where = data_folder(config, emit)
    with beating(emit):
        return _gathered(config, folder, where, emit)


def _gathered(config: Mapping[str, Any], folder: Path, where: Path, emit: Emit) -> Material:
    rows = pairs.load(where, config["data"], config["split"]["by"])
    snapshot = pairs.snapshot(rows)
    opened = store.open_store(Path(config["runtime"]["paths"]["asr_features"]))
    _check_store(opened, snapshot, config)
    document = _split(rows, snapshot, config, folder, where)
    form = letters.form(config)
    references = targets.references(rows, config["script"], config["text"]["bridge"])
    normal = targets.normal(references, form)
    train = targets.of_ids(normal, rows, document["ids"]["train"])
    words = _vocabulary(config, folder, train)
    texts = targets.make(references, normal, words, config["text"]["most_foreign"])
    if texts.foreign:
        strangers = f"outside the {words.script} vocabulary: {letters.shown(texts.foreign)}"
        emit(events.note(strangers))
    by_id = dict(zip(rows["feat_id"], texts.references, strict=True))
    splits, counts = utterances.of_splits(rows, document, opened, texts, config)
    utterances.check_fit(splits, opened, config)
    row_faults.write(folder, splits, document["ids"], rows["feat_id"], opened)
    return Material(
        config=config,
        vocabulary=words,
        store=opened,
        splits=splits,
        split=document,
        counts=counts,
        digests={"data": snapshot, "split": document["digest"], "features": opened.digest},
        text_disjoint=groups.unseen(document["ids"], by_id, form),
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


def _vocabulary(config: Mapping[str, Any], folder: Path, train: list[str]) -> Vocabulary:
    """Return the classes of this run: written at its first start, read from there ever after."""
    path = folder / artifacts.VOCABULARY
    if not path.exists():
        vocabulary.write(path, vocabulary.of(config, train))
    return vocabulary.load(path)


def _is_stand_in(config: Mapping[str, Any]) -> bool:
    sources = [part["source"] for part in config.values() if _has_source(part)]
    return bool(config["runtime"]["stand_ins"]) or any("recipe" in source for source in sources)


def _has_source(part: object) -> bool:
    return isinstance(part, Mapping) and "source" in part
