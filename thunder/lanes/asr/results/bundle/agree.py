"""The second look at a run: what results.json says must follow from the dumps beside it."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from thunder.lanes.asr.artifacts import PASSES
from thunder.lanes.asr.results.bundle import evidence, measures
from thunder.lanes.asr.results.bundle.evidence import Evidence

_TOLERANCE = 1e-9  # relative; sums of floats differ by less between versions of numpy
_OF_ADAPTATION = {"on": "test", **{column: column for column in PASSES}}


def faults(proven: Evidence) -> list[str]:
    """Return everything that a run says of itself and its dumps do not."""
    return [*_identity(proven), *_scores(proven), *_rows(proven), *_partitions(proven)]


def _identity(proven: Evidence) -> Iterator[str]:
    results, config = proven.results, proven.config
    expected = {
        "run_id": proven.run.id,
        "kind": proven.run.kind,
        **{key: config[key] for key in ("script", "mode", "seed")},
    }
    for key, wanted in expected.items():
        if results[key] != wanted:
            yield f"{key}: {results[key]!r}, but the run has {wanted!r}"
    if proven.by_partition["run_id"] != proven.run.id:
        yield f"{evidence.BY_PARTITION}: it is of run {proven.by_partition['run_id']}"


def _scores(proven: Evidence) -> Iterator[str]:
    results, test = proven.results, proven.test
    chosen = test.references.text_disjoint[test.rows]
    for variant in measures.VARIANTS:
        counts = test.counts[variant]
        for name, part in (("test", counts), ("text_disjoint", measures.part(counts, chosen))):
            stated = results[name][variant]
            yield from _differences(f"{name}.{variant}", stated, measures.summary(part))
    main = measures.summary(test.counts[measures.MAIN])
    yield from _differences("", results, {"test_cer": main["cer_micro"]})
    bounds = dict(zip(("low", "high"), results["cer_ci95"] or (), strict=False))
    yield from _differences(
        "cer_ci95", bounds, dict(zip(("low", "high"), proven.interval, strict=True))
    )
    yield from _adaptations(proven)


def _adaptations(proven: Evidence) -> Iterator[str]:
    results, test = proven.results, proven.test
    for key, name in _OF_ADAPTATION.items():
        stated = results["adaptation"][key]
        if stated is not None and name not in proven.dumps:
            yield f"adaptation.{key}: there is no {evidence.ADAPTED[name]}"
        elif stated is not None:
            measured = measures.summary(proven.dumps[name].counts[measures.MAIN])
            own = measures.part(test.counts[measures.MAIN], _places(proven, name))
            measured["main_cer_micro"] = measures.cer(own)
            yield from _differences(f"adaptation.{key}", stated, measured)
        elif name in proven.dumps and name != "test":
            yield f"adaptation.{key}: nothing, but there is {evidence.ADAPTED[name]}"


def _places(proven: Evidence, name: str) -> Any:
    """Return which rows of the test dump another dump has."""
    return np.isin(proven.test.rows, proven.dumps[name].rows)


def _rows(proven: Evidence) -> Iterator[str]:
    """Compare the edits and characters that each row of a dump carries."""
    for name, dump in proven.dumps.items():
        main, written = dump.counts[measures.MAIN], proven.written[name]
        wrong = (main.edits != written.edits) | (main.chars != written.chars)
        if wrong.any():
            row = int(np.flatnonzero(wrong)[0])
            place = dump.references.ids[int(dump.rows[row])]
            yield (
                f"{name} dump: {int(wrong.sum()):,} rows with other cer_edits or reference_chars, "
                f"first {place}: {int(written.edits[row])}/{int(written.chars[row])}, "
                f"scored {int(main.edits[row])}/{int(main.chars[row])}"
            )


def _partitions(proven: Evidence) -> Iterator[str]:
    stated, main = proven.by_partition, proven.test.counts[measures.MAIN]
    labels = np.array(proven.test.labels)
    for label in sorted({*stated["partitions"], *map(str, labels)}):
        if label not in stated["partitions"]:
            yield f"{evidence.BY_PARTITION}: no partition {label!r}, which the dump has"
            continue
        counted = _counted(measures.part(main, labels == label))
        yield from _differences(f"partitions.{label}", stated["partitions"][label], counted)
    yield from _differences("partitions all", stated["all"], _counted(main))


def _counted(counts: measures.Counts) -> dict[str, Any]:
    rates = measures.summary(counts)
    return {key: rates[key] for key in ("rows", "edits", "ref_chars", "cer_micro")}


def _differences(
    place: str, stated: Mapping[str, Any], measured: Mapping[str, Any]
) -> Iterator[str]:
    for key, value in measured.items():
        name = f"{place}.{key}".removeprefix(".")
        if key not in stated:
            yield f"{name}: missing, the dumps give {value!r}"
        elif not _is_same(stated[key], value):
            yield f"{name}: {stated[key]!r}, the dumps give {value!r}"


def _is_same(stated: Any, measured: Any) -> bool:
    if stated is None or measured is None:
        return stated is measured
    return math.isclose(stated, measured, rel_tol=_TOLERANCE, abs_tol=_TOLERANCE)
