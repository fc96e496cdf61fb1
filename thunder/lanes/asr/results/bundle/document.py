"""The one document of a bundle: every table and plot as plain data, checked against its schema."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from thunder.ground import schema
from thunder.ground.errors import ThunderError
from thunder.jobs.matrix import Cell
from thunder.jobs.matrix_file import Matrix
from thunder.lanes.asr.artifacts import DIGESTS
from thunder.lanes.asr.model.definitions import words
from thunder.lanes.asr.results.bundle import (
    adaptation,
    effects,
    figures,
    gather,
    matrix_table,
    partitions,
)
from thunder.lanes.asr.results.bundle.families import SEED
from thunder.lanes.asr.results.bundle.gather import Gathered
from thunder.results.tables.summary import code_states, over_of

KIND = "asr"


def is_bundle(cells: Sequence[Cell]) -> bool:
    """Say whether cells make a bundle: all of them are ASR runs."""
    return bool(cells) and all(cell.job.kind == KIND for cell in cells)


def build(matrix: Matrix, cells: Sequence[Cell], outputs: Path) -> dict[str, Any]:
    """Return all tables and plots of a bundle as data, the one source of every rendering.

    Raises:
        ThunderError: an artifact is not what its manifest says, numbers and dumps disagree,
            or runs of different snapshots, splits or features would be compared.
    """
    _check(matrix, cells)
    gathered = gather.gather(matrix, cells, outputs)
    over = over_of(matrix) or _several_seeds(cells)
    samples = _samples(cells)
    tables = [
        matrix_table.build(gathered, over, samples),
        *_effects(matrix, gathered, over),
        partitions.build(gathered, samples),
        adaptation.build(gathered, over),
    ]
    bundle = {
        "name": matrix.name,
        "question": matrix.question,
        "over": over,
        "samples": samples,
        "stand_in": any(arm.is_stand_in for arm in gathered.arms),
        "cells": [_cell(arm) for arm in gathered.arms],
        "inputs": _inputs(gathered),
        "bridge": gathered.bridge and gathered.bridge.version,
        "definitions": _definitions(gathered),
        "warnings": _warnings(gathered),
        "unreadable": [arm.unreadable for arm in gathered.arms if arm.unreadable],
        "code": code_states([(one.name, one.record) for one in gathered.present]),
        "tables": tables,
        "figures": figures.build(gathered, tables),
    }
    schema.check("bundle_table", bundle, f"the tables of {matrix.name}", cause="crash")
    return bundle


def _check(matrix: Matrix, cells: Sequence[Cell]) -> None:
    if not is_bundle(cells):
        kinds = ", ".join(sorted({cell.job.kind for cell in cells})) or "nothing"
        raise ThunderError(f"matrix {matrix.name!r} is of {kinds}; a bundle is of {KIND} alone")
    if "metrics" in matrix.spec.get("table", {}):
        raise ThunderError(
            f"matrix {matrix.name!r}: table.metrics: ASR runs have tables of their own, with all "
            "that was measured; leave it out"
        )


def _samples(cells: Sequence[Cell]) -> int:
    return max(int(cell.job.config["evaluate"]["bootstrap"]) for cell in cells)


def _several_seeds(cells: Sequence[Cell]) -> str | None:
    """Return the axis of seeds where it has several: one training alone says little of a mode."""
    seeds = {cell.coordinates[SEED] for cell in cells if SEED in cell.coordinates}
    return SEED if len(seeds) > 1 else None


def _effects(matrix: Matrix, gathered: Gathered, over: str | None) -> list[dict[str, Any]]:
    compare: Mapping[str, Any] = matrix.spec.get("compare", {})
    tables = []
    others = dict(compare)
    if "script" in compare and effects.is_bilingual(gathered):
        del others["script"]
        tables.append(effects.script(gathered, compare["script"], over))
    tables += [effects.axis(gathered, axis, v, over) for axis, v in others.items()]
    return tables


def _cell(arm: gather.Arm) -> dict[str, Any]:
    return {
        "label": arm.cell.label,
        "id": arm.cell.job.id,
        "run": arm.evidence.name if arm.evidence else None,
        "reason": arm.reason,
        "optional": arm.is_optional,
        "stand_in": arm.is_stand_in,
    }


def _inputs(gathered: Gathered) -> dict[str, str] | None:
    """Return what every run read: gathered runs agree in it."""
    for evidence in gathered.present:
        return {name: evidence.record["inputs"][name] for name in DIGESTS}
    return None


def _definitions(gathered: Gathered) -> list[dict[str, Any]]:
    """Return what the runs mean by a mode; SUTA where a run has it."""
    meant: dict[tuple[str, str], list[str]] = {}
    for evidence in gathered.present:
        suta = ["suta"] if "suta" in evidence.dumps else []
        for word in [*words(evidence.results["mode"]), *suta]:
            meant.setdefault((word, evidence.results["definitions"][word]), []).append(
                evidence.name
            )
    return [
        {"word": word, "meaning": meaning, "runs": runs}
        for (word, meaning), runs in sorted(meant.items())
    ]


def _warnings(gathered: Gathered) -> list[dict[str, str]]:
    """Return what the runs warn of themselves."""
    return [
        {"run": evidence.name, "text": warning}
        for evidence in gathered.present
        for warning in evidence.results["warnings"]
    ]
