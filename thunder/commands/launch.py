"""A request is planned, shown and run."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from typing import Any

from thunder.commands.requests import Request
from thunder.executors import place
from thunder.ground import command
from thunder.ground.errors import ThunderError, of_os_error
from thunder.ground.places import check_outputs
from thunder.jobs import kinds
from thunder.jobs.kinds import KINDS
from thunder.runner import estimate, plans, stages
from thunder.runner import loop as runner
from thunder.runner.execute import Outcome
from thunder.runs.cells import Planned, how_far
from thunder.screen import lines as screen
from thunder.screen import plain


@dataclass(frozen=True)
class Prospect:
    """What a request comes to now; to look at it writes nothing.

    Args:
        earlier: what must be done before the cells that are left.
        seconds: that each cell will take, None where there is no run to go by.
        seconds_before: that each of what comes first will take.
        plan: of a whole matrix, as it is kept when it is run; else None.
        changes: cells that an edit of the matrix added, kept and orphaned since it was last run.
        forgotten: why the plan that was kept then cannot be read: it is but a memory.
    """

    planned: list[Planned]
    earlier: stages.Earlier
    seconds: list[float | None]
    seconds_before: list[float | None]
    plan: dict[str, Any] | None
    changes: dict[str, list[dict[str, Any]]]
    forgotten: str | None


def prospect(request: Request, *, force: bool = False, is_whole: bool = True) -> Prospect:
    """Look at how far the cells of a request are, and what comes before them.

    Args:
        force: whether cells that are reached are run again, beside.
        is_whole: whether its cells are those of the matrix as it is written: a part has no plan.
    """
    planned = how_far(request.cells, request.outputs, force=force)
    left = [row.cell for row in planned if not row.is_reached]
    words = (request.matrix, request.words, request.places, request.outputs)
    earlier = stages.plan(left, *words)
    first = [row for _, rows in earlier for row in rows]
    every = estimate.seconds_left([*planned, *first], request.outputs)
    seconds, before = every[: len(planned)], every[len(planned) :]
    plan, changes, forgotten = None, {}, None
    if request.matrix is not None and is_whole:
        plan = plans.document(request.matrix, planned, seconds)
        last, forgotten = plans.remembered(request.outputs, request.matrix.name)
        changes = plans.changes(last, plan)
    return Prospect(planned, earlier, seconds, before, plan, changes, forgotten)


def run(request: Request) -> int:
    """Plan, show and run a request; returns the exit code."""
    runtime = request.runtime
    check_outputs(request.outputs)
    now = prospect(request, force=runtime["force"])
    with screen_of_stream(many=request.matrix is not None) as shown:
        for line in [*screen.stage_lines(now.earlier), *_plan_lines(now)]:
            shown.say(line)
        if now.plan is not None:
            for line in _matrix_lines(request, now, _kept(request, now.plan, now.planned)):
                shown.say(line)
        if runtime["dry_run"]:
            return 0
        outcomes = _run(request, now, shown)
    return runner.exit_code(outcomes)


def _run(request: Request, now: Prospect, shown: plain.Shown) -> list[Outcome]:
    runtime = request.runtime
    at_once, retries = _at_once(runtime), runtime["retries"]
    every = [*now.planned, *(row for _, rows in now.earlier for row in rows)]
    _check_packages(every)
    now = _with_room(now)
    _inspect(every)
    outcomes = stages.run(now.earlier, shown, at_once=at_once, retries=retries)
    if _may_go_on(request, now.earlier, outcomes, shown):
        wait = runtime["wait"]
        own = runner.run(now.planned, shown, at_once=at_once, retries=retries, wait=wait)
        _show_ending(request, own, shown)
        outcomes += own
    return outcomes


def _check_packages(planned: Sequence[Planned]) -> None:
    """Refuse before anything runs when the lane of a cell that is left cannot be imported."""
    # What hosts have is asked there, when a run comes to them.
    left = [row.cell.job for row in planned if not row.is_reached]
    kinds = {job.kind for job in left if job.runtime["site"]["runs_on"] == "local"}
    for kind in sorted(kinds):
        missing = [name for name in KINDS[kind].packages if find_spec(name) is None]
        if missing:
            raise ThunderError(
                f"kind {kind} needs {', '.join(missing)}: install thunder with its extra, "
                f"pip install -c constraints.txt -e '.[{KINDS[kind].extra}]'",
                "environment",
            )


def _with_room(now: Prospect) -> Prospect:
    """Return a prospect that knows which hosts have not the memory or the disk for its cells.

    Raises:
        Faults: cells that fit no host.
    """
    every = [*now.planned, *(row for _, rows in now.earlier for row in rows)]
    left = [row for row in every if not row.is_reached and not _lives(row)]
    away = [row for row in left if row.cell.job.runtime["site"]["runs_on"] != "local"]
    if not away:
        return now
    from thunder.executors import fitting

    begun = {row.cell.job.id for row in away if row.status != "planned"}
    unfit = fitting.unfit([row.cell.job for row in away], begun)

    def known(rows: Sequence[Planned]) -> list[Planned]:
        return [replace(row, unfit=unfit.get(row.cell.job.id, {})) for row in rows]

    earlier = [(stage, known(rows)) for stage, rows in now.earlier]
    return replace(now, planned=known(now.planned), earlier=earlier)


def _lives(row: Planned) -> bool:
    """Say whether a host has a run already."""
    return row.status == "running" and row.run.lives_on() is not None


def _inspect(planned: Sequence[Planned]) -> None:
    """Refuse before anything runs what could only fail after the runs that cells need."""
    left = [row.cell.job for row in planned if not row.is_reached]
    makes = {job.id for job in left}
    waiting = [job for job in left if any(needed.id in makes for needed in job.needs)]
    by_name: dict[str, list[dict[str, Any]]] = {}
    for job in waiting:
        if name := KINDS[job.kind].inspects:
            by_name.setdefault(name, []).append(job.config)
    for name, configs in by_name.items():
        kinds.loaded(name)(configs)


def _may_go_on(
    request: Request,
    earlier: stages.Earlier,
    outcomes: Sequence[Outcome],
    shown: plain.Shown,
) -> bool:
    """Say whether the cells themselves may start; tell when a required matrix is in the way."""
    if lacking := stages.lacking(earlier, outcomes):
        for line in screen.failure_lines(outcomes, request.flags):
            shown.say(line)
        shown.say(f"{request.matrix.name if request.matrix else 'this'}: not started: {lacking}")
        return False
    return not any(row.ending == "stopped" for row in outcomes)


def screen_of_stream(*, many: bool) -> plain.Shown:
    """Return the screen that fits standard output.

    Args:
        many: several runs at once or in turn: one line per run instead of every table.
    """
    if not sys.stdout.isatty():
        return plain.Plain(many=many)
    from thunder.screen.terminal import Terminal

    return Terminal(many=many)


def _plan_lines(now: Prospect) -> list[str]:
    return [f"plan    {line}" for line in screen.plan_lines(now.planned)]


def _matrix_lines(request: Request, now: Prospect, kept: str | None) -> list[str]:
    """Return what is told of a whole matrix.

    Args:
        kept: where its plan was written, or why it was not; None when nothing is run.
    """
    name = request.matrix.name if request.matrix else ""
    left = left_text(request, now)
    changes = ", ".join(f"{len(cells)} {word}" for word, cells in now.changes.items())
    since = f"not compared with the last plan: {now.forgotten}"
    if now.forgotten is None:
        since = f"since the last plan: {changes}"
    return [
        f"{screen.summary(name, now.planned)}; {request.outputs.absolute()}",
        *([left] if left else []),
        since + (f"; {kept}" if kept else ""),
    ]


def left_text(request: Request, now: Prospect) -> str:
    """Return how long cells will take, with what comes before them; nothing when none is known."""
    return estimate.text_of([*now.seconds_before, *now.seconds], _at_once(request.runtime))


def _at_once(runtime: Mapping[str, Any]) -> int:
    """Return how many runs there are at once, on all machines."""
    return int(runtime["jobs"]) * place.machines(runtime["site"]["runs_on"])


def _kept(request: Request, plan: dict[str, Any], planned: Sequence[Planned]) -> str | None:
    """Keep the plan of what is about to be run; return where, None for a dry run.

    A matrix that is reached needs nothing of the disk any more: there, why not is told instead.
    """
    if request.runtime["dry_run"]:
        return None
    try:
        return str(plans.write(request.outputs, plan))
    except OSError as error:
        why = f"the plan cannot be written into {of_os_error(error, request.outputs.absolute())}"
        if not all(row.is_reached for row in planned):
            raise ThunderError(why, "write") from error
        return why


def _show_ending(request: Request, outcomes: list[Outcome], shown: plain.Shown) -> None:
    if request.matrix is None:
        only = outcomes[0]
        if only.ending == "reached" and only.planned.is_reached:
            shown.say(f"done    {_reached_text(only.planned)}")
        return
    counts = {
        ending: 0 for ending in ("reached", "failed", "blocked", "stopped", "left", "elsewhere")
    }
    for outcome in outcomes:
        counts[outcome.ending] += 1
    for line in screen.failure_lines(outcomes, request.flags):
        shown.say(line)
    listed = ", ".join(f"{count} {ending}" for ending, count in counts.items() if count)
    shown.say(f"{request.matrix.name}: {listed}")
    has_table = "table" in request.matrix.spec or KINDS[request.cells[0].job.kind].headline
    if counts["reached"] == len(outcomes) and has_table:
        table = command.line("thunder", "table", request.matrix.name, *request.flags)
        shown.say(f"its numbers: {table}")


def _reached_text(row: Planned) -> str:
    goal, total = row.cell.job.goal, row.cell.job.total or 0
    if goal is None:
        return f"{row.run.folder.name} is done; nothing was run"
    here, window = max(goal, row.step or 0), row.cell.job.runtime["window"]
    further = f"; to go on: target={min(here + (window or total), total)}" if here < total else ""
    return f"{screen.steps_text(row)}; nothing was run{further}"


def print_config(request: Request) -> None:
    """Print the config of each cell as YAML."""
    import yaml

    for cell in request.cells:
        print(f"# {cell.job.id} {cell.label}".rstrip())
        print(yaml.safe_dump(cell.job.config, allow_unicode=True, sort_keys=False))
