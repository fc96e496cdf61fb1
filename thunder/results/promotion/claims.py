"""What runs support, and what must not be read into them."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from thunder.results.promotion.candidates import Candidate, needs_of
from thunder.results.promotion.evidence import results_of

LEVEL = 0.05
Claim = dict[str, Any]
_MEANT_TO_BE_OURS = (
    "that what is called {words} here is a published method of that name, or what the original "
    "program did under it: the words are defined in `definitions`"
)


def claimed(
    runs: Sequence[Mapping[str, Any]], comparisons: Sequence[Mapping[str, Any]]
) -> list[Claim]:
    """Return what was measured, and every difference that is more than noise."""
    return [
        *(_claim(_measured(run), [run["run"]]) for run in runs),
        *(_claim(_difference(row), row["runs"]) for row in comparisons if is_real(row)),
    ]


def is_real(row: Mapping[str, Any]) -> bool:
    """Say whether a difference is not 0, alone and among all comparisons of its table.

    One that a bridge took part in must be larger than the error that the bridge itself brings.
    """
    adjusted, bridge = row["p_value_holm"], row["bridge_cer"]
    is_apart = row["low"] > 0 or row["high"] < 0
    is_left = adjusted is None or adjusted < LEVEL
    return bool(is_apart and is_left and abs(row["difference"]) > (bridge or 0.0))


def not_claimed(
    candidates: Sequence[Candidate],
    runs: Sequence[Mapping[str, Any]],
    comparisons: Mapping[str, Sequence[Mapping[str, Any]]],
    words: Sequence[str],
    shown: Mapping[str, Any],
) -> list[Claim]:
    """Return what a reader might think, and why it does not follow.

    Args:
        comparisons: `made`, and `missing` with reasons.
        words: names of modes that are defined in the record.
        shown: what else the record has: `code`, `environments`.
    """
    names = [run["run"] for run in runs]
    found = [
        _claim(
            "anything about another snapshot, split, model or set of features than those whose "
            "digests are listed",
            names,
        )
    ]
    if words:
        found.append(_claim(_MEANT_TO_BE_OURS.format(words=", ".join(words)), names))
    present = [one for one in candidates if one.is_present]
    kinds = {one.run.kind for one in present}
    found += [
        _claim(text, _of_kind(present, kind)) for kind in sorted(kinds) for text in _fixed(kind)
    ]
    found += [_claim(text, list(dict.fromkeys(of))) for text, of in _of_configs(present)]
    found += _of_seeds(present)
    found += [
        _claim(f"what a warning of the run puts in doubt: {warning}", [one.name])
        for one in present
        for warning in (results_of(one) or {}).get("warnings", [])
    ]
    found += [
        _claim(_no_difference(row), row["runs"]) for row in comparisons["made"] if not is_real(row)
    ]
    found += [
        _claim(f"any difference in {row['label']}: {row['reason']}", [])
        for row in comparisons["missing"]
    ]
    found += _of_places(names, shown)
    return [*found, *_unverified(present)]


def _claim(text: str, runs: Sequence[str]) -> Claim:
    return {"text": text, "runs": list(runs)}


def _measured(run: Mapping[str, Any]) -> str:
    step = "" if run["goal"] is None else f" at step {run['goal']}"
    said = [_number(metric) for metric in run["metrics"] if metric["value"] is not None]
    read = f", having read {_short(run['inputs'])}" if run["inputs"] else ""
    return f"measured of {run['label']}{step}{read}: {', '.join(said) or 'nothing'}"


def _number(metric: Mapping[str, Any]) -> str:
    said = f"{metric['name']} {metric['value']:.6g}"
    if metric["low"] is None:
        return said
    return f"{said} (95 % interval {metric['low']:.6g} to {metric['high']:.6g})"


def _short(inputs: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {sha256[:12]}…" for name, sha256 in sorted(inputs.items()))


def _difference(row: Mapping[str, Any]) -> str:
    word = "lower" if row["difference"] < 0 else "higher"
    return (
        f"CER of {row['label']} is {word} than of {row['reference']} by "
        f"{100 * abs(row['difference']):.2f} percentage points: {_numbers(row)}"
    )


def _no_difference(row: Mapping[str, Any]) -> str:
    return f"a difference in CER between {row['label']} and {row['reference']}: {_numbers(row)}"


def _numbers(row: Mapping[str, Any]) -> str:
    adjusted = "" if row["p_value_holm"] is None else f", p (Holm) {row['p_value_holm']:.3g}"
    bridge = (
        "" if row["bridge_cer"] is None else f"; the bridge alone: {100 * row['bridge_cer']:.2f}"
    )
    return (
        f"{100 * row['difference']:+.2f}, 95 % interval {100 * row['low']:+.2f} to "
        f"{100 * row['high']:+.2f}, p {row['p_value']:.3g}{adjusted}, paired over "
        f"{row['rows']:,} utterances{bridge}"
    )


def _fixed(kind: str) -> Iterator[str]:
    if kind == "asr":
        yield (
            "that a correction adapter lowers these error rates: what is scored is what the "
            "recogniser wrote, and nothing corrected it"
        )
        yield "a new acoustic model: a CTC head was trained on frames that stayed as they were"
    if kind == "adapter":
        yield (
            "that the adapter lowers an error rate of speech recognition: it was judged by its "
            "loss on rows of its own corpus, and no recogniser took part"
        )


def _of_configs(present: Sequence[Candidate]) -> list[tuple[str, list[str]]]:
    """Return limits that follow from how runs were made, each with the runs that it holds for."""
    found: dict[str, list[str]] = {}
    for one in present:
        bridge = one.document.get("text", {}).get("bridge", "none")
        if bridge != "none" and one.document.get("script") == "nko":
            text = (
                f"anything about N'Ko as people spell it, or about tone: the N'Ko texts were made "
                f"from Latin by the bridge {bridge}"
            )
            found.setdefault(text, []).append(one.name)
        if one.run.kind == "asr" and one.document.get("split", {}).get("rule") == "random":
            text = (
                "that unseen speakers or recordings are recognised as well: the split is by row, "
                "so train may have others of the same (results.json has the rows of unseen text "
                "apart)"
            )
            found.setdefault(text, []).append(one.name)
    return list(found.items())


def _of_seeds(present: Sequence[Candidate]) -> list[Claim]:
    """Say of runs without another seed beside them that they are one draw."""
    points: dict[str, dict[Any, str]] = {}
    for one in present:
        if not one.needed_by and "seed" in one.document:
            rest = {k: v for k, v in one.document.items() if k != "seed"}
            points.setdefault(repr(sorted(rest.items(), key=str)), {})[one.document["seed"]] = (
                one.name
            )
    single = [name for seeds in points.values() if len(seeds) == 1 for name in seeds.values()]
    text = "how far a result moves from seed to seed: of these there is one seed each"
    return [_claim(text, list(dict.fromkeys(single)))] if single else []


def _of_places(names: Sequence[str], shown: Mapping[str, Any]) -> list[Claim]:
    found = []
    if len(shown["code"]) > 1:
        said = "; ".join(f"{row['commit'][:12]}: {' '.join(row['runs'])}" for row in shown["code"])
        found.append(
            _claim(
                f"that the code had no part in the differences: it is of several commits ({said})",
                names,
            )
        )
    if len(shown["environments"]) > 1:
        found.append(
            _claim(
                "that machine and package versions had no part in the differences: there are "
                f"{len(shown['environments'])} environments",
                names,
            )
        )
    return found


def _unverified(present: Sequence[Candidate]) -> Iterator[Claim]:
    """Say of needed runs that lie elsewhere that their bytes were not looked at."""
    here = {(one.run.kind, one.run.id) for one in present if one.needed_by}
    absent: dict[tuple[str, str], list[str]] = {}
    for one in present:
        for need in needs_of(one).items():
            if need not in here:
                absent.setdefault(need, []).append(one.name)
    for (kind, job_id), names in absent.items():
        yield _claim(
            f"that the bytes of {kind} {job_id} are still what was read: that run is not in these "
            "outputs; its digest is among the inputs",
            names,
        )


def _of_kind(present: Sequence[Candidate], kind: str) -> list[str]:
    return list(dict.fromkeys(one.name for one in present if one.run.kind == kind))
