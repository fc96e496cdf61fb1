"""Tables: numbers that runs wrote, with the runs behind them, and nothing else."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import running

from thunder.commands import requests, tasks
from thunder.executors import place
from thunder.executors.place import Ending, Order
from thunder.ground import files, run_files
from thunder.ground.errors import ThunderError
from thunder.results.tables import render, summary
from thunder.runner import loop as runner
from thunder.runs import attempts, store
from thunder.runs.cells import how_far
from thunder.runs.run import Run

QUESTION = """\
# Does the value matter, and by more than the spread over seeds?
profile: own_question
axes:
  dry.value: [1, 2]
  seed: [0, 1, 2]
table:
  over: seed
  metrics: [value, value_squared, seed]
"""
# Pinned: change it only when a table is meant to look otherwise, or when ids change.
MARKDOWN = """\
# question

Does the value matter, and by more than the spread over seeds?

| dry.value | runs | value | value_squared | seed | run ids |
| --- | --- | --- | --- | --- | --- |
| 1 | 3/3 | 1 ± 0 | 1 ± 0 | 1.0 ± 1.0 | f363bf6c4436 ID1 ID2 |
| 2 | 2/3 | 2 ± 0 | 4 ± 0 | 0.50 ± 0.71 | ID3 ID4 |

- mean ± sample standard deviation over seed

Missing:

- ID5 (dry.value=2 seed=2): no run yet
"""
CSV = """\
dry.value,present,wanted,stand_in,value_mean,value_sd,value_n,value_squared_mean,\
value_squared_sd,value_squared_n,seed_mean,seed_sd,seed_n,runs,caveats
1,3,3,False,1.0,0.0,3,1.0,0.0,3,1.0,1.0,3,f363bf6c4436 ID1 ID2,
2,2,3,False,2.0,0.0,2,4.0,0.0,2,0.5,0.7071067811865476,2,ID3 ID4,
"""


class Bench:
    """A matrix of one's own, its outputs, and what can be asked of them."""

    def __init__(self, folder: Path, text: str, name: str = "question") -> None:
        self.name, self.outputs = name, folder / "outputs"
        self.conf = running.write_matrix(folder, name, text)
        self.request = requests.read(
            [f"matrix={name}", f"outputs={self.outputs}"], config_dir=self.conf
        )

    def run(self, count: int | None = None) -> None:
        """Run the first cells, all by default."""
        rows = how_far(self.request.cells[:count], self.outputs)
        outcomes = runner.run(rows, running.Silent(), at_once=2)
        assert runner.exit_code(outcomes) == 0

    def build(self) -> dict[str, Any]:
        """Return the table as data."""
        assert self.request.matrix is not None
        return summary.build(self.request.matrix, self.request.cells, self.outputs)

    def main(self, *words: str) -> int:
        """Run `thunder table`."""
        flags = ["--outputs", str(self.outputs), "--config-dir", str(self.conf)]
        return tasks.main(["table", self.name, *flags, *words])

    def runs(self) -> list[Run]:
        """Return the runs of the cells, in order."""
        cells = self.request.cells
        return [store.find(self.outputs, cell.job.kind, cell.job.id) for cell in cells]

    def set_inputs(self, number: int, **inputs: str) -> None:
        """Let a run have read other bytes."""
        run = self.runs()[number]
        attempts.write_record(run, {**run.record(), "inputs": inputs})


@pytest.fixture(autouse=True)
def _committed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the code of the runs be one clean commit, whatever state the checkout is in."""
    running.let_code_be_committed(monkeypatch)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """Return a matrix of six cells, five of them run."""
    found = Bench(tmp_path, QUESTION)
    found.run(5)
    return found


def named(text: str, bench: Bench) -> str:
    """Put the ids of runs into a pinned table."""
    for number, run in enumerate(bench.runs()):
        text = text.replace(f"ID{number}", run.id)
    return text


@pytest.mark.slow
def test_the_table_is_pinned_as_markdown_and_csv(bench: Bench) -> None:
    table = bench.build()
    assert render.render_markdown(table) == named(MARKDOWN, bench)
    assert render.render_csv(table) == named(CSV, bench)


@pytest.mark.slow
def test_every_number_names_the_runs_behind_it(bench: Bench) -> None:
    rows = bench.build()["rows"]
    ids = [run.id for run in bench.runs()]
    assert [row["runs"] for row in rows] == [ids[:3], ids[3:5]]
    for row in rows:
        numbers = [store.by_prefix(bench.outputs, name).metrics()["seed"] for name in row["runs"]]
        assert row["values"]["seed"]["mean"] == sum(numbers) / len(numbers)  # type: ignore[arg-type]


@pytest.mark.slow
def test_a_terminal_shows_all_of_the_table_in_columns_and_no_markup(bench: Bench) -> None:
    table = bench.build()
    shown, page = render.render_brief(table), render.render_markdown(table)
    assert not re.search(r"[|#]|---\||^- ", shown, re.M)
    rows = [re.split(r" \| ", line[2:-2]) for line in page.splitlines() if line.startswith("|")]
    lines = [re.split(r" {2,}", line) for line in shown.splitlines()]
    assert all(row in lines for row in rows if set(row) != {"---"})
    for line in page.splitlines():
        if line.startswith("- "):
            assert line[2:] in shown


@pytest.mark.slow
def test_the_same_runs_give_the_same_bytes(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    assert bench.main() == 0
    folder = bench.outputs / "tables"
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert set(before) == {"question.json", "question.md", "question.csv"}
    assert bench.main() == 0
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert "written  " in capsys.readouterr().out


@pytest.mark.slow
def test_check_fails_when_a_table_does_not_follow_from_the_runs(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    assert bench.main("--check") == 1  # not written yet
    assert bench.main() == 0
    assert bench.main("--check") == 0
    path = bench.outputs / "tables" / "question.md"
    path.write_text(path.read_text().replace("0.5", "0.4"))
    capsys.readouterr()
    assert bench.main("--check", "--json") == 1
    assert json.loads(capsys.readouterr().out) == {"stale": [str(path)]}
    bench.run()
    assert bench.main("--check") == 1
    assert "stale    " in capsys.readouterr().out


@pytest.mark.slow
def test_json_is_what_the_renderings_are_made_of(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    assert bench.main("--json") == 0
    assert json.loads(capsys.readouterr().out) == bench.build()


# Refusals ---------------------------------------------------------------------------------------


@pytest.mark.slow
def test_runs_that_read_different_bytes_are_not_compared(bench: Bench) -> None:
    bench.set_inputs(0, data="a" * 64)
    bench.set_inputs(1, data="a" * 64)
    bench.build()
    bench.set_inputs(2, data="b" * 64)
    with pytest.raises(ThunderError, match=r"read different data \(sha256 a{12}… and b{12}…\)"):
        bench.build()


@pytest.mark.slow
def test_an_axis_inside_an_input_excuses_different_bytes(bench: Bench) -> None:
    bench.set_inputs(0, dry="a" * 64)
    bench.set_inputs(3, dry="b" * 64)  # another dry.value
    bench.build()
    bench.set_inputs(1, dry="c" * 64)  # another seed only
    with pytest.raises(ThunderError, match="read different dry"):
        bench.build()


@pytest.mark.slow
def test_an_unknown_metric_is_named_with_the_nearest(tmp_path: Path) -> None:
    bench = Bench(tmp_path, QUESTION.replace("value_squared", "value_sqared"))
    bench.run(1)
    with pytest.raises(
        ThunderError, match=r"'value_sqared'.*'value_squared'.*metrics: seed, value"
    ):
        bench.build()


@pytest.mark.parametrize("table", ["", "table: {over: seed}\n"])
def test_a_matrix_without_metrics_says_what_to_add(tmp_path: Path, table: str) -> None:
    bench = Bench(tmp_path, QUESTION.split("table:")[0] + table)
    with pytest.raises(ThunderError, match=r"names no metrics; add table: \{metrics: \[value\]\}$"):
        bench.build()
    assert bench.main() == 1


def test_a_profile_has_no_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert tasks.main(["table", "dry", "--outputs", str(tmp_path)]) == 1
    assert "'dry' is a profile; a table needs a matrix" in capsys.readouterr().err


def test_a_name_of_nothing_says_what_there_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert tasks.main(["table", "adapter_rnk", "--outputs", str(tmp_path)]) == 1
    message = capsys.readouterr().err
    assert "'adapter_rnk' (did you mean 'adapter_rank'?)" in message
    assert "matrices/ has " in message
    assert "conf/profile/ has " in message


# Runs that cannot be believed --------------------------------------------------------------------


def tamper(run: Run, name: str) -> None:
    """Change a file of a run that its manifest vouches for."""
    path = run.folder / name
    path.write_text(path.read_text().translate({ord("1"): "3", ord("2"): "4"}))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("metrics.json", "not what its manifest says .*: metrics.json: its bytes are not those"),
        ("config.json", "not what its manifest says .*: config.json: "),
        ("run.json", "run.json: "),
        ("manifest.json", "manifest.json: cannot be read: "),
    ],
)
def test_a_run_that_cannot_be_believed_is_missing_and_bars_no_other(
    bench: Bench, capsys: pytest.CaptureFixture[str], name: str, why: str
) -> None:
    first, second, *_ = bench.runs()
    before = bench.build()
    if name in ("run.json", "manifest.json"):
        (second.folder / name).write_text("")
    else:
        tamper(second, name)
    table = bench.build()
    row, other = table["rows"]
    assert other == before["rows"][1]
    assert row["runs"] == [first.id, bench.runs()[2].id]
    assert row["values"]["value_squared"] == {"n": 2, "mean": 1, "sd": 0}
    (missing,) = row["missing"]
    assert re.match(rf"{second.id} \(dry.value=1 seed=1\): the run is unreadable: {why}", missing)
    assert table["unreadable"] == [f"dry/{missing}"]
    for rendered in (render.render_markdown, render.render_brief):
        assert missing in rendered(table).partition("Missing:")[2]
    assert "1,2,3,False,1.0," in render.render_csv(table)
    capsys.readouterr()
    assert bench.main() == 1
    shown = capsys.readouterr()
    assert "written  " in shown.out
    assert "thunder: 1 cell without numbers" in shown.err
    assert missing in shown.err
    assert bench.main("--check") == 1  # though the table on disk follows from the runs


@pytest.mark.slow
def test_numbers_struck_off_the_manifest_are_missing(bench: Bench) -> None:
    path = bench.runs()[1].folder / "manifest.json"
    listed = files.read_json(path)
    rows = [row for row in listed["artifacts"] if row["path"] != "metrics.json"]
    files.write_json(path, {**listed, "artifacts": rows})
    assert "metrics.json: not in the manifest" in bench.build()["rows"][0]["missing"][0]


@pytest.mark.slow
def test_where_no_run_can_be_read_the_table_that_is_there_stays(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    assert bench.main() == 0
    folder = bench.outputs / "tables"
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    for run in bench.runs()[:5]:
        tamper(run, "metrics.json")
    capsys.readouterr()
    for words in ([], ["--check"], ["--json"]):
        assert bench.main(*words) == 1
        shown = capsys.readouterr()
        assert shown.out == ""
        assert "'question': no run can be read, so no table is made; one that is" in shown.err
        assert all(run.id in shown.err for run in bench.runs()[:5])
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.slow
def test_metrics_of_a_run_that_cannot_be_read_leave_a_sweep_its_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["+profile=dry", "seed=1,2", "dry.sleep_seconds=0.01", f"outputs={tmp_path}"]
    assert running.here(*words, sweep=True) == 0
    (plan,) = (tmp_path / "plans").glob("sweep_*.json")
    broken, whole = sorted((tmp_path / "dry").iterdir())
    (broken / "metrics.json").write_text("{")
    assert tasks.main(["table", plan.stem, "--outputs", str(tmp_path)]) == 1
    assert re.search(rf"^1/2 +1 +1 +{whole.name}$", capsys.readouterr().out, re.M)


# Missing numbers --------------------------------------------------------------------------------


def test_a_table_without_any_run_shows_all_as_missing(tmp_path: Path) -> None:
    table = Bench(tmp_path, QUESTION).build()
    assert [row["present"] for row in table["rows"]] == [0, 0]
    assert "| 1 | 0/3 | – | – | – | – |" in render.render_markdown(table)
    assert len([r for row in table["rows"] for r in row["missing"]]) == 6


@pytest.mark.slow
def test_a_failed_run_is_missing_and_says_so(tmp_path: Path) -> None:
    text = QUESTION.replace("dry.value: [1, 2]", "dry.fail: [true]")
    bench = Bench(tmp_path, text)
    rows = how_far(bench.request.cells[:1], bench.outputs)
    runner.run(rows, running.Silent())
    assert "(dry.fail=True seed=0): the run is failed" in bench.build()["rows"][0]["missing"][0]


@pytest.mark.slow
def test_one_run_has_a_mean_and_no_spread(tmp_path: Path) -> None:
    bench = Bench(tmp_path, QUESTION)
    bench.run(1)
    assert bench.build()["rows"][0]["values"]["value"] == {"n": 1, "mean": 1, "sd": None}
    assert "| 1 | 1/3 | 1 | 1 | 0 |" in render.render_markdown(bench.build())


def test_a_metric_that_some_runs_lack_says_how_many_have_it() -> None:
    assert render._mean_text({"mean": 1.5, "sd": None, "n": 1}, 3) == "1.5 (n=1)"
    assert render._mean_text({"mean": 1.5, "sd": 0.25, "n": 3}, 3) == "1.50 ± 0.25"
    assert render._mean_text({"mean": None, "sd": None, "n": 0}, 3) == "–"


def test_large_numbers_are_shown_without_an_exponent() -> None:
    assert render._mean_text({"mean": 368640.0, "sd": 1234.5, "n": 2}, 2) == "368,640 ± 1,234"
    assert render._mean_text({"mean": 1e-6, "sd": None, "n": 1}, 1) == "1e-06"


def test_a_bar_in_a_value_does_not_break_the_table(bench: Bench) -> None:
    table = bench.build()
    axis = next(iter(table["rows"][0]["point"]))
    table["rows"][0]["point"][axis] = "a|b\nߒߞߏ"
    assert "| a\\|b ߒߞߏ |" in render.render_markdown(table)


# Shapes of matrices -----------------------------------------------------------------------------


@pytest.mark.slow
def test_included_cells_get_rows_of_their_own(tmp_path: Path) -> None:
    text = QUESTION + "include:\n  - {dry.value: 5, dry.sleep_seconds: 0.01}\n"
    bench = Bench(tmp_path, text)
    bench.run()
    last = bench.build()["rows"][-1]
    assert last["point"] == {"dry.value": 5, "dry.sleep_seconds": 0.01}
    assert "| 5 | 0.01 | 1/1 | 5 | 25 | 0 |" in render.render_markdown(bench.build())
    assert "| 1 | – | 3/3 |" in render.render_markdown(bench.build())


@pytest.mark.slow
def test_a_table_without_over_has_a_row_per_cell(tmp_path: Path) -> None:
    bench = Bench(tmp_path, QUESTION.replace("  over: seed\n", ""))
    bench.run()
    assert [row["wanted"] for row in bench.build()["rows"]] == [1] * 6


class Windows:
    """Stands in for the executor: a job whose loss falls by one at every tenth step."""

    def execute(self, where: Any, order: Order, *_: Any) -> Ending:
        """Pretend to train up to the goal, and leave a row of numbers at every window."""
        run = Run(order.folder)
        attempt = run.record()["attempts"][-1]
        for step in range(attempt["from_step"] + 1, attempt["to_step"] + 1):
            files.append_jsonl(order.folder / run_files.ROWS, {"step": step, "loss": 1.0})
            files.append_jsonl(
                order.folder / run_files.ROWS, {"step": step, "valid_loss": 9.0 - step}
            )
        goal = attempt["to_step"]
        return Ending({"metrics": {"valid_loss": 9.0 - goal}, "step": goal}, None)


STEPS = """\
# How does the loss fall?
axes:
  profile: [smoke]
  target: [1, 2, 3]
set: {window: 1}
table: {metrics: [valid_loss]}
"""


@pytest.fixture
def trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """Return a matrix over targets, all reached."""
    monkeypatch.setattr(place, "execute", Windows().execute)
    bench = Bench(tmp_path, STEPS, "steps")
    bench.run()
    return bench


def values(bench: Bench) -> list[float | None]:
    """Return the losses of a table, row by row."""
    return [row["values"]["valid_loss"]["mean"] for row in bench.build()["rows"]]


def test_a_target_reads_its_own_step_when_the_run_has_gone_further(trained: Bench) -> None:
    assert values(trained) == [8.0, 7.0, 6.0]
    assert len({name for row in trained.build()["rows"] for name in row["runs"]}) == 1


def test_a_profile_axis_does_not_excuse_different_bytes_under_one_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(place, "execute", Windows().execute)
    text = STEPS.replace("[smoke]", "[partial_real_stage1_stable, partial_real_stage1]")
    bench = Bench(tmp_path, text, "profiles")
    bench.run()
    bench.set_inputs(0, data="a" * 64)
    assert len(bench.build()["rows"]) == 6
    bench.set_inputs(3, data="b" * 64)
    with pytest.raises(ThunderError, match="read different data"):
        bench.build()


def test_stand_ins_are_marked_in_every_rendering(trained: Bench) -> None:
    table = trained.build()
    assert all(row["stand_in"] for row in table["rows"])
    assert "† stand-in model or data" in render.render_markdown(table)
    assert "| smoke | 1 | 1/1 † | 8 |" in render.render_markdown(table)
    assert "smoke,1,1,1,True,8.0," in render.render_csv(table)


def test_numbers_written_before_a_crash_do_not_pass_for_an_earlier_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(place, "execute", Windows().execute)
    bench = Bench(tmp_path, STEPS, "steps")
    bench.run(1)
    run, two = bench.runs()[0], bench.request.cells[1].job
    record = attempts.start(run, two, runner.provenance.collect())
    ending = Windows().execute(place.named("local"), Order(run.folder, "", -1, 1.0, 1.0))
    assert ending.result is not None
    # The metrics of step 2 and their manifest are there; the record that says so is not.
    monkeypatch.setattr(attempts, "write_record", lambda *_: {})
    attempts.finish(run, record, ending.result, 1.0)
    assert (run.status(), run.metrics()) == ("lost", {"valid_loss": 7.0})
    assert values(bench) == [8.0, None, None]


# Ad-hoc sweeps ----------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_sweep_has_a_table_by_the_name_of_its_plan(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["+profile=dry", "seed=1,2", "dry.sleep_seconds=0.01", f"outputs={tmp_path}"]
    assert running.here(*words, "dry.value=3,4", "jobs=2", sweep=True) == 0
    (plan,) = (tmp_path / "plans").glob("sweep_*.json")
    capsys.readouterr()
    assert tasks.main(["table", plan.stem, "--outputs", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    assert re.search(r"^dry\.value  runs  value  value_squared  run ids$", shown, re.M)
    assert re.search(r"^3 +2/2 +3 ± 0 +9 ± 0 ", shown, re.M)
    for question in ("status", "plan", "why", "verify"):
        assert tasks.main([question, plan.stem, "--outputs", str(tmp_path)]) == 0
    assert "4 of 4 runs proven" in capsys.readouterr().out


def test_a_sweep_without_numbers_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["+profile=dry", "seed=1,2", f"outputs={tmp_path}", "dry.fail=true"]
    assert running.here(*words, sweep=True) == 1
    (plan,) = (tmp_path / "plans").glob("sweep_*.json")
    assert tasks.main(["table", plan.stem, "--outputs", str(tmp_path)]) == 1
    assert "no run has numbers yet; run it first" in capsys.readouterr().err


# Truth ------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_runs_of_different_code_are_named(bench: Bench) -> None:
    path = bench.runs()[1].folder / "run.json"
    record = files.read_json(path)
    record["attempts"][0]["provenance"].update(commit="f" * 40, dirty=True)
    files.write_json(path, record)
    table = bench.build()
    for rendered in (render.render_markdown, render.render_brief, render.render_csv):
        assert f"code ffffffffffff, with uncommitted changes: {bench.runs()[1].id}" in rendered(
            table
        )
        assert "code 000000000000: " in rendered(table)


@pytest.mark.slow
def test_runs_that_read_different_bytes_are_never_averaged(tmp_path: Path) -> None:
    text = QUESTION.replace("over: seed", "over: dry.value")
    bench = Bench(tmp_path, text)
    bench.run()
    bench.set_inputs(0, dry="a" * 64)
    bench.set_inputs(3, dry="b" * 64)  # another dry.value, in the same row
    with pytest.raises(ThunderError, match="read different dry"):
        bench.build()


@pytest.mark.slow
def test_a_step_is_read_from_its_own_rows_though_metrics_json_is_ahead(trained: Bench) -> None:
    assert values(trained) == [8.0, 7.0, 6.0]
    run = trained.runs()[0]
    files.write_json(run.folder / "metrics.json", {"valid_loss": 0.5})  # killed before the manifest
    assert values(trained) == [8.0, 7.0, 6.0]
