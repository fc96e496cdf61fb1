"""Plans, events and endings as plain lines for people."""

from collections.abc import Mapping, Sequence
from typing import Any

from thunder.ground import command, wording
from thunder.jobs.kinds import KINDS
from thunder.runner import stages
from thunder.runner.execute import Outcome
from thunder.runs.cells import Planned

_SHOWN_ROWS = 40
_SHOWN_FAILURES = 20


def plan_lines(planned: Sequence[Planned]) -> list[str]:
    """Return the plan, one line per cell, the first ones of a long one."""
    lines = [plan_line(row, with_folder=len(planned) == 1) for row in planned[:_SHOWN_ROWS]]
    return wording.some_lines(lines, _SHOWN_ROWS, len(planned))


def plan_line(row: Planned, *, with_folder: bool) -> str:
    """Return one planned cell: what, which id, where, from and to which step."""
    place = f"  {row.run.folder.absolute()}" if with_folder else ""
    return f"{_name(row)}{place}  {steps_text(row)}"


def start_line(row: Planned) -> str:
    """Return one cell that begins: what, which id, and what will be done."""
    if row.begins_at:
        how = f"goes on: {row.way}"
    elif row.cell.job.goal is None and row.status != "planned":
        how = "goes on"  # from wherever its lane finds that it got to
    else:
        how = f"starts: {row.way}" if row.way else "starts"
    return f"{_name(row)}  {how}"


def _name(row: Planned) -> str:
    job = row.cell.job
    name = row.cell.label or str(job.runtime["profile"] or job.kind)
    mark = " [stand-in]" if job.is_stand_in else ""
    return f"{name}{mark}  {job.kind} {row.run.folder.name}"


def steps_text(row: Planned) -> str:
    """Return how far a cell is and where it goes: `step 0 → 10 of 80, a window`."""
    job = row.cell.job
    if row.fault is not None:
        return f"{row.status}: {' '.join(row.fault.split())}"
    if job.goal is None:
        return row.status
    if row.is_reached:
        here = row.step or 0
        past = f"; the run is at step {here}" if here > job.goal else ""
        return f"step {job.goal} of {job.total} is reached{past}"
    word = {"planned": "", "paused": "resumed ", "failed": "retried ", "lost": "lost, resumed "}
    return f"{word.get(row.status, '')}{row.way}"


def summary(name: str, planned: Sequence[Planned]) -> str:
    """Return the counts of a plan in one line."""
    reached = sum(row.is_reached for row in planned)
    counts: dict[str, int] = {}
    for row in planned:
        if not row.is_reached:
            counts[row.status] = counts.get(row.status, 0) + 1
    others = "".join(f", {count} {status}" for status, count in counts.items())
    runs = len({row.run.folder for row in planned})
    cells = f"{wording.count(len(planned), 'cell')}, {wording.count(runs, 'run')}"
    return f"{name}: {cells}: {reached} reached{others}"


def stage_lines(earlier: stages.Earlier) -> list[str]:
    """Return what comes first, one line per required matrix and per job that is not done."""
    lines = []
    for stage, planned in earlier:
        if stage.matrix is not None:
            lines.append(f"first   {summary(stage.matrix.name, planned)}")
        else:
            left = [row for row in planned if not row.is_reached]
            lines += [f"first   {line}" for line in plan_lines(left)]
    return lines


def event_lines(event: dict[str, Any]) -> list[str]:
    """Return an event as plain lines."""
    match event["event"]:
        case "phase":
            return [f"{event['name']:<7} {event['text']}"]
        case "note" | "warning":
            return [f"{event['event']:<7} {event['text']}"]
        case "checks":
            rows = event["rows"]
            width = max((len(row["check"]) for row in rows), default=0)
            hosts = max((len(row["host"]) for row in rows), default=0)
            return [event["title"], *(_check_line(row, width, hosts) for row in rows)]
        case "step":
            return [f"{step_word(event)} {event['step']}/{event['of']}  {numbers_text(event)}"]
        case "valid":
            return [f"valid   {event['unit']} {event['step']}{_metrics_text(event['metrics'])}"]
        case "saved":
            return [f"note    saved step {event['step']}"]
        case "checkpoint":
            return [f"saved   step {event['step']}  {event['path']}"]
        case "report":
            return [f"report  {event['path']}"]
    return []


def end_lines(outcome: Outcome, *, many: bool) -> list[str]:
    """Return how a run ended, in plain lines."""
    row, seconds = outcome.planned, f"{outcome.seconds:.1f} s"
    name = f"{row.cell.job.id} {row.cell.label}".strip()
    if outcome.ending == "reached":  # the last line of a job with steps is where its report is
        is_last = many or row.cell.job.goal is None
        return [f"done    {name}  {_headline(row)}{seconds}"] if is_last else []
    if outcome.ending == "stopped":
        here = "" if row.step is None else f" from step {row.begins_at}"
        return [f"stopped {name}; run the same command again to go on{here}"]
    if outcome.ending == "left":
        ask = command.line("thunder", "attach", row.run.folder.name, *_where(row))
        return [f"left    {name} runs on {outcome.left_on}; to go on watching: {ask}"]
    if outcome.ending == "elsewhere":
        return [f"busy    {name}: another runner has it"]
    if outcome.ending == "blocked":
        return [f"blocked {name}: {(outcome.error or {})['message']}"]
    return [f"FAILED  {name}  {seconds}", *error_lines(outcome.error or {}, row)]


def _where(row: Planned) -> list[str]:
    outputs = str(row.cell.job.runtime["outputs"])
    return [] if outputs == "outputs" else ["--outputs", outputs]


def _headline(row: Planned) -> str:
    """Return the number that a run of its kind is about, as its files have it."""
    metric = KINDS[row.cell.job.kind].headline
    value = row.run.metrics().get(metric) if metric else None
    return "" if value is None else f"{metric} {value:.4g}  "


def error_lines(error: dict[str, Any], row: Planned) -> list[str]:
    """Return a failure in the words that the user needs."""
    lines = [f"  cause   {error['cause']}", *_indented("  what    ", error["message"])]
    if error["cause"] in ("crash", "ranks") and not _says_last_words(error):
        lines += ["  log     " + line for line in error["last_lines"][-8:]]
    lines.append(f"  where   {row.run.folder.absolute()}")
    if error["reproduce"]:
        lines.append(f"  again   {error['reproduce']}")
    return lines


def _says_last_words(error: dict[str, Any]) -> bool:
    """Say whether the message has the end of the log in it already."""
    end = error["message"].strip().splitlines()[-1:]
    return any(message_line.strip() in line for message_line in end for line in error["last_lines"])


def failure_lines(outcomes: Sequence[Outcome], flags: Sequence[str]) -> list[str]:
    """Return the failed cells of a matrix, one line each, with the command that tells more.

    Args:
        flags: of that command: where the runs are.
    """
    failed = {row.planned.run.folder: row for row in outcomes if row.ending == "failed"}
    lines = [_failure_line(row, flags) for row in list(failed.values())[:_SHOWN_FAILURES]]
    lines = wording.some_lines(lines, _SHOWN_FAILURES, len(failed))
    if len(failed) > _SHOWN_FAILURES:
        lines[-1] = f"  {lines[-1]}: {command.line('thunder', 'status', *flags)}"
    return ["failed:", *lines] if lines else []


def _failure_line(outcome: Outcome, flags: Sequence[str]) -> str:
    row, error = outcome.planned, outcome.error or {}
    name, what = row.run.folder.name, (error["message"].splitlines() or [""])[0]
    label = f"  {row.cell.label}" if row.cell.label else ""
    asked = command.line("thunder", "show", name, *flags)
    return f"  {name}{label}  {error['cause']}: {what}  ({asked})"


def _indented(head: str, text: str) -> list[str]:
    first, *rest = text.splitlines() or [""]
    return [head + first, *(" " * len(head) + line for line in rest)]


def _check_line(row: dict[str, Any], width: int, hosts: int) -> str:
    details = "  ".join(part for part in (row["measured"], row["reason"]) if part)
    return f"  {row['status']:<7}  {row['host']:<{hosts}}  {row['check']:<{width}}  {details}"


def _metrics_text(metrics: Mapping[str, float | None]) -> str:
    measured = ((name, value) for name, value in metrics.items() if value is not None)
    return "".join(f"  {name} {value:.4f}" for name, value in measured)


def step_word(event: dict[str, Any]) -> str:
    """Return what a step is of: of training, or of rows that are read or evaluated."""
    return {"training": "train   step", "rows": "rows   "}[event["counts"]]


def numbers_text(event: dict[str, Any]) -> str:
    """Return the numbers of a step: the epoch and the loss, where there are any, and the speed."""
    epoch = "" if event["epoch"] is None else f"epoch {event['epoch']}"
    loss = "" if event["loss"] is None else f"loss {event['loss']:.4f}"
    speed = f"{event['per_second']:,.0f} {event['unit']}/s"
    return "  ".join(part for part in (epoch, loss, speed) if part)
