"""Tasks that ask: what would run, how far runs are, what they are and how they differ."""

from collections.abc import Sequence

from thunder.commands import cli, selection, views
from thunder.commands.selection import outputs_dir
from thunder.ground import command, files, wording
from thunder.ground.errors import ThunderError
from thunder.runs import mirror, reading, store
from thunder.runs.run import differences, spelt


@cli.task("name", name="a matrix or a profile")
def plan(
    name: str = "", set: Sequence[str] | None = None, outputs: str | None = None,
    config_dir: str = "", json: bool = False,
) -> int | None:  # fmt: skip
    """Show what would run, what is done, and what an edit adds, keeps and orphans."""
    from thunder.commands import launch
    from thunder.screen import lines as screen

    folder = outputs_dir(outputs, config_dir)
    request, is_part = selection.part(name, set or (), folder, config_dir)
    is_whole = not is_part and not selection.is_another(request)
    now = launch.prospect(request, is_whole=is_whole)
    if json:
        cells = [
            {**views.planned_json(row), "seconds_left": left}
            for row, left in zip(now.planned, now.seconds, strict=True)
        ]
        print(files.render_json({"name": name, "cells": cells, "changes": now.changes}), end="")
        return None
    print("\n".join([*screen.stage_lines(now.earlier), *screen.plan_lines(now.planned)]))
    if left := launch.left_text(request, now):
        print(left)
    if request.matrix is not None:
        print(screen.summary(request.matrix.name, now.planned))
        why_not = selection.NOT_WHOLE if now.plan is None else now.forgotten
        if why_not is not None:
            print(f"not compared with the last plan: {why_not}")
    for line in [] if now.forgotten else views.change_lines(now.changes):
        print(line)
    return None


@cli.task("name", name="a matrix or a profile; every run in outputs/ by default")
def status(
    name: str = "", set: Sequence[str] | None = None, outputs: str | None = None,
    config_dir: str = "", json: bool = False,
) -> int | None:  # fmt: skip
    """Show how far runs are."""
    folder = outputs_dir(outputs, config_dir)
    if name or set:
        from thunder.runs.cells import how_far
        from thunder.screen import lines as screen

        request, _ = selection.part(name, set or (), folder, config_dir)
        planned = how_far(request.cells, folder)
        rows = [views.planned_json(row) for row in planned]
        foot = screen.summary(name or "these", planned)
    else:
        rows = [views.run_json(run) for run in store.all_runs(folder)]
        foot = f"{wording.count(len(rows), 'run')} in {folder.absolute()}"
        if not folder.exists():
            foot = f"no runs: there is no folder {folder.absolute()} yet"
    if json:
        print(files.render_json(rows), end="")
        return None
    if rows:
        print(views.status_columns(rows))
    for fault in [row["fault"] for row in rows if row.get("fault")]:
        print(fault)
    print(foot)
    if any(row["stand_in"] for row in rows):
        print(f"{wording.STAND_IN} stand-in model or data: it shows that the machinery works")
    return None


@cli.task("run", run="an id, or its beginning")
def show(
    run: str, outputs: str | None = None, config_dir: str = "",
    json: bool = False,
) -> int | None:  # fmt: skip
    """Show one run: its config, record and numbers."""
    import yaml

    selected = store.by_prefix(outputs_dir(outputs, config_dir), run)
    so_far = reading.of(selected, None)
    if so_far.fault is not None:
        raise ThunderError(so_far.in_words, "verification")
    record, document, metrics = selected.record(), selected.document(), selected.metrics()
    if json:
        value = {
            "record": record,
            "config": document,
            "metrics": metrics,
            "folder": str(selected.folder.absolute()),
        }
        print(files.render_json(value), end="")
        return None
    last, status = record["attempts"][-1], so_far.status
    mark = "  stand-in" if record["stand_in"] else ""
    print(
        f"{record['kind']} {selected.folder.name}  {status}  {views.steps(record)}{mark}".rstrip()
    )
    print(f"folder   {selected.folder.absolute()}")
    print(f"command  {command.line(*last['provenance']['command'])}")
    print(f"code     {last['provenance']['commit'] or last['provenance']['reason']}"
          f"{' + uncommitted changes' if last['provenance']['dirty'] else ''}")  # fmt: skip
    print(f"host     {last['provenance']['host']['name']}, {last['provenance']['host']['cpu']}")
    for name, copy in mirror.read(selected.folder).items():
        print(f"on {name:<5} {copy['folder']}, {wording.count(len(copy['artifacts']), 'file')}")
    print("\n".join(views.attempt_lines(record, status)))
    if metrics:
        print(wording.columns(["metric", "value"], views.metric_rows(metrics)))
    print(yaml.safe_dump(document, allow_unicode=True, sort_keys=False).rstrip())
    return None


@cli.task("name", name="a matrix or a profile")
def why(
    name: str = "", set: Sequence[str] | None = None, outputs: str | None = None,
    config_dir: str = "", json: bool = False,
) -> int | None:  # fmt: skip
    """Say what makes cells new runs: the nearest run, the keys that differ, what set them."""
    from thunder.runs import explain

    folder = outputs_dir(outputs, config_dir)
    request, _ = selection.part(name, set or (), folder, config_dir)
    reasons = explain.why(request.cells, request.matrix, request.words, request.places, folder)
    if json:
        print(files.render_json([views.reason_json(reason) for reason in reasons]), end="")
        return None
    for reason in reasons:
        print("\n".join(views.reason_lines(reason)))
    return None


@cli.task("first", "second", first="an id, or its beginning", second="another")
def diff(
    first: str, second: str, outputs: str | None = None, config_dir: str = "",
    json: bool = False,
) -> int | None:  # fmt: skip
    """Show in which keys two runs differ."""
    folder = outputs_dir(outputs, config_dir)
    runs = [store.by_prefix(folder, word) for word in (first, second)]
    rows = differences(*(run.document() for run in runs))
    if json:
        print(files.render_json([views.difference_json(*row) for row in rows]), end="")
    elif rows:
        shown = [[key, spelt(one), spelt(other)] for key, one, other in rows]
        print(wording.columns(["key", *(run.folder.name for run in runs)], shown))
    else:
        print("the two runs are of one job")
    return None
