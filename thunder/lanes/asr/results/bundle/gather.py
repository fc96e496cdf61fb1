"""Cells become arms: what each run proves, or why there is nothing; mixed inputs are refused."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from thunder.ground.errors import Faults, ThunderError, message_of
from thunder.jobs import comparable, mixed
from thunder.jobs.matrix import Cell
from thunder.jobs.matrix_file import Matrix
from thunder.lanes.asr.artifacts import DIGESTS, RESULTS
from thunder.lanes.asr.results.bundle import agree, bridging, evidence
from thunder.lanes.asr.results.bundle.evidence import Evidence, References
from thunder.results.tables import unreadable
from thunder.runs import proof, reading, store
from thunder.runs.run import Run


@dataclass(frozen=True)
class Arm:
    """One cell of the bundle: its evidence, or the reason why it has none."""

    cell: Cell
    is_optional: bool
    evidence: Evidence | None
    reason: str | None
    unreadable: str | None = None  # the run that cannot be believed, and why

    @property
    def script(self) -> str:
        """The script that is recognised."""
        return str(self.cell.job.config["script"])

    @property
    def mode(self) -> str:
        """The conditioning of the model."""
        return str(self.cell.job.config["mode"])

    @property
    def is_stand_in(self) -> bool:
        """Whether model, data or features are stand-ins."""
        own = self.evidence
        marked = own is not None and (own.record["stand_in"] or own.results["stand_in"])
        return bool(marked or self.cell.job.is_stand_in)

    @property
    def point(self) -> dict[str, Any]:
        """Script, mode, seed and all further coordinates, in this order."""
        config = self.cell.job.config
        main = {key: config[key] for key in ("script", "mode", "seed")}
        return {**main, **self.cell.coordinates}


@dataclass(frozen=True)
class _Proven:
    """A run that is done and proven, before its dumps are read."""

    arm: Arm
    run: Run
    digests: Mapping[str, str]
    inputs: Mapping[str, str]  # what it read
    document: Mapping[str, Any]
    references: References


@dataclass(frozen=True)
class Gathered:
    """The arms of a bundle in the order of the matrix, and what takes Latin to N'Ko."""

    arms: Sequence[Arm]
    bridge: bridging.Bridge | None

    @property
    def unit(self) -> str:
        """What is independent of each other, in plural: utterances, or clusters of them."""
        return unit([arm.cell for arm in self.arms])

    @property
    def present(self) -> list[Evidence]:
        """The runs that there are."""
        return [arm.evidence for arm in self.arms if arm.evidence]


def unit(cells: Sequence[Cell]) -> str:
    """Return what is independent of each other in cells, in plural."""
    for cell in cells:
        if column := cell.job.config["data"].get("cluster"):
            return f"clusters of utterances ({column})"
    return "utterances"


def gather(matrix: Matrix, cells: Sequence[Cell], outputs: Path) -> Gathered:
    """Return an arm per cell; a run that cannot be believed bars no other.

    Raises:
        ThunderError: runs of different snapshots, splits or features would be compared, or there
            are runs and none can be read.
    """
    known: dict[tuple[str, str], References] = {}
    looked = [_look(matrix, cell, outputs, known) for cell in cells]
    proven = [item for item in looked if isinstance(item, _Proven)]
    _refuse_mixed_inputs(matrix, proven)
    comparable.check(matrix.name, matrix.spec, [(i.arm.cell.label, i.document) for i in proven])
    references = _references(matrix, proven)
    bridge = bridging.choose([item.document for item in proven], references)
    arms = [
        _read(item, references, bridge) if isinstance(item, _Proven) else item for item in looked
    ]
    lost = [arm.unreadable for arm in arms if arm.unreadable]
    if lost and not any(arm.evidence for arm in arms):
        unreadable.refuse_all(matrix.name, lost)
    return Gathered(arms, bridge)


def _look(
    matrix: Matrix, cell: Cell, outputs: Path, known: dict[tuple[str, str], References]
) -> Arm | _Proven:
    """Prove the run of a cell.

    Args:
        known: references by script and digest, each read once.
    """
    run = store.find(outputs, cell.job.kind, cell.job.id)
    arm = Arm(cell, not cell.is_required(matrix), None, None)
    standing = reading.of(run, None)
    if standing.fault is not None:
        return _unreadable(arm, run, standing.fault)
    if not standing.record:
        return replace(arm, reason="optional, not run" if arm.is_optional else standing.in_words)
    if not standing.is_reached:
        return replace(arm, reason=f"run {run.folder.name} is {standing.status}")
    try:
        return _proven(arm, run, standing.record, known)
    except (ThunderError, OSError) as error:
        return _unreadable(arm, run, message_of(error))


def _unreadable(arm: Arm, run: Run, message: str) -> Arm:
    reason = unreadable.reason(run, message)
    return replace(arm, reason=reason, unreadable=unreadable.named(run, arm.cell.label, reason))


def _proven(
    arm: Arm, run: Run, record: Mapping[str, Any], known: dict[tuple[str, str], References]
) -> _Proven:
    optional = (*evidence.ADAPTED.values(), *evidence.VALID)
    digests = proof.digests(run, evidence.NEEDED, optional)
    inputs = _inputs(record, proof.document(run.folder / RESULTS, "asr_results"))
    document = run.document()
    key = arm.script, digests[evidence.REFERENCES]
    if key not in known:
        known[key] = evidence.references(run, *key)
    return _Proven(arm, run, digests, inputs, document, known[key])


def _refuse_mixed_inputs(matrix: Matrix, proven: Sequence[_Proven]) -> None:
    """Refuse runs that read different bytes."""
    for pair in mixed.inputs([(item, item.inputs) for item in proven]):
        first, other = (item.run.folder.name for item in (pair.first, pair.other))
        raise ThunderError(
            f"matrix {matrix.name!r}: runs {first} and {other} have different {pair.name} "
            f"({DIGESTS[pair.name]} {pair.short}); they cannot be compared",
            "verification",
        )


def _inputs(record: Mapping[str, Any], results: Mapping[str, Any]) -> dict[str, str]:
    """Return what a run read, as its record and its results say alike."""
    read: dict[str, str] = {}
    for key, result_key in DIGESTS.items():
        of_record, of_results = record["inputs"].get(key), results.get(result_key)
        if of_record is None or of_record != of_results:
            raise ThunderError(
                f"its record has {key} {_short(of_record)}, its {RESULTS} has {result_key} "
                f"{_short(of_results)}",
                "verification",
            )
        read[key] = of_record
    return read


def _short(sha256: Any) -> str:
    return f"{sha256[:12]}…" if isinstance(sha256, str) else "none"


def _references(matrix: Matrix, proven: Sequence[_Proven]) -> dict[str, References]:
    """Return the references of each script; all its runs must have the same bytes."""
    read: dict[str, _Proven] = {}
    for item in proven:
        first = read.setdefault(item.arm.script, item)
        if first.references is not item.references:
            raise ThunderError(
                f"matrix {matrix.name!r}: runs {first.run.folder.name} and {item.run.folder.name} "
                f"have different {evidence.REFERENCES} for {item.arm.script}; they cannot be "
                "compared",
                "verification",
            )
    return {script: item.references for script, item in read.items()}


def _read(
    item: _Proven, references: Mapping[str, References], bridge: bridging.Bridge | None
) -> Arm:
    over = None
    if bridge and item.arm.script == "latin":
        over = bridge.version, references["nko"]
    try:
        loaded = evidence.read(item.run, item.digests, item.references, over)
        if faults := agree.faults(loaded):
            raise Faults(f"{RESULTS} and the dumps do not agree:", faults, "verification")
    except (ThunderError, OSError) as error:
        return _unreadable(item.arm, item.run, message_of(error))
    return replace(item.arm, evidence=loaded)
