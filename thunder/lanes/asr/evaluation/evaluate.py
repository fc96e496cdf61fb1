"""A trained model on valid and test: the dumps of its rows, its partition policy, its results."""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from thunder.backends.torch.machine import Machine
from thunder.ground import files
from thunder.lanes.asr import artifacts, scripts
from thunder.lanes.asr.evaluation import (
    adaptation,
    dumps,
    partition,
    recognised,
    results,
    scored_dump,
    tally,
)
from thunder.lanes.asr.evaluation.adaptation import Pass
from thunder.lanes.asr.evaluation.dumps import Spool
from thunder.lanes.asr.evaluation.recognised import Recogniser
from thunder.lanes.asr.evaluation.scored_dump import Scored
from thunder.lanes.asr.model.ctc import CTCModel
from thunder.language import spelling
from thunder.training import events
from thunder.training.events import Emit
from thunder.training.progress import Progress, Throttle

if TYPE_CHECKING:
    from thunder.lanes.asr.material import Material

T = TypeVar("T")


@dataclass(frozen=True)
class _Work:
    """What every step of an evaluation needs."""

    recogniser: Recogniser
    folder: Path
    emit: Emit

    @property
    def material(self) -> "Material":
        return self.recogniser.material


def run(
    material: "Material",
    model: CTCModel,
    machine: Machine,
    training: Mapping[str, Any],
    folder: Path,
    emit: Emit,
) -> dict[str, float | None]:
    """Write the dumps of valid and test and results.json; return the run's metrics.

    All of it is computed anew each time: that takes minutes, and no dump can be of another model.

    Args:
        model: on its device; left in evaluation mode, its weights as they were.
        machine: that the model is on now; training may have used another.
        training: epochs_trained, best_epoch, best_val_loss, stopped_because, nan_batches,
            train_seconds, utterances_per_second, device (its name), precision (one then another).

    Raises:
        ThunderError: posteriors that are not finite (training), no row of valid (data), parts
            that do not add up to the whole (verification).
    """
    started = time.monotonic()
    run_id = folder.name.partition(".")[0]
    work = _Work(Recogniser(material, model.eval(), machine, run_id), folder, emit)
    policy, scored = _dump_all(work)
    document = results.document(
        material,
        training,
        policy,
        scored,
        run_id=run_id,
        precision=machine.precision,
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        seconds=time.monotonic() - started,
    )
    for warning in document["warnings"]:
        emit(events.warning(warning))
    files.write_json(folder / artifacts.RESULTS, document)
    return results.metrics(document, training, material.form)


def _dump_all(work: _Work) -> tuple[dict[str, Any], dict[str, Scored]]:
    """Write all dumps, those of valid first, because the policy is fitted on it."""
    config = work.material.config
    main = adaptation.main(config["mode"])
    with _spooled(work, "valid", main) as rows:
        policy = partition.fit(rows, work.recogniser.run_id)
        partition.write(work.folder / artifacts.POLICY, policy)
        scored = {"valid": _dump(work, "valid", main, rows, policy)}
    for pass_ in adaptation.of_valid(config["mode"]):
        with _spooled(work, "valid", pass_) as rows:
            _dump(work, "valid", pass_, rows, policy)
    others = adaptation.others(config["mode"], config["evaluate"]["suta"]["rows"])
    for name, pass_ in {"test": main, **{other.column: other for other in others}}.items():
        with _spooled(work, "test", pass_) as rows:
            scored[name] = _dump(work, "test", pass_, rows, policy)
    for split in ("valid", "test"):
        _references(work, split)
        _metrics(work, split, policy)
    return policy, scored


@contextmanager
def _spooled(work: _Work, split: str, pass_: Pass) -> Iterator[Spool]:
    """Yield the rows of a split as a pass recognises them, in order of their ids, unlabelled."""
    of = min(len(work.material.splits[split].ids), pass_.most or 2**62)
    work.emit(events.note(f"{split}{pass_.suffix}: {of:,} utterances"))
    progress = Progress(work.emit, 0, of, unit="utterances")
    with dumps.spooling(work.folder) as spool:
        for row in recognised.of_split(work.recogniser, split, pass_):
            spool.add(row)
            progress.add()
        yield spool


def _dump(work: _Work, split: str, pass_: Pass, rows: Spool, policy: Mapping[str, Any]) -> Scored:
    """Write the rows of a pass with their labels; return them scored, as the file has them."""
    path = work.folder / artifacts.predictions(split, pass_.suffix)
    labelled = (partition.labelled(row, policy) for row in rows)
    dumps.write(path, "asr_prediction", _beating(work, labelled))
    return scored_dump.score(_beating(work, dumps.read(path)), work.material.form)


def _references(work: _Work, split: str) -> None:
    said, form = scripts.said(work.material.config), work.material.form
    utterances = work.material.splits[split]
    is_new = work.material.text_disjoint
    clusters: Sequence[str | None] = utterances.clusters or [None] * len(utterances.ids)
    columns = zip(utterances.ids, utterances.references, utterances.origins, clusters, strict=True)
    rows = (
        {
            "feat_id": feat_id,
            **said,
            "reference_text": reference,
            "reference_norm": spelling.scored(reference, form, spelling.MAIN),
            "origin": origin,
            **({} if cluster is None else {"cluster": cluster}),
            "text_disjoint": feat_id in is_new,
        }
        for feat_id, reference, origin, cluster in columns
    )
    path = work.folder / artifacts.references(split)
    dumps.write(path, "asr_reference", _beating(work, rows))


def _metrics(work: _Work, split: str, policy: Mapping[str, Any]) -> None:
    """Write the metrics by partition, from the dump as it lies on disk."""
    utterances = work.material.splits[split]
    origins = dict(zip(utterances.ids, utterances.origins, strict=True))
    document = tally.by_partition(
        _beating(work, dumps.read(work.folder / artifacts.predictions(split))),
        origins.__getitem__,
        run_id=work.recogniser.run_id,
        split=split,
        policy=policy,
    )
    files.write_json(work.folder / artifacts.by_partition(split), document)


def _beating(work: _Work, items: Iterable[T]) -> Iterator[T]:
    """Yield items, and say every now and then that work goes on."""
    throttle = Throttle(work.emit)
    for item in items:
        throttle.beat()
        yield item
