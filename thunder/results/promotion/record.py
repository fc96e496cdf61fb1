"""The promotion record: run ids, snapshots, metrics, commands; what is claimed and what is not."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from thunder.ground import digest, files, folders, schema
from thunder.ground.errors import Faults, ThunderError
from thunder.jobs.matrix import Cell
from thunder.jobs.matrix_file import Matrix
from thunder.results.promotion import candidates, claims, evidence, markdown, refusals, support
from thunder.results.promotion.candidates import Candidate
from thunder.results.promotion.comparison import Comparisons
from thunder.runs import attempts, once
from thunder.runs.run import Run

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@once.reading()
def of_run(run: Run, *, name: str | None = None, several_commits: bool = False) -> dict[str, Any]:
    """Return the promotion record of one run of any kind.

    Args:
        name: of the record; by default kind and id.
        several_commits: whether attempts of several commits may stand side by side; it is said.

    Raises:
        Faults: every reason why the run cannot be promoted.
    """
    name = name or f"{run.kind}-{run.folder.name}"
    runs = candidates.of_run(run)
    reasons = refusals.reasons(runs, several_commits=several_commits)
    _refuse(name, [*reasons, *refusals.unproven(runs)])
    subject = {"run": run.folder.name, "matrix": None, "question": None}
    return _document(name, subject, runs, Comparisons())


@once.reading()
def of_matrix(
    matrix: Matrix,
    cells: Sequence[Cell],
    outputs: Path,
    *,
    name: str | None = None,
    several_commits: bool = False,
) -> dict[str, Any]:
    """Return the promotion record of a matrix: all its required cells, and the optional ones done.

    Raises:
        Faults: every reason why it cannot be promoted, those of its tables among them.
    """
    name = name or matrix.name
    runs = candidates.of_cells(matrix, cells, outputs)
    reasons = refusals.reasons(runs, several_commits=several_commits)
    unproven = refusals.unproven(runs)
    reasons += unproven
    compared = Comparisons()
    if not unproven:
        try:
            compared = support.of_cells(cells).comparisons(matrix, cells, outputs)
        except ThunderError as error:
            reasons.append(str(error))
    _refuse(name, reasons)
    subject = {"run": None, "matrix": dict(matrix.spec), "question": matrix.question}
    return _document(name, subject, runs, compared)


def write(document: dict[str, Any], outputs: Path) -> list[Path]:
    """Write a record as JSON and Markdown; one that is there already stays as it is.

    Raises:
        ThunderError: another record has this name, or the name is none for a file.
    """
    name = document["name"]
    if not _NAME.fullmatch(name):
        raise ThunderError(f"{name!r}: not a name; letters, digits and . _ - are allowed")
    stem = outputs / folders.PROMOTIONS / name
    path, rendering = (stem.with_name(f"{name}.{ending}") for ending in ("json", "md"))
    if path.exists():
        document = {**document, "created": _created(path, document)}
    else:
        files.write_json(path, document)
    files.write_text(rendering, markdown.render(document))
    return [path, rendering]


def _refuse(name: str, reasons: Sequence[str]) -> None:
    if reasons:
        raise Faults(f"{name!r} cannot be promoted:", reasons, "verification")


def _document(
    name: str, subject: dict[str, Any], looked_at: Sequence[Candidate], compared: Comparisons
) -> dict[str, Any]:
    present = [one for one in looked_at if one.is_present]
    runs = [evidence.run(one) for one in present]
    defined = evidence.definitions(present)
    shown: dict[str, Any] = {
        "code": [
            {"commit": commit, "runs": names} for commit, names in refusals.commits(present).items()
        ],
        "environments": evidence.environments(present),
    }
    own = [run for run in runs if not run["needed_by"]]
    words = [row["word"] for row in defined]
    document = {
        "name": name,
        "created": attempts.now(),
        "subject": subject,
        "snapshot": _snapshot(own),
        "runs": runs,
        "missing": [
            {"cell": dict(one.coordinates), "run": one.name, "reason": one.fault or one.shortfall}
            for one in looked_at
            if not one.is_present
        ],
        "definitions": defined,
        "comparisons": [one.recorded() for one in compared.made],
        "claimed": claims.claimed(own, compared.made),
        "not_claimed": claims.not_claimed(looked_at, own, compared, words, shown),
        **shown,
    }
    schema.check("promotion", document, f"the promotion {name!r}", cause="crash")
    return document


def _snapshot(runs: Sequence[dict[str, Any]]) -> dict[str, str]:
    """Return the inputs that every run read alike."""
    first: dict[str, str] = runs[0]["inputs"]
    return {
        name: sha256
        for name, sha256 in first.items()
        if all(run["inputs"].get(name) == sha256 for run in runs)
    }


def _created(path: Path, document: dict[str, Any]) -> str:
    """Return when the record that is there was made, when it says what this one says."""
    try:
        before = files.read_json(path)
        schema.check("promotion", before, str(path))
    except (OSError, ValueError, ThunderError) as error:
        raise ThunderError(f"{path}: cannot be read: {error}", "verification") from error
    keys = [key for key in document if key != "created"]
    if changed := [key for key in keys if not digest.is_same(before[key], document[key])]:
        raise ThunderError(
            f"{path}: another promotion, of {before['created']}, has this name (other "
            f"{', '.join(changed)}); a promotion is never overwritten: name this one with --record",
            "user",
        )
    return str(before["created"])
