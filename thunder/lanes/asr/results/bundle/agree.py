"""The second look at a run: what results.json says must follow from the dumps beside it."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from thunder.lanes.asr.results.bundle import evidence, measures
from thunder.lanes.asr.results.bundle.evidence import Evidence

_TOLERANCE = 1e-9  # relative; sums of floats differ by less between versions of numpy
_OF_ADAPTATION = {"on": "test", "off": "off", "shuffled": "shuffled", "suta": "suta"}


def faults(found: Evidence) -> list[str]:
    """Return everything that a run says of itself and its dumps do not."""
    return [*_identity(found), *_scores(found), *_rows(found), *_partitions(found)]


def _identity(found: Evidence) -> Iterator[str]:
    results, config = found.results, found.config
    said = {
        "run_id": found.run.id,
        "kind": found.run.kind,
        **{key: config[key] for key in ("script", "mode", "seed")},
    }
    for key, wanted in said.items():
        if results[key] != wanted:
            yield f"{key}: {results[key]!r}, but the run has {wanted!r}"
    if found.by_partition["run_id"] != found.run.id:
        yield f"{evidence.BY_PARTITION}: it is of run {found.by_partition['run_id']}"


def _scores(found: Evidence) -> Iterator[str]:
    results, test = found.results, found.test
    chosen = test.references.text_disjoint[test.rows]
    for variant in measures.VARIANTS:
        counts = test.counts[variant]
        for name, part in (("test", counts), ("text_disjoint", measures.part(counts, chosen))):
            said = results[name][variant]
            yield from _differences(f"{name}.{variant}", said, measures.summary(part))
    main = measures.summary(test.counts[measures.MAIN])
    yield from _differences("", results, {"test_cer": main["cer_micro"]})
    bounds = dict(zip(("low", "high"), results["cer_ci95"] or (), strict=False))
    yield from _differences(
        "cer_ci95", bounds, dict(zip(("low", "high"), found.interval, strict=True))
    )
    yield from _adaptations(found)


def _adaptations(found: Evidence) -> Iterator[str]:
    results, test = found.results, found.test
    for key, name in _OF_ADAPTATION.items():
        said = results["adaptation"][key]
        if said is not None and name not in found.dumps:
            yield f"adaptation.{key}: there is no {evidence.ADAPTED[name]}"
        elif said is not None:
            measured = measures.summary(found.dumps[name].counts[measures.MAIN])
            own = measures.part(test.counts[measures.MAIN], _places(found, name))
            measured["main_cer_micro"] = measures.cer(own)
            yield from _differences(f"adaptation.{key}", said, measured)
        elif name in found.dumps and name != "test":
            yield f"adaptation.{key}: nothing, but there is {evidence.ADAPTED[name]}"


def _places(found: Evidence, name: str) -> Any:
    """Return which rows of the test dump another dump has."""
    return np.isin(found.test.rows, found.dumps[name].rows)


def _rows(found: Evidence) -> Iterator[str]:
    """Compare the edits and characters that each row of a dump carries."""
    for name, dump in found.dumps.items():
        main, written = dump.counts[measures.MAIN], found.written[name]
        wrong = (main.edits != written.edits) | (main.chars != written.chars)
        if wrong.any():
            row = int(np.flatnonzero(wrong)[0])
            place = dump.references.ids[int(dump.rows[row])]
            yield (
                f"{name} dump: {int(wrong.sum()):,} rows with other cer_edits or reference_chars, "
                f"first {place}: {int(written.edits[row])}/{int(written.chars[row])}, "
                f"scored {int(main.edits[row])}/{int(main.chars[row])}"
            )


def _partitions(found: Evidence) -> Iterator[str]:
    said, main = found.by_partition, found.test.counts[measures.MAIN]
    labels = np.array(found.test.labels)
    for label in sorted({*said["partitions"], *map(str, labels)}):
        if label not in said["partitions"]:
            yield f"{evidence.BY_PARTITION}: no partition {label!r}, which the dump has"
            continue
        counted = _counted(measures.part(main, labels == label))
        yield from _differences(f"partitions.{label}", said["partitions"][label], counted)
    yield from _differences("partitions all", said["all"], _counted(main))


def _counted(counts: measures.Counts) -> dict[str, Any]:
    found = measures.summary(counts)
    return {key: found[key] for key in ("rows", "edits", "ref_chars", "cer_micro")}


def _differences(place: str, said: Mapping[str, Any], found: Mapping[str, Any]) -> Iterator[str]:
    for key, value in found.items():
        name = f"{place}.{key}".removeprefix(".")
        if key not in said:
            yield f"{name}: missing, the dumps give {value!r}"
        elif not _is_same(said[key], value):
            yield f"{name}: {said[key]!r}, the dumps give {value!r}"


def _is_same(said: Any, found: Any) -> bool:
    if said is None or found is None:
        return said is found
    return math.isclose(said, found, rel_tol=_TOLERANCE, abs_tol=_TOLERANCE)
