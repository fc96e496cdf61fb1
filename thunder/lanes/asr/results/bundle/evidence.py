"""What one ASR run proves: its dumps as counts per row, never the texts of more than one run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from thunder.ground import run_files, schema, wording
from thunder.ground.errors import Faults
from thunder.lanes.asr import artifacts, scripts
from thunder.lanes.asr.artifacts import RESULTS
from thunder.lanes.asr.results.bundle import measures
from thunder.language import spelling
from thunder.runs import proof
from thunder.runs.run import Run

PREDICTIONS, REFERENCES = artifacts.predictions("test"), artifacts.references("test")
BY_PARTITION = artifacts.by_partition("test")
NEEDED = (
    run_files.CONFIG, run_files.METRICS, run_files.ROWS,
    RESULTS, PREDICTIONS, REFERENCES, BY_PARTITION,
)  # fmt: skip
ADAPTED = {
    column: artifacts.predictions("test", suffix) for column, suffix in artifacts.PASSES.items()
}
# Valid as the mode hears it, and with its fast weights off.
VALID = (artifacts.predictions("valid"), artifacts.predictions("valid", artifacts.PASSES["off"]))
_KEYS = (
    "feat_id", "script", "asr_text", "reference_text", "cer_edits", "reference_chars", "partition",
    "model_run_id",
)  # fmt: skip
_SHOWN_FAULTS = 10
_DISORDER = "the ids are not in ascending order, each once"
Indices = npt.NDArray[np.int64]


@dataclass(frozen=True)
class References:
    """The test rows of one script, as all its runs must have them."""

    script: str
    sha256: str  # of test_references.jsonl
    run: str
    ids: Sequence[str]
    texts: Sequence[str]
    text_disjoint: npt.NDArray[np.bool_]  # whose text train does not have
    clusters: measures.Labels | None  # rows of one are not independent; None: all rows are
    place: Mapping[str, int]  # row by id
    form: spelling.Script  # how texts are compared


@dataclass(frozen=True)
class Dump:
    """A file of predictions as counts: `rows` are indices into its references, ascending."""

    references: References
    rows: Indices
    counts: Mapping[str, measures.Counts]  # by variant
    heard: Indices  # a number for each text, the same for the same text
    labels: Sequence[str] = ()  # partition of each row

    def clusters(self, chosen: npt.NDArray[Any]) -> measures.Labels | None:
        """Return the cluster of each of some rows, a mask or places; None: they have none."""
        named = self.references.clusters
        return None if named is None else named[self.rows[chosen]]

    def units(self, chosen: npt.NDArray[Any] | None = None) -> measures.Counts:
        """Return the main counts of what is independent, of all rows or some: rows or clusters."""
        chosen = np.arange(len(self.rows)) if chosen is None else chosen
        return measures.grouped(
            measures.part(self.counts[measures.MAIN], chosen), self.clusters(chosen)
        )


@dataclass(frozen=True)
class Evidence:
    """Everything that tables read of one run."""

    run: Run
    record: Mapping[str, Any]
    config: Mapping[str, Any]
    results: Mapping[str, Any]
    by_partition: Mapping[str, Any]
    curve: Sequence[Mapping[str, Any]]  # rows of metrics.jsonl
    dumps: Mapping[str, Dump]  # test, and those of ADAPTED that there are
    written: Mapping[str, measures.Counts]  # cer_edits and reference_chars as the dumps have them
    interval: Sequence[float]  # of the micro CER of the test dump
    bridged: Dump | None  # Latin hypotheses as N'Ko, against the N'Ko references
    changed_of_valid: tuple[int, int] | None  # rows of valid that fast weights change, of how many

    @property
    def name(self) -> str:
        """The id behind the numbers."""
        return self.run.folder.name

    @property
    def test(self) -> Dump:
        """The dump of the test split as the run's mode decodes it."""
        return self.dumps["test"]


def references(run: Run, script: str, sha256: str) -> References:
    """Read test_references.jsonl of a run."""
    path = run.folder / REFERENCES
    ids, texts, disjoint, clusters = [], [], [], []
    for number, row in enumerate(proof.rows(path), 1):
        if faults := schema.faults("asr_reference", row):
            _refuse(path, [f"line {number}: {fault.key}: {fault.message}" for fault in faults])
        ids.append(row["feat_id"])
        texts.append(row["reference_text"])
        disjoint.append(row["text_disjoint"])
        clusters.append(row.get("cluster"))
    _refuse(path, _order_faults(ids, clusters))
    place = {name: index for index, name in enumerate(ids)}
    is_disjoint = np.array(disjoint, dtype=bool)
    named = None if None in clusters or not clusters else np.array(clusters, dtype=np.str_)
    form = spelling.form(script, scripts.normaliser(run.document()))
    return References(script, sha256, run.folder.name, ids, texts, is_disjoint, named, place, form)


def _order_faults(ids: Sequence[str], clusters: Sequence[str | None]) -> list[str]:
    is_mixed = None in clusters and set(clusters) != {None}
    return [_DISORDER] * (not _ascends(ids)) + ["some rows have a cluster and some none"] * is_mixed


@dataclass(frozen=True)
class _Texts:
    """The rows of one dump while it is scored."""

    rows: Indices
    hypotheses: list[str]
    labels: list[str]
    written: measures.Counts


def read(
    run: Run,
    digests: Mapping[str, str],
    refs: References,
    bridge: tuple[str, References] | None,
) -> Evidence:
    """Read and score one proven run.

    Args:
        bridge: version that Latin goes over to N'Ko, and the references there; None: not at all.
    """
    names = {"test": PREDICTIONS, **{k: v for k, v in ADAPTED.items() if v in digests}}
    dumps, written, bridged = {}, {}, None
    for key, name in names.items():
        texts = _texts(run.folder / name, refs, run, is_whole=key == "test")
        variants = measures.VARIANTS if key == "test" else (measures.MAIN,)
        dumps[key] = _scored(texts, refs, variants)
        written[key] = texts.written
        if key == "test" and bridge:
            bridged = _bridged(texts, refs, *bridge)
    config = run.document()
    samples = int(config["evaluate"]["bootstrap"])
    return Evidence(
        run=run,
        record=run.record(),
        config=config,
        results=proof.document(run.folder / RESULTS, "asr_results"),
        by_partition=proof.document(run.folder / BY_PARTITION, "asr_partitions"),
        curve=run.rows(),
        dumps=dumps,
        written=written,
        interval=measures.interval(dumps["test"].units(), samples),
        bridged=bridged,
        changed_of_valid=_changed_of_valid(run, digests),
    )


def _texts(path: Path, refs: References, run: Run, *, is_whole: bool) -> _Texts:
    rows, hypotheses, labels, edits, chars = [], [], [], [], []
    faults: list[str] = []
    for number, row in enumerate(proof.rows(path), 1):
        index = refs.place.get(row.get("feat_id", ""))
        if fault := _row_fault(row, index, refs, run):
            faults.append(f"line {number}: {row.get('feat_id')}: {fault}")
            continue
        rows.append(index)
        hypotheses.append(row["asr_text"])
        labels.append(row["partition"])
        edits.append(row["cer_edits"])
        chars.append(row["reference_chars"])
    if not _ascends(rows):
        faults.append(_DISORDER)
    if is_whole and not faults and len(rows) != len(refs.ids):
        faults.append(f"{len(rows):,} rows for {len(refs.ids):,} references")
    _refuse(path, faults)
    written = measures.of_edits(np.array(edits, dtype=np.int64), np.array(chars, dtype=np.int64))
    return _Texts(np.array(rows, dtype=np.int64), hypotheses, labels, written)


def _row_fault(row: Mapping[str, Any], index: int | None, refs: References, run: Run) -> str | None:
    if missing := [key for key in _KEYS if key not in row]:
        return f"no {', '.join(missing)}"
    if index is None:
        return f"no such row in {REFERENCES}"
    if row["model_run_id"] != run.id:
        return f"it is of run {row['model_run_id']}"
    if row["script"] != refs.script:
        return f"its script is {row['script']!r}, the run's is {refs.script!r}"
    if row["reference_text"] != refs.texts[index]:
        return f"its reference is not that of {REFERENCES}"
    return None


def _scored(texts: _Texts, refs: References, variants: Sequence[str]) -> Dump:
    wanted = [refs.texts[index] for index in texts.rows]
    counts = {
        variant: measures.counts(wanted, texts.hypotheses, refs.form, variant)
        for variant in variants
    }
    return Dump(refs, texts.rows, counts, _numbers(texts.hypotheses), texts.labels)


def _bridged(texts: _Texts, refs: References, version: str, onto: References) -> Dump:
    """Score Latin hypotheses as N'Ko, in the rows that have an N'Ko reference."""
    ids = [refs.ids[index] for index in texts.rows]
    pairs = [
        (onto.place[name], hypothesis)
        for name, hypothesis in zip(ids, texts.hypotheses, strict=True)
        if name in onto.place
    ]
    rows = np.array([index for index, _ in pairs], dtype=np.int64)
    wanted = [onto.texts[index] for index in rows]
    hypotheses = [hypothesis for _, hypothesis in pairs]
    counts = measures.bridged(wanted, hypotheses, version, measures.MAIN)
    return Dump(onto, rows, {measures.MAIN: counts}, _numbers(hypotheses))


def _numbers(texts: Sequence[str]) -> Indices:
    return np.array([hash(one) for one in texts], dtype=np.int64)


def _changed_of_valid(run: Run, digests: Mapping[str, str]) -> tuple[int, int] | None:
    """Count the valid rows that fast weights change, of those that both passes have."""
    if not digests.keys() >= {*VALID}:
        return None
    on, off = (
        {row["feat_id"]: hash(row["asr_text"]) for row in proof.rows(run.folder / name)}
        for name in VALID
    )
    both = on.keys() & off.keys()
    return sum(on[name] != off[name] for name in both), len(both)


def _ascends(values: Sequence[Any]) -> bool:
    return all(one < other for one, other in pairwise(values))


def _refuse(path: Path, faults: Sequence[str]) -> None:
    if faults:
        shown = wording.some_lines(faults, _SHOWN_FAULTS)
        raise Faults(f"{path}: not a dump of this run:", shown, "verification")
