"""What is shown: plain lines for logs and pipes, bars and tables in a terminal."""

import io
import os
import pty
import re
import select
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import running

from thunder.commands import launch, requests
from thunder.ground import files, wording
from thunder.runner.execute import Outcome
from thunder.runs.cells import Planned, how_far
from thunder.screen import lines, plain, terminal
from thunder.training import events

# Pinned: what a person sees without a terminal; change it only when that is meant to change.
PLAIN = """\
plan    dry  dry f363bf6c4436  {outputs}/dry/f363bf6c4436  planned
done    f363bf6c4436  0.0 s
"""
PLAIN_MATRIX = """\
plan    seed=1  dry {one}  planned
plan    seed=2  dry {two}  planned
{sweep}: 2 cells, 2 runs: 0 reached, 2 planned; {outputs}
since the last plan: 2 added, 0 kept, 0 orphaned; {outputs}/plans/{sweep}.json
run     seed=1  dry {one}  starts
FAILED  {one} seed=1  0.0 s
  cause   training
  what    the job was asked to fail (dry.fail=true)
  where   {outputs}/dry/{one}
  again   python -m thunder +profile=dry dry.fail=true outputs={outputs} seed=1
run     seed=2  dry {two}  starts
FAILED  {two} seed=2  0.0 s
  cause   training
  what    the job was asked to fail (dry.fail=true)
  where   {outputs}/dry/{two}
  again   python -m thunder +profile=dry dry.fail=true outputs={outputs} seed=2
failed:
  {one}  seed=1  training: the job was asked to fail (dry.fail=true)  \
(thunder show {one} --outputs {outputs})
  {two}  seed=2  training: the job was asked to fail (dry.fail=true)  \
(thunder show {two} --outputs {outputs})
{sweep}: 2 failed
"""
EVENTS: list[dict[str, Any]] = [
    events.phase("prepare", "ߒߞߏ"),
    events.checks(
        "preflight",
        [
            {
                "check": "data",
                "host": "here",
                "status": "PASS",
                "measured": "64 rows",
                "reason": "",
            },
            {"check": "ring", "host": "b", "status": "SKIPPED", "measured": "", "reason": "1 rank"},
            {
                "check": "disk",
                "host": "b",
                "status": "FAIL",
                "measured": "1 GB",
                "reason": "[full]",
            },
        ],
    ),
    events.step(1, 2, unit="tokens", per_second=1234.4, loss=5.5),
    events.saved(1, Path("/x/step-1")),
    events.warning("slow"),
    events.step(2, 2, unit="tokens", per_second=1234.6, loss=5.25),
    events.valid(2, unit="step", metrics={"valid_loss": 5.125}),
    events.checkpoint(2, Path("/x/step-2"), metrics={}, inputs={}),
    events.report(Path("/x/report.md")),
    {"event": "from_the_future", "text": "?"},
]
PLAIN_EVENTS = """\
prepare ߒߞߏ
preflight
  PASS     here  data  64 rows
  SKIPPED  b     ring  1 rank
  FAIL     b     disk  1 GB  [full]
train   step 1/2  loss 5.5000  1,234 tokens/s
note    saved step 1
warning slow
train   step 2/2  loss 5.2500  1,235 tokens/s
valid   step 2  valid_loss 5.1250
saved   step 2  /x/step-2
report  /x/report.md
"""


def planned(outputs: Path, *words: str, profile: str = "smoke") -> Planned:
    """Plan one job."""
    request = requests.read([f"+profile={profile}", f"outputs={outputs}", *words])
    return how_far(request.cells, outputs)[0]


def recording(*, many: bool) -> terminal.Terminal:
    """Return a terminal that remembers what it showed."""
    from rich.console import Console

    console = Console(
        file=io.StringIO(), force_terminal=True, width=120, highlight=False, emoji=False
    )
    return terminal.Terminal(many=many, console=console)


def shown_by(found: terminal.Terminal) -> str:
    """Return what a terminal showed, without its escape sequences."""
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", found.console.file.getvalue())


# Plain ------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_plain_lines_of_a_job_are_pinned(tmp_path: Path) -> None:
    done = running.thunder("+profile=dry", f"outputs={tmp_path}")
    assert re.sub(r"\d+\.\d s", "0.0 s", done.stdout) == PLAIN.format(outputs=tmp_path)
    assert done.stderr == ""
    again = running.thunder("+profile=dry", f"outputs={tmp_path}")
    assert again.stdout.splitlines()[1] == "done    f363bf6c4436 is done; nothing was run"


@pytest.mark.slow
def test_the_plain_lines_of_a_matrix_are_pinned_and_end_with_what_failed(tmp_path: Path) -> None:
    words = ["+profile=dry", "dry.fail=true", f"outputs={tmp_path}"]
    rows = [planned(tmp_path, f"seed={n}", "dry.fail=true", profile="dry") for n in (1, 2)]
    done = running.thunder("-m", *words, "seed=1,2")
    (plan,) = (tmp_path / "plans").iterdir()
    ids = [row.cell.job.id for row in rows]
    wanted = PLAIN_MATRIX.format(outputs=tmp_path, sweep=plan.stem, one=ids[0], two=ids[1])
    assert re.sub(r"\d+\.\d s", "0.0 s", done.stdout) == wanted
    assert "\x1b" not in done.stdout


def test_plain_events_are_pinned(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = plain.Plain(many=False)
    for event in EVENTS:
        log.event(planned(tmp_path), event)
    assert capsys.readouterr().out == PLAIN_EVENTS


def test_of_many_runs_only_what_matters_is_told_each_line_with_its_id(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log, row = plain.Plain(many=True), planned(tmp_path)
    for event in EVENTS:
        log.event(row, event)
    shown = capsys.readouterr().out.splitlines()
    assert {line.split()[0] for line in shown} == {row.cell.job.id}
    assert [line.split()[1] for line in shown] == ["train", "warning", "train", "saved"]


def test_a_failure_shows_all_its_lines(tmp_path: Path) -> None:
    row = planned(tmp_path)
    error = {"message": "a\nb", "cause": "crash", "last_lines": ["x"] * 20, "reproduce": "again"}
    shown = lines.error_lines(error, row)
    assert shown[:3] == ["  cause   crash", "  what    a", "          b"]
    assert shown.count("  log     x") == 8
    assert shown[-1] == "  again   again"


def test_a_long_plan_shows_its_first_cells(tmp_path: Path) -> None:
    shown = lines.plan_lines([planned(tmp_path)] * 60)
    assert len(shown) == 41
    assert shown[-1] == "… and 20 more"


@pytest.mark.slow
def test_many_failures_show_the_first_ones(tmp_path: Path) -> None:
    error = {"message": "no\nmore", "cause": "data", "last_lines": [], "reproduce": ""}
    rows = [planned(tmp_path, f"seed={number}", profile="dry") for number in range(22)]
    shown = lines.failure_lines([Outcome(r, "failed", 1.0, error) for r in rows], [])
    assert shown[1].endswith(f"data: no  (thunder show {rows[0].cell.job.id})")
    assert len(shown) == 22
    assert shown[-1] == "  … and 2 more: thunder status"
    assert lines.failure_lines([], []) == []


@pytest.mark.parametrize(
    ("status", "step", "words"),
    [
        ("planned", None, "step 0 → 2 of 4, a window"),
        ("paused", 1, "resumed step 1 → 2 of 4, a window"),
        ("failed", 1, "retried step 1 → 2 of 4, a window"),
        ("lost", 1, "lost, resumed step 1 → 2 of 4, a window"),
        ("paused", 2, "step 2 of 4 is reached"),
        ("paused", 3, "step 2 of 4 is reached; the run is at step 3"),
    ],
)
def test_a_plan_says_from_where_to_where(
    tmp_path: Path, status: str, step: int | None, words: str
) -> None:
    row = planned(tmp_path, "window=2")
    assert lines.steps_text(Planned(row.cell, row.run, status, step)) == words


@pytest.mark.parametrize(
    ("words", "way"),
    [
        ([], "step 0 → 4 of 4"),
        (["window=1"], "step 0 → 1 of 4, a window"),
        (["target=3"], "step 0 → 3 of 4, the target"),
        (["window=1", "target=3"], "step 0 → 3 of 4, the target"),
        (["window=4"], "step 0 → 4 of 4"),
    ],
)
def test_steps_say_whether_they_are_a_window_or_a_target(
    tmp_path: Path, words: list[str], way: str
) -> None:
    assert planned(tmp_path, *words).way == way


@pytest.mark.parametrize(
    ("profile", "status", "step", "words"),
    [
        ("dry", "planned", None, "starts"),
        ("dry", "paused", None, "goes on"),
        ("dry", "failed", None, "goes on"),
        ("smoke", "planned", None, "starts: step 0 → 2 of 4, a window"),
        ("smoke", "failed", 0, "starts: step 0 → 2 of 4, a window"),
        ("smoke", "lost", 1, "goes on: step 1 → 2 of 4, a window"),
    ],
)
def test_a_run_that_begins_says_what_it_will_do(
    tmp_path: Path, profile: str, status: str, step: int | None, words: str
) -> None:
    row = planned(tmp_path, *(["window=2"] if profile == "smoke" else []), profile=profile)
    line = lines.start_line(Planned(row.cell, row.run, status, step))
    assert line.partition(f"{row.cell.job.id}  ")[2] == words


# Text -------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_nko_survives_in_labels_records_and_tables(tmp_path: Path) -> None:
    text_of_profile = running.OWN_PROFILE.replace("# A profile", "# ߒߞߏ: a profile")
    files.write_text(tmp_path / "conf" / "profile" / "nko.yaml", text_of_profile)
    outputs = tmp_path / "ߒߞߏ ߝߊ߬ߛߏ"
    matrix = "# ߒߞߏ?\nprofile: nko\naxes: {seed: [1, 2]}\ntable: {metrics: [value]}\n"
    files.write_text(tmp_path / "matrices" / "m.yaml", matrix)
    done = running.thunder(
        "matrix=m", f'outputs="{outputs}"', "--config-dir", str(tmp_path / "conf")
    )
    assert done.returncode == 0, done.stderr
    assert str(outputs) in done.stdout
    assert "ߒߞߏ" in store_text(outputs)


def store_text(outputs: Path) -> str:
    """Return the text of one record as it lies on disk."""
    return next(outputs.glob("dry/*/run.json")).read_text(encoding="utf-8")


def test_columns_align_under_tone_marks_and_wide_letters() -> None:
    shown = wording.columns(["a", "b"], [["ߝߊ߬ߛߏ߫", 1], ["漢字", 2], ["abcd", 3]])
    assert shown.splitlines() == ["a     b", "----  -", "ߝߊ߬ߛߏ߫  1", "漢字  2", "abcd  3"]


def test_counts_agree_with_their_nouns() -> None:
    found = [wording.count(number, "run") for number in (0, 1, 2, 1234)]
    assert found == ["0 runs", "1 run", "2 runs", "1,234 runs"]


# Terminal ---------------------------------------------------------------------------------------


def test_a_terminal_shows_a_table_a_bar_and_what_follows_below(tmp_path: Path) -> None:
    found, row = recording(many=False), planned(tmp_path)
    with found:
        for event in EVENTS:
            found.event(row, event)
    shown = shown_by(found)
    order = ["prepare ߒߞߏ", "preflight", "64 rows", "[full]", "train   step", "5.2500", "report"]
    places = [shown.rindex(word) for word in order]
    assert places == sorted(places)
    assert "2/2" in shown
    assert "1,235 tokens/s" in shown
    assert found.progress.tasks == []


def test_a_terminal_shows_one_bar_per_run_and_lines_above(tmp_path: Path) -> None:
    found = recording(many=True)
    rows = [planned(tmp_path, f"seed={number}") for number in (1, 2)]
    step = events.step(1, 4, unit="tokens", per_second=10.0, loss=5.5)
    with found:
        for row in rows:
            found.begin(row)
        assert [task.total for task in found.progress.tasks] == [4, 4]
        found.event(rows[0], step)
        assert [task.completed for task in found.progress.tasks] == [1, 0]
        found.event(rows[1], events.warning("[bold]slow :smile:"))
        found.end(Outcome(rows[0], "reached", 1.0))
        assert [task.completed for task in found.progress.tasks] == [0]
        found.end(Outcome(rows[1], "failed", 1.0, {
            "message": "m", "cause": "data", "last_lines": [], "reproduce": ""}))  # fmt: skip
        assert found.progress.tasks == []
    shown = shown_by(found)
    assert "[bold]slow :smile:" in shown
    assert f"done    {rows[0].cell.job.id}" in shown
    assert f"FAILED  {rows[1].cell.job.id}" in shown


def test_bars_of_a_bundle_fit_into_80_columns(tmp_path: Path) -> None:
    found = recording(many=True)
    found.console.width = 80
    request = requests.read(["matrix=vast_a100_asr", f"outputs={tmp_path}"])
    rows = how_far(request.cells, tmp_path)
    step = events.step(137, 7265, unit="utterances", per_second=404.0, loss=0.3326, epoch=50)
    with found:
        for row in rows[-2:]:
            found.begin(row)
            found.event(row, step)
        found.progress.refresh()
    shown = [line for line in shown_by(found).splitlines() if "loss 0.3326" in line]
    assert "latin trajectory_ttt" in shown[-1]
    assert "137/7265" in shown[-1]
    assert "404 utterances/s" in shown[-1]
    assert "0:00:0" in shown[-1]


def test_a_bar_that_never_fills_is_left_and_closed(tmp_path: Path) -> None:
    found, row = recording(many=False), planned(tmp_path)
    error = {"message": "m", "cause": "ranks", "last_lines": [], "reproduce": ""}
    with found:
        found.event(row, EVENTS[2])
        found.end(Outcome(row, "failed", 1.0, error))
    assert found.progress.tasks == []
    assert shown_by(found).rindex("1/2") < shown_by(found).rindex("FAILED")


def in_a_terminal(*words: str, lane: str | None = None) -> str:
    """Run a command in a pseudo-terminal; return all that it showed."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        running.command(*words, lane=lane), stdout=theirs, stderr=theirs, stdin=theirs,
        env={**running.environment(), "TERM": "xterm-256color", "COLUMNS": "120"},
    )  # fmt: skip
    os.close(theirs)
    data = b""
    while select.select([ours], [], [], running.DEADLINE_SECONDS)[0]:
        try:
            block = os.read(ours, 1 << 16)
        except OSError:
            break
        if not block:
            break
        data += block
    os.close(ours)
    assert process.wait(running.DEADLINE_SECONDS) == 0
    return data.decode()


@pytest.mark.slow
def test_a_real_terminal_gets_the_plan_first_and_then_the_bar(tmp_path: Path) -> None:
    shown = in_a_terminal("+profile=dry", f"outputs={tmp_path}", lane="stepping")
    assert shown.startswith("plan    dry  dry f363bf6c4436")
    assert "\x1b[" in shown
    assert "━" in shown
    assert shown.index("plan") < shown.index("━") < shown.rindex("done")
    assert "ߒߞߏ is slow here" in shown


@pytest.mark.slow
def test_a_real_terminal_gets_a_bar_per_run(tmp_path: Path) -> None:
    words = ["-m", "+profile=dry", "seed=1,2", "jobs=2", f"outputs={tmp_path}"]
    shown = in_a_terminal(*words, lane="stepping")
    assert "2 reached" in shown
    assert shown.count("run     seed=") == 2
    assert "━" in shown


def test_the_screen_fits_the_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(launch.screen_of_stream(many=False), plain.Plain)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    assert isinstance(launch.screen_of_stream(many=True), terminal.Terminal)


@pytest.mark.parametrize(
    ("event", "line"),
    [
        (events.step(20, 20, unit="utterances", per_second=99.6, loss=1.5, epoch=3),
         "train   step 20/20  epoch 3  loss 1.5000  100 utterances/s"),
        (events.step(20, 20, unit="utterances", per_second=99.6, loss=None, epoch=3),
         "train   step 20/20  epoch 3  100 utterances/s"),
        (events.rows(20, 20, unit="pages", per_second=7.0), "rows    20/20  7 pages/s"),
        (events.step(20, 20, unit="tokens", per_second=2000.0, loss=1.5),
         "train   step 20/20  loss 1.5000  2,000 tokens/s"),
    ],
)  # fmt: skip
def test_a_step_says_what_it_counts(
    event: dict[str, Any], line: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plain.Plain(many=False).event(planned(tmp_path), event)
    assert capsys.readouterr().out == f"{line}\n"


def test_a_log_has_the_last_step_of_an_epoch_and_no_other(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    row = planned(tmp_path)
    for step in (1, 2, 3):
        event = events.step(step, 3, unit="utterances", per_second=1.0, loss=1.0, epoch=1)
        plain.Plain(many=False).event(row, event)
    assert capsys.readouterr().out.count("\n") == 1


def test_a_validation_shows_what_was_measured_by_the_names_and_in_the_order_of_its_lane(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    metrics = {"loss": 0.5, "exact": None, "cer": 0.25}
    event = events.valid(3, unit="epoch", metrics=metrics)
    plain.Plain(many=False).event(planned(tmp_path), event)
    assert capsys.readouterr().out == "valid   epoch 3  loss 0.5000  cer 0.2500\n"
