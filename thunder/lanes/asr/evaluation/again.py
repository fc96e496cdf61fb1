"""The model of a run that is done, decoded again: are its dumps what it says?

Whoever changes a hypothesis, and all numbers and digests after it, leaves a run whose files agree
with each other; the weights do not agree with them.
"""

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
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
MOST_LOOKS = 100  # differences of a pass that are looked at so closely: each costs a forward pass
_TEXTS = ("asr_text", "reference_text")
_SHOWN = 5


@dataclass
class _Compared:
    """How many rows of a pass were decoded, and those that differ, by what is known of them."""

    rows: int = 0
    far: list["_Difference"] = field(default_factory=list)
    near: list["_Difference"] = field(default_factory=list)
    not_looked_at: list["_Difference"] = field(default_factory=list)


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

    @property
    def may_be_rounding(self) -> bool:
        """Whether both are texts that were decoded."""
        texts = (self.dumped, self.decoded)
        return self.key == "asr_text" and None not in texts


def check(
    config: Mapping[str, Any], folder: Path, backend: Mapping[str, Any], emit: Emit
) -> dict[str, Any]:
    """Decode valid and test again, in every pass but SUTA, and compare texts row by row.

    Returns:
        backend: what it was decoded with. faults: dumps with another text, and its first rows.
        near: the same of rows whose text is nearly as probable as what is decoded; on a machine
        like that of the run there is no reason for such a row. not_looked_at: the same of rows
        after the first MOST_LOOKS, which may be either. said: what was compared.

    Args:
        config: of the run; its runtime says where data and features lie now.
        backend: what the run was decoded with, as its record says.

    Raises:
        ThunderError: data, features or model are missing, or not those of the run.
    """
    results = schema.read("asr_results", folder / artifacts.RESULTS)
    material = _gathered(config, folder, emit)
    chosen = machine.choose(config, threads=backend.get("threads"))
    chosen = replace(chosen, precision=_precision(results))
    machine.prepare(chosen)
    model = state.load_best(folder, material, results["best_epoch"]).to(chosen.device)
    recogniser = Recogniser(material, model, chosen, folder.name.partition(".")[0])
    lists: dict[str, list[str]] = {"faults": [], "near": [], "not_looked_at": []}
    rows, decoded = 0, []
    with machine.memory():
        for split, pass_ in _passes(config, folder):
            name = artifacts.predictions(split, pass_.suffix)
            decoded.append(f"{split}{pass_.suffix}")
            emit(events.note(f"decoding for {name}"))
            compared = _compared(recogniser, folder / name, split, pass_)
            rows += compared.rows
            for key, lines in _told(name, compared).items():
                lists[key] += lines
    said = f"{wording.count(rows, 'row')} of {', '.join(decoded)} decoded again"
    has_suta = config["evaluate"]["suta"]["rows"]
    said += ", suta not: it trains on every row" if has_suta else ""
    return {"backend": machine.described(chosen), **lists, "said": said}


def _precision(results: Mapping[str, Any]) -> str:
    """Return what a run was evaluated in; earlier ones took all but plain float32 for bfloat16."""
    earlier = "float32" if results["precision"] == "float32" else "bfloat16"
    return str(results.get("evaluation_precision", earlier))


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


def _compared(recogniser: Recogniser, path: Path, split: str, pass_: Pass) -> _Compared:
    """Decode the rows of a dump, and look at those that differ, so far as looks go."""
    written = {row["feat_id"]: [row[key] for key in _TEXTS] for row in dumps.read(path)}
    compared, looks = _Compared(), 0
    for row in recognised.of_split(recogniser, split, pass_):
        compared.rows += 1
        dumped = written.pop(row["feat_id"], [None, None])
        for difference in _differences(row, dumped):
            if not difference.may_be_rounding:
                compared.far.append(difference)
            elif looks == MOST_LOOKS:
                compared.not_looked_at.append(difference)
            else:
                looks += 1
                is_near = _is_near(recogniser, split, pass_, difference)
                (compared.near if is_near else compared.far).append(difference)
    lacking = [_Difference(name, "asr_text", texts[0], None) for name, texts in written.items()]
    compared.far += lacking
    return compared


def _differences(row: Mapping[str, Any], dumped: list[Any]) -> Iterator[_Difference]:
    for key, text in zip(_TEXTS, dumped, strict=True):
        if row[key] != text:
            yield _Difference(row["feat_id"], key, text, row[key])


def _is_near(recogniser: Recogniser, split: str, pass_: Pass, difference: _Difference) -> bool:
    """Say whether the dumped text is as good as the decoded one, but for how sums are rounded."""
    assert difference.decoded is not None
    assert difference.dumped is not None
    material, utterances = recogniser.material, recogniser.material.splits[split]
    rows = np.array([utterances.ids.index(difference.feat_id)])
    batch = batches.collate(material.store, utterances, rows, epoch.window(material))
    output = recognised.output_of(recogniser, pass_, batch)
    log_probs = output.log_probs[0, : int(output.lengths[0])].float().cpu().numpy()
    best, other = (
        _log_probability(recogniser, log_probs, text)
        for text in (difference.decoded, difference.dumped)
    )
    return best - other <= NEAR[recogniser.machine.precision]


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


def _told(name: str, compared: _Compared) -> dict[str, list[str]]:
    """Return sentences on a dump, by what the rows that differ are known to be."""
    return {
        "faults": _said(name, compared.rows, compared.far),
        "near": _said(name, compared.rows, compared.near, ", nearly as probable"),
        "not_looked_at": _said(
            name,
            compared.rows,
            compared.not_looked_at,
            f", not looked at after {MOST_LOOKS} others",
        ),
    }


def _said(name: str, rows: int, differences: list[_Difference], how: str = "") -> list[str]:
    """Return a sentence on a dump, and its first rows."""
    if not differences:
        return []
    names = {one.feat_id for one in differences}
    shown = [f"  {one.said}" for one in differences[:_SHOWN]]
    return [f"{name}: {len(names):,} of {rows:,} rows have another text{how}", *shown]
