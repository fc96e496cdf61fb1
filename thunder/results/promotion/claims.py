"""What runs support, and what must not be read into them."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from thunder.results.promotion import support
from thunder.results.promotion.candidates import Candidate, needs_of
from thunder.results.promotion.comparison import Comparison, Comparisons

LEVEL = 0.05
Claim = dict[str, Any]
_MEANT_TO_BE_OURS = (
    "that what is called {words} here is a published method of that name, or what the original "
    "program did under it: the words are defined in `definitions`"
)


def claimed(runs: Sequence[Mapping[str, Any]], comparisons: Sequence[Comparison]) -> list[Claim]:
    """Return what was measured, and every difference that is more than noise."""
    return [
        *(_claim(_measured(run), [run["run"]]) for run in runs),
        *(
            _claim(_difference(comparison), comparison.runs)
            for comparison in comparisons
            if is_real(comparison)
        ),
    ]


def is_real(comparison: Comparison) -> bool:
    """Say whether a difference is not 0, alone and among all that answer its question.

    Where something else brings a difference of its own, it must be larger than that one. One that
    the lane refuses (too few units, one training of several) is none whatever it shows.
    """
    is_apart = comparison.low > 0 or comparison.high < 0
    is_left = comparison.p_value_holm is None or comparison.p_value_holm < LEVEL
    is_large = abs(comparison.difference) > (comparison.least or 0.0)
    return comparison.refused is None and is_apart and is_left and is_large


def not_claimed(
    candidates: Sequence[Candidate],
    runs: Sequence[Mapping[str, Any]],
    comparisons: Comparisons,
    words: Sequence[str],
    shown: Mapping[str, Any],
) -> list[Claim]:
    """Return what a reader might think, and why it does not follow.

    Args:
        words: names of modes that are defined in the record.
        shown: what else the record has: `code`, `environments`.
    """
    names = [run["run"] for run in runs]
    claims = [
        _claim(
            "anything about another snapshot, split, model or set of features than those whose "
            "digests are listed",
            names,
        )
    ]
    if words:
        claims.append(_claim(_MEANT_TO_BE_OURS.format(words=", ".join(words)), names))
    present = [one for one in candidates if one.is_present]
    claims += _of_kinds(present)
    claims += _of_seeds(present)
    claims += [
        _claim(f"what a warning of the run puts in doubt: {warning}", [one.name])
        for one in present
        for warning in support.of_kind(one.run.kind).warnings(one)
    ]
    claims += [
        _claim(_no_difference(one), one.runs) for one in comparisons.made if not is_real(one)
    ]
    claims += [
        _claim(f"any difference in {one.label}: {one.reason}", []) for one in comparisons.missing
    ]
    claims += _of_places(names, shown)
    return [*claims, *_unverified(present)]


def _claim(text: str, runs: Sequence[str]) -> Claim:
    return {"text": text, "runs": list(runs)}


def _measured(run: Mapping[str, Any]) -> str:
    step = "" if run["goal"] is None else f" at step {run['goal']}"
    numbers = [_number(metric) for metric in run["metrics"] if metric["value"] is not None]
    read = f", having read {_short(run['inputs'])}" if run["inputs"] else ""
    return f"measured of {run['label']}{step}{read}: {', '.join(numbers) or 'nothing'}"


def _number(metric: Mapping[str, Any]) -> str:
    name_and_value = f"{metric['name']} {metric['value']:.6g}"
    if metric["low"] is None:
        return name_and_value
    return f"{name_and_value} (95 % interval {metric['low']:.6g} to {metric['high']:.6g})"


def _short(inputs: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {sha256[:12]}…" for name, sha256 in sorted(inputs.items()))


def _difference(comparison: Comparison) -> str:
    word = "lower" if comparison.difference < 0 else "higher"
    return (
        f"{comparison.measure.name} of {comparison.label} is {word} than of "
        f"{comparison.reference} by "
        f"{100 * abs(comparison.difference):.2f} percentage points: {_numbers(comparison)}"
    )


def _no_difference(comparison: Comparison) -> str:
    sides = f"{comparison.label} and {comparison.reference}"
    why = "" if comparison.refused is None else f"; {comparison.refused}"
    return f"a difference in {comparison.measure.name} between {sides}: {_numbers(comparison)}{why}"


def _numbers(comparison: Comparison) -> str:
    measure, holm, least = comparison.measure, comparison.p_value_holm, comparison.least
    adjusted = "" if holm is None else f", p (Holm) {holm:.3g}"
    beside = "" if least is None else f"; {measure.brought_by}: {100 * least:.2f}"
    return (
        f"{100 * comparison.difference:+.2f}, 95 % interval {100 * comparison.low:+.2f} to "
        f"{100 * comparison.high:+.2f}, p {comparison.p_value:.3g}{adjusted}, paired over "
        f"{comparison.units or comparison.rows:,} {comparison.unit or measure.unit}{beside}"
    )


def _of_kinds(present: Sequence[Candidate]) -> list[Claim]:
    """Return the limits that the lanes of runs know of, each with the runs that it holds for."""
    runs_by_limit: dict[str, list[str]] = {}
    for one in sorted(present, key=lambda one: one.run.kind):
        for limit in support.of_kind(one.run.kind).limits(one):
            runs_by_limit.setdefault(limit, []).append(one.name)
    return [_claim(limit, list(dict.fromkeys(names))) for limit, names in runs_by_limit.items()]


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
    limit = "how far a result moves from seed to seed: of these there is one seed each"
    return [_claim(limit, list(dict.fromkeys(single)))] if single else []


def _of_places(names: Sequence[str], shown: Mapping[str, Any]) -> list[Claim]:
    claims = []
    if len(shown["code"]) > 1:
        commits = "; ".join(
            f"{row['commit'][:12]}: {' '.join(row['runs'])}" for row in shown["code"]
        )
        claims.append(
            _claim(
                "that the code had no part in the differences: it is of several commits "
                f"({commits})",
                names,
            )
        )
    if len(shown["environments"]) > 1:
        claims.append(
            _claim(
                "that machine and package versions had no part in the differences: there are "
                f"{len(shown['environments'])} environments",
                names,
            )
        )
    return claims


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
