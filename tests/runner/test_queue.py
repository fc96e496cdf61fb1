"""A machine that is free takes the first cell that fits it, and no more cells than it may have."""

import threading
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from thunder.jobs.job import Job
from thunder.jobs.matrix import Cell
from thunder.runner.queue import Queue
from thunder.runs.cells import Planned
from thunder.runs.run import Run

HOSTS = ["mac4", "mac5"]


def group(name: str, runs_on: str | list[str], *unfit: str) -> list[Planned]:
    config = {"kind": "dry", "runtime": {"site": {"runs_on": runs_on}}}
    row = Planned(Cell({}, Job(name, config)), Run(Path(name)), "planned", None)
    return [replace(row, unfit=dict.fromkeys(unfit, "too small"))]


def taken(queue: Queue, turns: ExitStack) -> tuple[str, str | None]:
    (row,) = turns.enter_context(queue.turn())
    return row.cell.job.id, row.machine


def test_cells_of_this_machine_come_in_their_order() -> None:
    queue = Queue([group(name, "local") for name in "abc"], 3)
    with ExitStack() as turns:
        assert [taken(queue, turns) for _ in "abc"] == [(name, "local") for name in "abc"]


def test_a_cell_that_fits_goes_before_those_that_have_to_wait() -> None:
    cells = [group("big1", HOSTS, "mac4"), group("big2", HOSTS, "mac4"), group("small", HOSTS)]
    queue = Queue(cells, 2)
    with ExitStack() as turns:
        assert taken(queue, turns) == ("big1", "mac5")
        assert taken(queue, turns) == ("small", "mac4")
    with ExitStack() as turns:
        assert taken(queue, turns) == ("big2", "mac5")


def test_hosts_have_as_many_as_their_share_of_the_turns() -> None:
    queue = Queue([group(name, HOSTS) for name in "abcde"], 4)
    with ExitStack() as turns:
        hosts = [taken(queue, turns)[1] for _ in "abcd"]
        assert sorted(map(str, hosts)) == ["mac4", "mac4", "mac5", "mac5"]
        waiting = threading.Thread(target=lambda: taken(queue, ExitStack()))
        waiting.start()
        waiting.join(0.3)
        assert waiting.is_alive()
    waiting.join(5)
    assert not waiting.is_alive()


def test_a_cell_that_no_host_is_known_to_fit_goes_where_it_may() -> None:
    queue = Queue([group("a", HOSTS, *HOSTS)], 2)
    with ExitStack() as turns:
        assert taken(queue, turns) == ("a", "mac4")
