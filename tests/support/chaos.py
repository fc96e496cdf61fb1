"""Kills, and what must hold after them: for the tests that do their worst to real processes."""

import contextlib
import io
import os
import random
import signal
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import running
from hypothesis import HealthCheck, Phase, given, settings

from thunder.commands import main, tasks, views
from thunder.ground import folders
from thunder.ground.errors import ThunderError
from thunder.runs import reading, store

T = TypeVar("T")
KILLING = Path(__file__).resolve().parent / "killing"
TASK = "import sys; from thunder.commands.tasks import main; sys.exit(main())"
RUNNER, RUN, RANK, TASKS = "-m thunder ", "executors.child", "training.rank", "tasks import main"
SECONDS = 60  # what answers at all answers long before


@dataclass
class Chaos:
    """How much of it there is, and what was done so far."""

    is_long: bool
    tally: Counter[str] = field(default_factory=Counter)

    def of(self, short: int, long: int) -> int:
        """Return one of two counts."""
        return long if self.is_long else short

    def sample(self, values: Sequence[T], short: int, long: int | None = None) -> list[T]:
        """Draw some of the values, in their order; by default a long run has them all."""
        count = short if not self.is_long else long or len(values)
        chosen = random.Random(len(values)).sample(range(len(values)), min(count, len(values)))
        return [values[index] for index in sorted(chosen)]

    def each(self, short: int, long: int, **strategies: Any) -> Callable[..., Callable[[], None]]:
        """Return `given`, with inputs that are the same in every short run."""
        limits = settings(
            max_examples=self.of(short, long),
            derandomize=not self.is_long,
            deadline=None,  # `answered` has one
            database=None,
            phases=(Phase.explicit, Phase.generate, Phase.shrink),
            suppress_health_check=[*HealthCheck],
        )
        return lambda test: limits(given(**strategies)(test))


@dataclass(frozen=True)
class Answer:
    """What a command said."""

    code: int
    out: str
    err: str


def answered(command: Callable[[list[str]], int], *words: str) -> Answer:
    """Run a command in this process, with a deadline; what it does not catch is a traceback."""
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", errors="strict") for _ in range(2))
    with _deadline(), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = command([*words])
    texts = []
    for stream in (out, err):
        stream.flush()
        texts.append(stream.buffer.getvalue().decode())  # type: ignore[attr-defined]
    assert "Traceback" not in texts[0] + texts[1]
    return Answer(code, *texts)


def refusal_of(work: Callable[[], Any]) -> str | None:
    """Do something; return what a person is told if it is refused."""
    try:
        work()
    except ThunderError as refusal:
        return str(refusal)
    return None


def ran(*words: str) -> Answer:
    """Answer `python -m thunder …`."""
    return answered(main.main, *words)


def asked(*words: str) -> Answer:
    """Answer `thunder …`."""
    return answered(tasks.main, *words)


@contextlib.contextmanager
def _deadline() -> Iterator[None]:
    def late(*_: object) -> None:
        raise AssertionError(f"no answer within {SECONDS} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def operations(command: Sequence[str], within: Path, role: str) -> list[str]:
    """Run a command undisturbed; return what its process of a role did to the files of a folder."""
    log = within.parent / f"{within.name}.operations"
    done = _observed(command, within, KILL_LOG=str(log), KILL_ROLE=role)
    assert done.returncode == 0, done.stdout + done.stderr
    return log.read_text(encoding="utf-8").splitlines() if log.exists() else []


def killed_at(
    command: Sequence[str], within: Path, role: str, at: int, *, torn: bool = False
) -> subprocess.CompletedProcess[str]:
    """Run a command whose process of a role dies at its N-th operation."""
    more = {"KILL_TORN": "yes"} if torn else {}
    done = _observed(command, within, KILL_ROLE=role, KILL_AT=str(at), **more)
    assert "Traceback" not in done.stdout + done.stderr
    running.wait_for(lambda: not running.children(within), "the end of all children")
    return done


def _observed(
    command: Sequence[str], within: Path, **settings: str
) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(KILLING), str(running.HERE)])
    environment = {**running.environment(), "PYTHONPATH": path, "KILL_WITHIN": str(within)}
    return subprocess.run(
        command, env=environment | settings, capture_output=True, text=True, timeout=120,
        check=False,
    )  # fmt: skip


def assert_nothing_is_believed_falsely(outputs: Path) -> None:
    """Hold every run that has a result against its manifest, and ask what a person would ask."""
    for run in store.all_runs(outputs):
        if reading.of(run, None).has_result:
            assert views.verified(run) == {"run": run.folder.name, "result": "PASS", "faults": []}
    assert asked("status", "--outputs", str(outputs)).code == 0


def assert_all_are_proven(outputs: Path, count: int) -> None:
    """Say that so many runs are done, each once, and are what their manifests say."""
    runs = store.all_runs(outputs)
    assert [views.verified(run)["result"] for run in runs] == ["PASS"] * count
    for run in runs:
        endings = [attempt["status"] for attempt in run.record()["attempts"]]
        assert endings.count("done") == 1, endings
    assert asked("verify", "--outputs", str(outputs)).code == 0


def content(outputs: Path, *suffixes: str) -> dict[str, bytes]:
    """Return what lies in a folder of outputs that depends on the jobs alone.

    Args:
        suffixes: what the names of the files end with; by default documents, numbers and tables.
    """
    ends = suffixes or ("config.json", "metrics.json")
    paths = [path for path in outputs.rglob("*") if path.name.endswith(ends)]
    paths += (outputs / folders.TABLES).rglob("*")
    names = {str(path.relative_to(outputs)): path for path in sorted(paths) if path.is_file()}
    # What a killed process had not finished is swept when it is old.
    return {name: path.read_bytes() for name, path in names.items() if "/." not in f"/{name}"}
