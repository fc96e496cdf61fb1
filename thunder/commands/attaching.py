"""A run that lives on a host, found by its folder alone: watched again, or stopped."""

from thunder.commands import launch
from thunder.executors import ssh
from thunder.ground.errors import ThunderError
from thunder.jobs.job import Job
from thunder.jobs.matrix import Cell
from thunder.runner import loop as runner
from thunder.runs import cells, reading
from thunder.runs import claim as claims
from thunder.runs.run import Run


def watch(run: Run) -> int:
    """Go on watching a run that a host has, anew where it gave it back; returns the exit code.

    Raises:
        ThunderError: no host has it.
    """
    _claim(run)
    with launch.screen_of_stream(many=False) as shown:
        return runner.exit_code(runner.run([_planned(run)], shown))


def stop(run: Run) -> int:
    """Have the host end a run, and bring home what it made, begin nothing; returns the exit code.

    Raises:
        ThunderError: no host has it, or the host is out of reach.
    """
    ssh.tell_to_end(_claim(run))
    with launch.screen_of_stream(many=False) as shown:
        outcomes = runner.run([_planned(run)], shown, only_ends=True, wait=True)
    return 0 if outcomes[0].ending in ("stopped", "reached") else runner.exit_code(outcomes)


def _claim(run: Run) -> claims.Claim:
    claim = claims.of_record(run.folder, run.record())
    if claim is None:
        raise ThunderError(f"{run.folder.name} lives on no host: it is {run.status()}")
    return claim


def _planned(run: Run) -> cells.Planned:
    """Return the cell of a run as its last attempt had it: what it needs is done."""
    attempt, document = run.record()["attempts"][-1], run.document()
    config = {k: v for k, v in document.items() if k not in ("identity", "revision")}
    runtime = {**attempt["runtime"], "outputs": str(run.folder.parent.parent)}
    cell = Cell({}, Job(run.id, {**config, "runtime": runtime}))
    return cells.as_read(cell, reading.of(run, cell.job.goal))
