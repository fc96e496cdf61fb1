"""Why runs cannot be promoted: every reason, not the first one alone."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from thunder.ground import wording
from thunder.jobs import inputs, mixed
from thunder.jobs.kinds import KINDS
from thunder.results.promotion.candidates import Candidate
from thunder.runs import manifest, store

_SHOWN_FAULTS = 5


def reasons(candidates: Sequence[Candidate], *, several_commits: bool) -> list[str]:
    """Return what stands against promoting these runs, their bytes aside; empty when nothing."""
    every = [reason for one in candidates for reason in _incomplete(one)]
    present = [one for one in candidates if one.is_present]
    runs = {one.run.folder: one for one in present}  # windows of one job are one run
    every += [reason for one in runs.values() for reason in _of_record(one)]
    every += _mixed_inputs(present)
    if not several_commits:
        every += _several_commits(present)
    return list(dict.fromkeys(every))


def unproven(candidates: Sequence[Candidate]) -> list[str]:
    """Return what is wrong with the bytes of runs: missing, changed, or not listed."""
    runs = {one.run.folder: one for one in candidates if one.is_present}
    return [fault for one in runs.values() for fault in _of_proof(one)]


def commits(candidates: Sequence[Candidate]) -> dict[str, list[str]]:
    """Return the commits of the code that made runs, each with the names of its runs."""
    by_commit: dict[str, dict[str, None]] = {}
    for candidate in candidates:
        for attempt in (candidate.record or {}).get("attempts", []):
            if commit := attempt["provenance"]["commit"]:
                by_commit.setdefault(commit, {})[candidate.name] = None
    return {commit: list(names) for commit, names in sorted(by_commit.items())}


def _incomplete(one: Candidate) -> Iterator[str]:
    if one.fault:
        yield f"run {one.label}: {one.fault}"
    elif one.shortfall and one.is_required:
        yield f"required {'cell' if one.record is None else 'run'} {one.label}: {one.shortfall}"


def _of_record(one: Candidate) -> Iterator[str]:
    if (one.record or {})["stand_in"]:
        what = " and ".join(_stand_ins(one)) or "model or data"
        yield f"run {one.label}: a stand-in of {what}; it shows that the machinery works"
    yield from _of_attempts(one)


def _stand_ins(one: Candidate) -> list[str]:
    """Return the inputs that are stand-ins, as far as the document tells."""
    marked: Sequence[str] = ()
    with suppress(KeyError, TypeError):  # a document of an earlier version may lack a section
        marked = KINDS[one.run.kind].stand_ins(one.document)
    return sorted({*inputs.recipes_of(one.document), *marked})


def _of_attempts(one: Candidate) -> Iterator[str]:
    attempts: Sequence[Mapping[str, Any]] = (one.record or {})["attempts"]
    for attempt in attempts:
        code, place = attempt["provenance"], f"run {one.label}, attempt {attempt['number']}"
        if code["commit"] is None:
            yield f"{place}: the commit of its code is not known ({code['reason'] or 'no reason'})"
        elif code["dirty"]:
            fix = "commit them, then run it again with force=true"
            yield f"{place}: code with uncommitted changes on commit {code['commit'][:12]}; {fix}"
    if not attempts[-1]["runtime"]["reproduce"]:
        yield f"run {one.label}: no command is recorded that makes it again"


def _of_proof(one: Candidate) -> Iterator[str]:
    faults = store.verify(one.run)
    shown = wording.some_lines(faults, _SHOWN_FAULTS)
    yield from (f"run {one.label}: {fault}" for fault in shown)
    if not faults:
        listed = manifest.listed(one.run.folder, one.run.id)
        wanted = KINDS[one.run.kind].artifacts
        if lacking := [name for name in wanted if name not in listed]:
            yield f"run {one.label}: lacks {', '.join(lacking)}"


def _mixed_inputs(present: Sequence[Candidate]) -> Iterator[str]:
    def meant(one: Candidate, name: str) -> tuple[str, str] | None:
        is_meant = name in KINDS[one.run.kind].alike and not _is_varied(one, name)
        return (one.run.kind, name) if is_meant else None

    for pair in mixed.inputs([(one, (one.record or {})["inputs"]) for one in present], meant):
        yield (
            f"runs {pair.first.label} and {pair.other.label}: different {pair.name} "
            f"(sha256 {pair.short}); one snapshot is needed"
        )


def _is_varied(one: Candidate, name: str) -> bool:
    return any(key == name or key.startswith(f"{name}.") for key in one.coordinates)


def _several_commits(present: Sequence[Candidate]) -> Iterator[str]:
    by_commit = commits(present)
    if len(by_commit) > 1:
        listed = "; ".join(
            f"{commit[:12]}: {' '.join(names)}" for commit, names in by_commit.items()
        )
        yield (
            f"made by {len(by_commit)} commits of the code, {listed} (--several-commits allows it, "
            "and the record says so)"
        )
