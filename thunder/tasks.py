"""The Invoke collection behind the `thunder` command: questions about what is in outputs/."""

import os
import re
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from invoke.collection import Collection
from invoke.context import Context

from thunder import cli, digest, files, places, store, text, views
from thunder.errors import ThunderError

_NOT_WHOLE = "with these words the cells are not those of the matrix as it is written"


def _request(name: str, words: Sequence[str], folder: Path, config_dir: str) -> Any:
    """Return the cells that a matrix, a profile, a kept plan or overrides stand for."""
    from thunder import launch
    from thunder import matrix as matrices

    found = places.sources(places_dir(config_dir))
    path = matrices.path_of(name, found) if name in found.groups.get("profile", []) else None
    if path is not None:
        raise ThunderError(f"{name!r} is a profile and a matrix, {path}; rename one of them")
    return launch.named(name, words, outputs=folder, config_dir=places_dir(config_dir))


def _part(name: str, words: Sequence[str], folder: Path, config_dir: str) -> tuple[Any, bool]:
    """Return a request whose cells are those that words for axes leave, and whether any did."""
    from thunder import overrides

    found = places.sources(places_dir(config_dir))
    parsed = overrides.parse(words, found)
    given = {**parsed.sweeps, **_alone(parsed.values), **_alone(parsed.choices)}
    axes = _axes(name, folder, found)
    wanted = {overrides.full_key(k): v for k, v in given.items() if overrides.full_key(k) in axes}
    of_axes = {parsed.spelt[key] for key in wanted}
    request = _request(name, [w for w in words if w not in of_axes], folder, config_dir)
    if not wanted:
        return request, False
    cells = [cell for cell in request.cells if _is_in(cell.coordinates, wanted)]
    if not cells:
        raise ThunderError(f"{name!r} has no cell with {' '.join(sorted(of_axes))}")
    return replace(request, cells=cells), True


def _alone(values: Mapping[str, Any]) -> dict[str, list[Any]]:
    return {key: [value] for key, value in values.items()}


def _axes(name: str, folder: Path, found: places.Sources) -> set[str]:
    """Return the full keys that the cells of a matrix or a kept sweep differ in."""
    from thunder import matrix as matrices
    from thunder import overrides, plans

    if not name or name in found.groups.get("profile", []):
        return set()
    kept = None if matrices.path_of(name, found) else plans.read(folder, name)
    spec = kept["matrix"] if kept else None
    if matrices.path_of(name, found):
        spec = matrices.load(name, found).spec
    points = [spec["axes"], *spec.get("include", [])] if spec else []
    return {overrides.full_key(key) for point in points for key in point}


def _is_in(coordinates: dict[str, Any], wanted: dict[str, list[Any]]) -> bool:
    from thunder import overrides

    point = {overrides.full_key(key): value for key, value in coordinates.items()}
    return all(
        key in point and any(digest.is_same(point[key], value) for value in values)
        for key, values in wanted.items()
    )


def _is_another(request: Any) -> bool:
    """Say whether words make other cells than those of the matrix as it is written or kept."""
    from thunder import overrides

    given = {*request.words.choices, *request.words.values} - {*overrides.OF_ALL}
    return request.matrix is not None and not request.words.sweeps and bool(given)


def places_dir(config_dir: str) -> Path | None:
    """Return the folder of --config-dir, None when it was not given."""
    return Path(config_dir) if config_dir else None


def outputs_dir(outputs: str | None, config_dir: str = "") -> Path:
    """Return the folder of --outputs; when it was not given, where this machine's runs land."""
    if outputs == "":
        raise ThunderError("--outputs: a folder is needed after it")
    found = outputs or places.sources(places_dir(config_dir)).outputs()
    return Path(os.path.expanduser(found))


@cli.task("name", name="a matrix or a profile")
def plan(
    context: Context, name: str = "", set: Sequence[str] | None = None, outputs: str | None = None,
    config_dir: str = "", json: bool = False,
) -> int | None:  # fmt: skip
    """Show what would run, what is done, and what an edit adds, keeps and orphans."""
    from thunder import launch, plans, runner, screen

    folder = outputs_dir(outputs, config_dir)
    request, is_part = _part(name, set or (), folder, config_dir)
    planned = runner.plan(request.cells, folder)
    changed: dict[str, Any] = {}
    is_kept = request.matrix is not None and not is_part and not _is_another(request)
    if is_kept:
        new = plans.document(request.matrix, planned)
        changed = plans.changes(plans.read(folder, request.matrix.name), new)
        launch.keep(folder, new, may_fail=True)
    if json:
        cells = [views.planned_json(row) for row in planned]
        print(files.render_json({"name": name, "cells": cells, "changes": changed}), end="")
        return None
    print("\n".join(screen.plan_lines(planned)))
    if request.matrix is not None:
        print(launch.summary(request.matrix.name, planned))
        if not is_kept:
            print(f"not kept: {_NOT_WHOLE}")
    for line in views.change_lines(changed):
        print(line)
    return None


@cli.task("name", name="a matrix or a profile; every run in outputs/ by default")
def status(
    context: Context, name: str = "", set: Sequence[str] | None = None, outputs: str | None = None,
    config_dir: str = "", json: bool = False,
) -> int | None:  # fmt: skip
    """Show how far runs are."""
    folder = outputs_dir(outputs, config_dir)
    if name or set:
        from thunder import launch, runner

        request, _ = _part(name, set or (), folder, config_dir)
        planned = runner.plan(request.cells, folder)
        rows = [views.planned_json(row) for row in planned]
        foot = launch.summary(name or "these", planned)
    else:
        rows = [views.run_json(run) for run in store.all_runs(folder)]
        foot = f"{text.count(len(rows), 'run')} in {folder.absolute()}"
        if not folder.exists():
            foot = f"no runs: there is no folder {folder.absolute()} yet"
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
def show(
    context: Context, run: str, outputs: str | None = None, config_dir: str = "",
    json: bool = False,
) -> int | None:  # fmt: skip
    """Show one run: its config, record and numbers."""
    import yaml

    found = store.by_prefix(outputs_dir(outputs, config_dir), run)
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
    context: Context, name: str = "", set: Sequence[str] | None = None, outputs: str | None = None,
    config_dir: str = "", json: bool = False,
) -> int | None:  # fmt: skip
    """Say what makes cells new runs: the nearest run, the keys that differ, what set them."""
    from thunder import explain

    folder = outputs_dir(outputs, config_dir)
    request, _ = _part(name, set or (), folder, config_dir)
    reasons = explain.why(request.cells, request.matrix, request.words, request.places, folder)
    if json:
        print(files.render_json([views.reason_json(reason) for reason in reasons]), end="")
        return None
    for reason in reasons:
        print("\n".join(views.reason_lines(reason)))
    return None


@cli.task("first", "second", first="an id, or its beginning", second="another")
def diff(
    context: Context, first: str, second: str, outputs: str | None = None, config_dir: str = "",
    json: bool = False,
) -> int | None:  # fmt: skip
    """Show in which keys two runs differ."""
    folder = outputs_dir(outputs, config_dir)
    runs = [store.by_prefix(folder, word) for word in (first, second)]
    rows = store.differences(*(run.document() for run in runs))
    if json:
        print(files.render_json([views.difference_json(*row) for row in rows]), end="")
    elif rows:
        print(text.columns(["key", *(run.folder.name for run in runs)], rows))
    else:
        print("the two runs are of one job")
    return None


@cli.task("run", run="an id, its beginning, a matrix, or nothing for every run")
def verify(
    context: Context,
    run: str = "",
    outputs: str | None = None,
    config_dir: str = "",
    json: bool = False,
) -> int | None:
    """Prove that runs are what their manifests say, byte by byte."""
    runs = _runs_of(run, outputs_dir(outputs, config_dir), config_dir)
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
    context: Context, name: str, set: Sequence[str] | None = None, outputs: str | None = None,
    config_dir: str = "", check: bool = False, json: bool = False,
) -> int | None:  # fmt: skip
    """Regenerate the table of a matrix from outputs/, as Markdown, CSV and JSON."""
    from thunder.tables import render, summary

    root = outputs_dir(outputs, config_dir)
    request = _request(name, set or (), root, config_dir)
    if request.matrix is None:
        raise ThunderError(f"{name!r} is a profile; a table needs a matrix")
    is_another = _is_another(request)
    if check and is_another:
        raise ThunderError(f"--check: {_NOT_WHOLE}; there is no table of it on disk")
    matrix = summary.with_table(request.matrix, request.cells, root)
    found = summary.build(matrix, request.cells, root)
    folder = root / "tables"
    if check:
        old = render.stale(found, folder)
        if json:
            print(files.render_json({"stale": [str(path) for path in old]}), end="")
        for path in old if not json else ():
            print(f"stale    {path}")
        if not old and not json:
            print(f"fresh    {folder / name}.md follows from the runs")
        return 1 if old else None
    paths = [] if is_another else render.write(found, folder)
    print(files.render_json(found) if json else render.render_markdown(found), end="")
    if not json:
        said = [f"written  {path}" for path in paths] or [f"not written: {_NOT_WHOLE}"]
        print("\n".join(said))
    return None


@cli.task("run", run="an id, or its beginning")
def report(
    context: Context, run: str, outputs: str | None = None, config_dir: str = "",
    json: bool = False,
) -> int | None:  # fmt: skip
    """Print the report of a run."""
    found = store.by_prefix(outputs_dir(outputs, config_dir), run)
    path = found.folder / ("report.json" if json else "report.md")
    if not path.is_file():
        raise ThunderError(f"{path}: no report; the run is {found.status()}")
    print(path.read_text(encoding="utf-8"), end="")
    return None


@cli.task()
def doctor(
    context: Context, outputs: str | None = None, config_dir: str = "", json: bool = False
) -> int | None:
    """Say what is installed, which BLAS and backend there are, and what each site has."""
    from thunder import doctor as doctors

    found = doctors.examine(places_dir(config_dir), outputs_dir(outputs, config_dir))
    print(files.render_json(found) if json else doctors.render(found), end="")
    return None


@cli.task()
def check(context: Context, config_dir: str = "", outputs: str | None = None) -> int | None:
    """Compose and check every profile and matrix, and run nothing."""
    read = places.sources(places_dir(config_dir))
    folder = outputs_dir(outputs, config_dir)
    matrices = sorted({path.stem for root in read.matrices for path in root.glob("*.yaml")})
    bad = 0
    for name in dict.fromkeys([*read.groups.get("profile", []), *matrices]):
        try:
            cells = len(_request(name, [], folder, config_dir).cells)
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


def _runs_of(word: str, outputs: Path, config_dir: str) -> list[store.Run]:
    if not word:
        return store.all_runs(outputs)
    if re.fullmatch(r"[0-9a-f]{4,12}(\.\d+)?", word):
        return [store.by_prefix(outputs, word)]
    cells = _request(word, [], outputs, config_dir).cells
    runs = {store.find(outputs, cell.job.kind, cell.job.id).folder for cell in cells}
    return [store.Run(folder) for folder in sorted(runs) if store.Run(folder).exists()]


namespace = Collection(plan, status, show, why, diff, verify, table, report, doctor, check, corpus)


def main(arguments: list[str] | None = None) -> int:
    """Run the `thunder` command."""
    return cli.run(namespace, sys.argv[1:] if arguments is None else arguments)
