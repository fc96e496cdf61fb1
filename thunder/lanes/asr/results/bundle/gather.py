"""Cells become arms: what each run proves, or why there is nothing; mixed inputs are refused."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from thunder.ground.errors import Faults, ThunderError
from thunder.jobs import comparable, mixed
from thunder.jobs.matrix import Cell
from thunder.jobs.matrix_file import Matrix
from thunder.lanes.asr.artifacts import DIGESTS, RESULTS
from thunder.lanes.asr.results.bundle import agree, bridging, evidence
from thunder.lanes.asr.results.bundle.evidence import Evidence, References
from thunder.runs import proof, reading, store
from thunder.runs.run import Run


@dataclass(frozen=True)
class Arm:
    """One cell of the bundle: its evidence, or the reason why it has none."""

    cell: Cell
    is_optional: bool
    evidence: Evidence | None
    reason: str | None

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
    results: Mapping[str, Any]


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
    """Return an arm per cell.

    Raises:
        ThunderError: an artifact is not what its manifest says, numbers and dumps disagree,
            or runs of different snapshots, splits or features would be compared.
    """
    looked = [_look(matrix, cell, outputs) for cell in cells]
    proven = [item for item in looked if isinstance(item, _Proven)]
    _refuse_mixed_inputs(matrix, proven)
    documents = [(item.arm.cell.label, item.run.document()) for item in proven]
    comparable.check(matrix.name, matrix.spec, documents)
    references = _references(matrix, proven)
    bridge = bridging.choose([document for _, document in documents], references)
    arms = [
        _read(item, references, bridge) if isinstance(item, _Proven) else item for item in looked
    ]
    return Gathered(arms, bridge)


def _look(matrix: Matrix, cell: Cell, outputs: Path) -> Arm | _Proven:
    run = store.find(outputs, cell.job.kind, cell.job.id)
    arm = Arm(cell, not cell.is_required(matrix), None, None)
    standing = reading.of(run, None)
    if not standing.record:
        return replace(arm, reason="optional, not run" if arm.is_optional else standing.in_words)
    if not standing.is_reached:
        return replace(arm, reason=f"run {run.folder.name} is {standing.status}")
    optional = (*evidence.ADAPTED.values(), *evidence.VALID)
    digests = proof.digests(run, evidence.NEEDED, optional)
    return _Proven(arm, run, digests, proof.document(run.folder / RESULTS, "asr_results"))


def _refuse_mixed_inputs(matrix: Matrix, proven: Sequence[_Proven]) -> None:
    """Refuse runs that read different bytes, and runs whose record and results say different."""
    for pair in mixed.inputs([(item, _inputs(item)) for item in proven]):
        first, other = (item.run.folder.name for item in (pair.first, pair.other))
        raise ThunderError(
            f"matrix {matrix.name!r}: runs {first} and {other} have different {pair.name} "
            f"({DIGESTS[pair.name]} {pair.short}); they cannot be compared",
            "verification",
        )


def _inputs(item: _Proven) -> dict[str, str]:
    """Return what a run read, as its record and its results say alike."""
    read: dict[str, str] = {}
    recorded = item.run.record()["inputs"]
    for key, result_key in DIGESTS.items():
        of_record, of_results = recorded.get(key), item.results.get(result_key)
        if of_record is None or of_record != of_results:
            raise ThunderError(
                f"run {item.run.folder.name}: its record has {key} {_short(of_record)}, its "
                f"{RESULTS} has {result_key} {_short(of_results)}",
                "verification",
            )
        read[key] = of_record
    return read


def _short(sha256: Any) -> str:
    return f"{sha256[:12]}…" if isinstance(sha256, str) else "none"


def _references(matrix: Matrix, proven: Sequence[_Proven]) -> dict[str, References]:
    """Read the references of each script once; all its runs must have the same bytes."""
    read: dict[str, References] = {}
    for item in proven:
        script, sha256 = item.arm.script, item.digests[evidence.REFERENCES]
        if script not in read:
            read[script] = evidence.references(item.run, script, sha256)
        if read[script].sha256 != sha256:
            raise ThunderError(
                f"matrix {matrix.name!r}: runs {read[script].run} and {item.run.folder.name} have "
                f"different {evidence.REFERENCES} for {script}; they cannot be compared",
                "verification",
            )
    return read


def _read(
    item: _Proven, references: Mapping[str, References], bridge: bridging.Bridge | None
) -> Arm:
    script = item.arm.script
    over = (bridge.version, references["nko"]) if bridge and script == "latin" else None
    loaded = evidence.read(item.run, item.digests, references[script], over)
    if faults := agree.faults(loaded):
        raise Faults(
            f"run {loaded.name}: {RESULTS} and the dumps do not agree ({item.run.folder}):",
            faults,
            "verification",
        )
    return replace(item.arm, evidence=loaded)
