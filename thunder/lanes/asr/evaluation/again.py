"""The model of a run that is done, decoded again: are its dumps what it says?

Whoever changes a hypothesis, and all numbers and digests after it, leaves a run whose files agree
with each other; the weights do not agree with them.
"""

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from thunder.backends.torch import machine
from thunder.ground import schema, wording
from thunder.ground.errors import ThunderError
from thunder.lanes.asr import artifacts
from thunder.lanes.asr.data import folder as data_folders
from thunder.lanes.asr.data import targets
from thunder.lanes.asr.evaluation import adaptation, decode, dumps, recognised
from thunder.lanes.asr.evaluation.adaptation import Pass
from thunder.lanes.asr.evaluation.recognised import Recogniser
from thunder.lanes.asr.material import Material, gather
from thunder.lanes.asr.training import batches, epoch, state
from thunder.training import events
from thunder.training.events import Emit

# How much less probable than what is decoded here a text may be, that was decoded elsewhere: nats
# of its best path, which is a sum over frames that another machine rounds in another way.
NEAR = {"float32": 0.01, "bfloat16": 0.5}
MOST_NEAR = 100  # rows of a pass that are looked at so closely
_TEXTS = ("asr_text", "reference_text")
_SHOWN = 5


@dataclass(frozen=True)
class _Difference:
    """A row whose text is another one in the dump."""

    feat_id: str
    key: str
    dumped: str | None
    decoded: str | None

    @property
    def said(self) -> str:
        where = "decoded" if self.key == "asr_text" else "in the data"
        return f"{self.feat_id} {self.key}: {self.dumped!r} in the dump, {self.decoded!r} {where}"


def check(
    config: Mapping[str, Any], folder: Path, backend: Mapping[str, Any], emit: Emit
) -> dict[str, Any]:
    """Decode valid and test again, in every pass but SUTA, and compare texts row by row.

    Returns:
        backend: what it was decoded with. faults: dumps with another text, and its first rows.
        near: the same of rows whose text is nearly as probable as what is decoded; on a machine
        like that of the run there is no reason for such a row. said: what was compared.

    Args:
        config: of the run; its runtime says where data and features lie now.
        backend: what the run was decoded with, as its record says.

    Raises:
        ThunderError: data, features or model are missing, or not those of the run.
    """
    results = schema.read("asr_results", folder / artifacts.RESULTS)
    material = _gathered(config, folder, emit)
    chosen = machine.choose(config, threads=backend.get("threads"))
    chosen = replace(chosen, precision=results["precision"])
    machine.prepare(chosen)
    model = state.load_best(folder, material, results["best_epoch"]).to(chosen.device)
    recogniser = Recogniser(material, model, chosen, folder.name.partition(".")[0])
    found: dict[str, Any] = {"backend": machine.described(chosen), "faults": [], "near": []}
    rows, decoded = 0, []
    with machine.memory():
        for split, pass_ in _passes(config, folder):
            name = artifacts.predictions(split, pass_.suffix)
            decoded.append(f"{split}{pass_.suffix}")
            emit(events.note(f"decoding for {name}"))
            count, far, near = _compared(recogniser, folder / name, split, pass_)
            rows += count
            found["faults"] += _said(name, count, far)
            found["near"] += _said(name, count, near, ", nearly as probable")
    said = f"{wording.count(rows, 'row')} of {', '.join(decoded)} decoded again"
    has_suta = config["evaluate"]["suta"]["rows"]
    return {**found, "said": said + (", suta not: it trains on every row" if has_suta else "")}


def _gathered(config: Mapping[str, Any], folder: Path, emit: Emit) -> Material:
    """Return what the run read, without a trace in its folder or beside it."""
    data = data_folders.place(config)
    if not data.is_dir():
        raise ThunderError(f"the data of the run are not at {data}", "data")
    with tempfile.TemporaryDirectory() as copies:
        for name in (artifacts.SPLIT, artifacts.VOCABULARY):
            shutil.copyfile(folder / name, Path(copies) / name)
        return gather(config, Path(copies), emit)


def _passes(config: Mapping[str, Any], folder: Path) -> list[tuple[str, Pass]]:
    """Return the passes that a run has dumps of; an earlier run may have fewer."""
    main = adaptation.main(config["mode"])
    by_split = {
        "valid": (main, *adaptation.of_valid(config["mode"])),
        "test": (main, *adaptation.others(config["mode"], 0)),
    }
    return [
        (split, pass_)
        for split, passes in by_split.items()
        for pass_ in passes
        if pass_ is main or (folder / artifacts.predictions(split, pass_.suffix)).is_file()
    ]


def _compared(
    recogniser: Recogniser, path: Path, split: str, pass_: Pass
) -> tuple[int, list[_Difference], list[_Difference]]:
    """Return how many rows were decoded, and those that differ: by much, by next to nothing."""
    written = {row["feat_id"]: [row[key] for key in _TEXTS] for row in dumps.read(path)}
    count, far, near = 0, list[_Difference](), list[_Difference]()
    for row in recognised.of_split(recogniser, split, pass_):
        count += 1
        dumped = written.pop(row["feat_id"], [None, None])
        for difference in _differences(row, dumped):
            is_near = len(near) < MOST_NEAR and _is_near(recogniser, split, pass_, difference)
            (near if is_near else far).append(difference)
    far += [_Difference(name, "asr_text", texts[0], None) for name, texts in written.items()]
    return count, far, near


def _differences(row: Mapping[str, Any], dumped: list[Any]) -> Iterator[_Difference]:
    for key, text in zip(_TEXTS, dumped, strict=True):
        if row[key] != text:
            yield _Difference(row["feat_id"], key, text, row[key])


def _is_near(recogniser: Recogniser, split: str, pass_: Pass, difference: _Difference) -> bool:
    """Say whether the dumped text is as good as the decoded one, but for how sums are rounded."""
    if difference.key != "asr_text" or difference.dumped is None or difference.decoded is None:
        return False
    material, utterances = recogniser.material, recogniser.material.splits[split]
    rows = np.array([utterances.ids.index(difference.feat_id)])
    batch = batches.collate(material.store, utterances, rows, epoch.window(material))
    output = recognised.output_of(recogniser, pass_, batch)
    log_probs = output.log_probs[0, : int(output.lengths[0])].float().cpu().numpy()
    best, other = (
        _log_probability(recogniser, log_probs, text)
        for text in (difference.decoded, difference.dumped)
    )
    return best - other <= NEAR.get(recogniser.machine.precision, NEAR["bfloat16"])


def _log_probability(recogniser: Recogniser, log_probs: np.ndarray, text: str) -> float:
    """Return the log probability of the best path that spells a text, in nats."""
    vocabulary = recogniser.material.vocabulary
    classes, foreign = vocabulary.encode(text)
    if foreign or targets.frames_needed(classes) > len(log_probs):
        return -np.inf
    path = np.full(len(log_probs), vocabulary.blank)
    spans = decode.aligned(log_probs, classes, vocabulary.blank)
    for (first, end), one in zip(spans, classes, strict=True):
        path[first:end] = one
    return float(log_probs[np.arange(len(path)), path].sum())


def _said(name: str, rows: int, differences: list[_Difference], how: str = "") -> list[str]:
    """Return a sentence on a dump, and its first rows."""
    if not differences:
        return []
    names = {one.feat_id for one in differences}
    shown = [f"  {one.said}" for one in differences[:_SHOWN]]
    return [f"{name}: {len(names):,} of {rows:,} rows have another text{how}", *shown]
