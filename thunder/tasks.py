"""The Invoke collection behind the `thunder` command: questions about what is in outputs/."""

import re
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from invoke.collection import Collection
from invoke.context import Context

from thunder import cli, files, store, text, views
from thunder.errors import ThunderError


def _request(name: str, words: Sequence[str], outputs: str, config_dir: str) -> Any:
    """Return the cells that a matrix, a profile, a kept plan or overrides stand for."""
    from thunder import launch

    return launch.named(name, words, outputs=Path(outputs), config_dir=places_dir(config_dir))


def places_dir(config_dir: str) -> Path | None:
    """Return the folder of --config-dir, None when it was not given."""
    return Path(config_dir) if config_dir else None


@cli.task("name", name="a matrix or a profile")
def plan(
    context: Context, name: str = "", set: Sequence[str] | None = None, outputs: str = "outputs",
    config_dir: str = "", json: bool = False,
) -> int | None:  # fmt: skip
    """Show what would run, what is done, and what an edit adds, keeps and orphans."""
    from thunder import launch, plans, runner, screen

    request = _request(name, set or (), outputs, config_dir)
    planned = runner.plan(request.cells, Path(outputs))
    changed: dict[str, Any] = {}
    if request.matrix is not None:
        new = plans.document(request.matrix, planned)
        changed = plans.changes(plans.read(Path(outputs), request.matrix.name), new)
        launch.keep(Path(outputs), new, may_fail=True)
    if json:
        cells = [views.planned_json(row) for row in planned]
        print(files.render_json({"name": name, "cells": cells, "changes": changed}), end="")
        return None
    print("\n".join(screen.plan_lines(planned, len(planned))))
    if request.matrix is not None:
        print(launch.summary(request.matrix.name, planned))
    for line in views.change_lines(changed):
        print(line)
    return None


@cli.task("name", name="a matrix or a profile; every run in outputs/ by default")
def status(
    context: Context, name: str = "", set: Sequence[str] | None = None, outputs: str = "outputs",
    config_dir: str = "", json: bool = False,
) -> int | None:  # fmt: skip
    """Show how far runs are."""
    if name or set:
        from thunder import launch, runner

        request = _request(name, set or (), outputs, config_dir)
        planned = runner.plan(request.cells, Path(outputs))
        rows = [views.planned_json(row) for row in planned]
        foot = launch.summary(name or "these", planned)
    else:
        rows = [views.run_json(run) for run in store.all_runs(Path(outputs))]
        foot = f"{text.count(len(rows), 'run')} in {Path(outputs).absolute()}"
    if json:
        print(files.render_json(rows), end="")
        return None
    head = ["id", "kind", "what", "status", "step", "stand-in"]
    keys = ["run", "kind", "label", "status", "steps", "stand_in"]
    if rows:
        print(text.columns(head, [[row[key] for key in keys] for row in _marked(rows)]))
    for fault in [row["fault"] for row in rows if row.get("fault")]:
        print(fault)
    print(foot)
    return None


def _marked(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return rows whose stand-ins can be seen at a glance."""
    return [{**row, "stand_in": "yes" if row["stand_in"] else ""} for row in rows]


@cli.task("run", run="an id, or its beginning")
def show(context: Context, run: str, outputs: str = "outputs", json: bool = False) -> int | None:
    """Show one run: its config, record and numbers."""
    import yaml

    found = store.by_prefix(Path(outputs), run)
    record, document, metrics = found.record(), found.document(), found.metrics()
    if json:
        value = {
            "record": record,
            "config": document,
            "metrics": metrics,
            "folder": str(found.folder.absolute()),
        }
        print(files.render_json(value), end="")
        return None
    last, status = record["attempts"][-1], found.status(record)
    mark = "  stand-in" if record["stand_in"] else ""
    print(f"{record['kind']} {found.folder.name}  {status}  {views.steps(record)}{mark}".rstrip())
    print(f"folder   {found.folder.absolute()}")
    print(f"command  {shlex.join(last['provenance']['command'])}")
    print(f"code     {last['provenance']['commit'] or last['provenance']['reason']}"
          f"{' + uncommitted changes' if last['provenance']['dirty'] else ''}")  # fmt: skip
    print(f"host     {last['provenance']['host']['name']}, {last['provenance']['host']['cpu']}")
    print("\n".join(views.attempt_lines(record, status)))
    if metrics:
        print(text.columns(["metric", "value"], sorted(metrics.items())))
    print(yaml.safe_dump(document, allow_unicode=True, sort_keys=False).rstrip())
    return None


@cli.task("name", name="a matrix or a profile")
def why(
    context: Context, name: str = "", set: Sequence[str] | None = None, outputs: str = "outputs",
    config_dir: str = "", json: bool = False,
) -> int | None:  # fmt: skip
    """Say what makes cells new runs: the nearest run, the keys that differ, what set them."""
    from thunder import explain

    request = _request(name, set or (), outputs, config_dir)
    reasons = explain.why(
        request.cells, request.matrix, request.words, request.places, Path(outputs)
    )
    if json:
        print(files.render_json([views.reason_json(reason) for reason in reasons]), end="")
        return None
    for reason in reasons:
        print("\n".join(views.reason_lines(reason)))
    return None


@cli.task("first", "second", first="an id, or its beginning", second="another")
def diff(
    context: Context, first: str, second: str, outputs: str = "outputs", json: bool = False
) -> int | None:
    """Show in which keys two runs differ."""
    runs = [store.by_prefix(Path(outputs), word) for word in (first, second)]
    rows = store.differences(*(run.document() for run in runs))
    if json:
        print(files.render_json([{"key": k, "first": a, "second": b} for k, a, b in rows]), end="")
    elif rows:
        print(text.columns(["key", *(run.folder.name for run in runs)], rows))
    else:
        print("the two runs are of one job")
    return None


@cli.task("run", run="an id, its beginning, a matrix, or nothing for every run")
def verify(
    context: Context,
    run: str = "",
    outputs: str = "outputs",
    config_dir: str = "",
    json: bool = False,
) -> int | None:
    """Prove that runs are what their manifests say, byte by byte."""
    runs = _runs_of(run, outputs, config_dir)
    rows = [views.verified(found) for found in runs]
    bad = sum(row["result"] == "FAIL" for row in rows)
    proven = sum(row["result"] == "PASS" for row in rows)
    if json:
        print(files.render_json(rows), end="")
    else:
        for row in rows:
            print("  ".join([row["run"], row["result"], *row["faults"][:1]]))
            for fault in row["faults"][1:]:
                print(f"  {fault}")
        total = text.count(len(rows), "run")
        print(f"{proven} of {total} proven, {bad} not what they should be")
    return 1 if bad or not proven else None


@cli.task(
    "name", name="a matrix", check="fail when the tables on disk no longer follow from the runs"
)
def table(
    context: Context, name: str, set: Sequence[str] | None = None, outputs: str = "outputs",
    config_dir: str = "", check: bool = False, json: bool = False,
) -> int | None:  # fmt: skip
    """Regenerate the table of a matrix from outputs/, as Markdown, CSV and JSON."""
    from thunder.tables import summary

    request = _request(name, set or (), outputs, config_dir)
    if request.matrix is None:
        raise ThunderError(f"{name!r} is a profile; a table needs a matrix")
    matrix = summary.with_table(request.matrix, request.cells, Path(outputs))
    found = summary.build(matrix, request.cells, Path(outputs))
    folder = Path(outputs) / "tables"
    if check:
        old = summary.stale(found, folder)
        if json:
            print(files.render_json({"stale": [str(path) for path in old]}), end="")
        for path in old if not json else ():
            print(f"stale    {path}")
        if not old and not json:
            print(f"fresh    {folder / name}.md follows from the runs")
        return 1 if old else None
    paths = summary.write(found, folder)
    print(files.render_json(found) if json else summary.render_markdown(found), end="")
    if not json:
        print("\n".join(f"written  {path}" for path in paths))
    return None


@cli.task("run", run="an id, or its beginning")
def report(context: Context, run: str, outputs: str = "outputs", json: bool = False) -> int | None:
    """Print the report of a run."""
    found = store.by_prefix(Path(outputs), run)
    path = found.folder / ("report.json" if json else "report.md")
    if not path.is_file():
        raise ThunderError(f"{path}: no report; the run is {found.status()}")
    print(path.read_text(encoding="utf-8"), end="")
    return None


@cli.task()
def doctor(
    context: Context, outputs: str = "outputs", config_dir: str = "", json: bool = False
) -> int | None:
    """Say what is installed, which BLAS and backend there are, and what each site has."""
    from thunder import doctor as doctors

    found = doctors.examine(places_dir(config_dir), Path(outputs))
    print(files.render_json(found) if json else doctors.render(found), end="")
    return None


@cli.task()
def check(context: Context, config_dir: str = "", outputs: str = "outputs") -> int | None:
    """Compose and check every profile and matrix, and run nothing."""
    from thunder import config

    places = config.sources(places_dir(config_dir))
    matrices = sorted({path.stem for root in places.matrices for path in root.glob("*.yaml")})
    bad = 0
    for name in [*places.groups.get("profile", []), *matrices]:
        try:
            cells = len(_request(name, [], outputs, config_dir).cells)
            print(f"ok    {name} ({cells} cell{'s' * (cells != 1)})")
        except ThunderError as error:
            bad += 1
            print(f"FAIL  {name}\n{error}")
    return 1 if bad else None


@cli.task(
    "action", "target", action="build", target="the folder to make",
    source="a JSON Lines file of sentences; the built-in generator by default",
    column="the column of the file that has the text", id_column="the column that names a row",
    script="nko, nko_bridged or latin", seed="seed of the perturbations", rows="rows to generate",
    license="the licence of the text, for the manifest",
)  # fmt: skip
def corpus(
    context: Context, action: str, target: str, source: str = "", column: str = "text",
    id_column: str = "", script: str = "nko", seed: int = 0, rows: int = 640, license: str = "",
) -> int | None:  # fmt: skip
    """Build a correction corpus: `thunder corpus build FOLDER [--source FILE --column NAME]`."""
    from thunder.lanes.adapter.corpora import build

    if action != "build":
        raise ThunderError(f"corpus {action!r}: not an action; actions: build")
    folder = Path(target)
    if folder.exists():
        raise ThunderError(
            f"{folder} exists; a corpus is never built over another: name a new folder"
        )
    if source:
        found = build.build_from_file(
            Path(source), column, folder, script=script, seed=seed,
            id_column=id_column or None, license=license or None,
        )  # fmt: skip
    else:
        recipe = {"recipe": "sentences", "rows": rows, "seed": seed, "script": script}
        found = build.build_recipe(recipe, folder)
    counts = found["counts"]
    splits = ", ".join(f"{counts[split]} {split}" for split in ("train", "valid", "test"))
    print(f"{folder.absolute()}: {splits} rows")
    for reason, count in counts["dropped"].items():
        print(f"  dropped {count}: {reason}")
    print(
        f"use it: python -m thunder +profile=… data=folder data.source.folder={folder.absolute()}"
    )
    return None


def _runs_of(word: str, outputs: str, config_dir: str) -> list[store.Run]:
    if not word:
        return store.all_runs(Path(outputs))
    if re.fullmatch(r"[0-9a-f]{4,12}(\.\d+)?", word):
        return [store.by_prefix(Path(outputs), word)]
    cells = _request(word, [], outputs, config_dir).cells
    runs = {store.find(Path(outputs), cell.job.kind, cell.job.id).folder for cell in cells}
    return [store.Run(folder) for folder in sorted(runs) if store.Run(folder).exists()]


namespace = Collection(plan, status, show, why, diff, verify, table, report, doctor, check, corpus)


def main(arguments: list[str] | None = None) -> int:
    """Run the `thunder` command."""
    return cli.run(namespace, sys.argv[1:] if arguments is None else arguments)
