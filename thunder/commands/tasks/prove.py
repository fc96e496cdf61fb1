"""Tasks that prove: manifests, tables and reports, from what the runs left."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from thunder.commands import cli, decoding, selection, views
from thunder.commands.selection import outputs_dir
from thunder.ground import files, folders, schema, wording
from thunder.ground.errors import ThunderError
from thunder.jobs.kinds import KINDS
from thunder.runs import mirror, reading, store


@cli.task(
    "run", run="an id, its beginning, a matrix, or nothing for every run",
    decode="decode the model of each run again and compare its texts with the run's",
)  # fmt: skip
def verify(
    run: str = "", decode: bool = False, outputs: str | None = None, config_dir: str = "",
    json: bool = False,
) -> int | None:  # fmt: skip
    """Prove that runs are what their manifests say, byte by byte."""
    root = outputs_dir(outputs, config_dir)
    runs = selection.runs_of(run, root, config_dir)
    if decode and selection.is_run(run):
        decoding.check_kind(runs[0])
    rows = [views.verified(one) for one in runs]
    if decode:
        rows = [decoding.decoded(row, one, root) for row, one in zip(rows, runs, strict=True)]
    bad = sum(row["result"] == "FAIL" for row in rows)
    proven = sum(row["result"] == "PASS" for row in rows)
    undecided = sum(row["result"] == "UNDECIDED" for row in rows)
    if json:
        print(files.render_json(rows), end="")
    else:
        for row in rows:
            print("  ".join([row["run"], row["result"], *row["faults"][:1]]))
            for line in [*row["faults"][1:], *row.get("notes", [])]:
                print(f"  {line}")
        total = wording.count(len(rows), "run")
        rest = f", {undecided} undecided" if undecided else ""
        print(f"{proven} of {total} proven, {bad} not what they should be{rest}")
    return 1 if bad or undecided or not proven else None


@cli.task(
    "name", name="a matrix", check="fail when the tables on disk no longer follow from the runs"
)
def table(
    name: str, set: Sequence[str] | None = None, outputs: str | None = None,
    config_dir: str = "", check: bool = False, json: bool = False,
) -> int | None:  # fmt: skip
    """Regenerate the tables of a matrix from outputs/: Markdown, CSV, JSON; LaTeX and plots too."""
    root = outputs_dir(outputs, config_dir)
    request = selection.request(name, set or (), root, config_dir)
    if request.matrix is None:
        raise ThunderError(f"{name!r} is a profile; a table needs a matrix")
    from thunder.results.tables import makers

    is_another = selection.is_another(request)
    if check and is_another:
        raise ThunderError(f"--check: {selection.NOT_WHOLE}; there is no table of it on disk")
    tables = makers.of(request.cells)
    document = tables.build(request.matrix, request.cells, root)
    folder, lost = root / folders.TABLES, document["unreadable"]
    if check:
        old = _say_stale(tables.stale(document, folder), folder / f"{name}.md", json=json)
        return _say_unreadable(lost, root) or old
    paths = [] if is_another else tables.write(document, folder)
    print(files.render_json(document) if json else tables.render_brief(document), end="")
    if not json:
        ending = [f"written  {path}" for path in paths] or [f"not written: {selection.NOT_WHOLE}"]
        print("\n".join(ending))
    return _say_unreadable(lost, root)


def _say_unreadable(reasons: Sequence[str], root: Path) -> int | None:
    """Say which runs a table lacks though they are there."""
    if not reasons:
        return None
    count = wording.count(len(reasons), "cell")
    title = f"thunder: {count} without numbers, as the run in {root.absolute()} cannot be read:"
    print("\n".join([title, *(f"  {reason}" for reason in reasons)]), file=sys.stderr)
    return 1


def _say_stale(old: Sequence[Path], page: Path, *, json: bool) -> int | None:
    if json:
        print(files.render_json({"stale": [str(path) for path in old]}), end="")
    for path in old if not json else ():
        print(f"stale    {path}")
    if not old and not json:
        print(f"fresh    {page} follows from the runs")
    return 1 if old else None


@cli.task("run", run="an id, or its beginning")
def report(
    run: str, outputs: str | None = None, config_dir: str = "",
    json: bool = False,
) -> int | None:  # fmt: skip
    """Print the report of a run."""
    selected = store.by_prefix(outputs_dir(outputs, config_dir), run)
    kind, so_far = KINDS[selected.kind], reading.of(selected, None)
    if so_far.fault is not None:
        raise ThunderError(so_far.in_words, "verification")
    path = selected.folder
    if kind.report:
        path = (path / kind.report).with_suffix(".json" if json else ".md")
    if not path.is_file():
        name, more = selected.folder.name, " or thunder errors" if kind.page else ""
        raise ThunderError(
            f"{path}: no report; the run is {so_far.status}: ask thunder show{more} {name}"
        )
    print(path.read_text(encoding="utf-8"), end="")
    for line in [] if json else mirror.table(selected.folder):
        print(line)
    return None


@cli.task(
    "predictions", "references", predictions="a *_predictions.jsonl",
    references="the *_references.jsonl of the same rows", samples="resamples of each interval",
    seed="seed of the resampling", bridge="v1_compat or v2_standard: score Latin rows in N'Ko, too",
)  # fmt: skip
def score(
    predictions: str, references: str, samples: int = 1000, seed: int = 0,
    bridge: str = "", json: bool = False,
) -> int | None:  # fmt: skip
    """Score recognised text again from two dumps alone: `thunder score PREDICTIONS REFERENCES`."""
    from thunder.scoring import documents, dumps

    dump = dumps.read(Path(predictions), Path(references))
    scores = documents.of_dump(dump, samples, seed, bridge or None)
    schema.check("score", scores, "the scores", cause="crash")
    print(files.render_json(scores) if json else documents.render(scores), end="")
    return None


@cli.task(
    "run", run="an id, or its beginning", rows="rows of each selection",
    variant="the form of the texts that is shown: raw, norm or toneless",
    no_sound="leave recordings out of the page, which is then as small as it can be",
)  # fmt: skip
def errors(
    run: str, rows: int = 60, variant: str = "norm", no_sound: bool = False,
    outputs: str | None = None, config_dir: str = "",
) -> int | None:  # fmt: skip
    """Write a page that shows what a run got wrong: edits marked, rows to be heard and seen."""
    from thunder.results import pages

    selected = store.by_prefix(outputs_dir(outputs, config_dir), run)
    path = pages.write(selected, rows=rows, variant=variant, has_sound=not no_sound)
    print(f"written  {path.absolute()}")
    return None


@cli.task(
    "name", name="an id, its beginning, or a matrix", record="name of the record",
    several_commits="allow runs of several commits; the record says so",
)  # fmt: skip
def promote(
    name: str, record: str = "", several_commits: bool = False,
    outputs: str | None = None, config_dir: str = "", json: bool = False,
) -> int | None:  # fmt: skip
    """Write the promotion record of a run or a bundle: ids, data, numbers, commands, claims."""
    from thunder.results import promotion

    root = outputs_dir(outputs, config_dir)
    settings: dict[str, Any] = {"name": record or None, "several_commits": several_commits}
    if selection.is_run(name):
        promoted = promotion.of_run(store.by_prefix(root, name), **settings)
    else:
        request = selection.request(name, [], root, config_dir)
        if request.matrix is None:
            raise ThunderError(f"{name!r} is a profile; promote a run by its id, or a matrix")
        promoted = promotion.of_matrix(request.matrix, request.cells, root, **settings)
    paths = promotion.write(promoted, root)
    print(files.render_json(promoted) if json else paths[1].read_text(encoding="utf-8"), end="")
    if not json:
        print("\n".join(f"written  {path.absolute()}" for path in paths))
    return None
