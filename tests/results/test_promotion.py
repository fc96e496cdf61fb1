"""Promotions: what may be claimed of runs, and everything that forbids it, said at once."""

import shutil
from pathlib import Path
from typing import Any

import bundle_runs
import pytest
import running

from thunder.commands import requests
from thunder.ground import digest, files, run_files, schema
from thunder.ground.errors import Faults, ThunderError
from thunder.jobs import job
from thunder.jobs.matrix import Cell
from thunder.jobs.matrix_file import Matrix
from thunder.lanes.asr.results.claims import CER, WER
from thunder.results import promotion
from thunder.results.promotion import claims
from thunder.results.promotion.comparison import Comparison, Measure
from thunder.runner import loop as runner
from thunder.runs import attempts, manifest, provenance, store
from thunder.runs.cells import how_far
from thunder.runs.run import Run

QUESTION = """\
# Does the value matter?
profile: own_question
axes:
  dry.value: [1, 2]
  seed: [0, 1]
table:
  over: seed
  metrics: [value]
"""
OPTIONAL = [{"script": "latin", "mode": "trajectory"}]


@pytest.fixture(autouse=True)
def _committed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the code of the runs be one clean commit, whatever state the checkout is in."""
    running.let_code_be_committed(monkeypatch)


def bound(cell: Cell, **words: Any) -> Cell:
    """Return a cell whose data are no stand-in."""
    source = {"digest": bundle_runs.SNAPSHOT}
    config = {**cell.job.config, "data": {"name": "pairs", "source": source}, **words}
    return Cell(cell.coordinates, job.Job(job.id_of(job.document(config)), config))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return outputs with the required runs of the bundle, for tests to copy."""
    outputs = tmp_path_factory.mktemp("made") / "outputs"
    for cell in CELLS[:3]:
        bundle_runs.finish(outputs, cell, rows=120, stand_in=False)
    return outputs


@pytest.fixture
def bundled(made: Path, outputs: Path) -> Path:
    """Return outputs of one's own with the required runs of the bundle."""
    shutil.copytree(made, outputs)
    return outputs


@pytest.fixture(scope="module")
def document(made: Path) -> dict[str, Any]:
    """Return the promotion of the bundle."""
    return promotion.of_matrix(MATRIX, CELLS, made)


MATRIX = bundle_runs.matrix(optional=OPTIONAL)
CELLS = [bound(cell) for cell in bundle_runs.cells(MATRIX)]  # the last is the optional one


def run_of(outputs: Path, cell: Cell) -> Run:
    return store.find(outputs, cell.job.kind, cell.job.id)


def changed(run: Run, **made: Any) -> None:
    """Let the last attempt of a run have other provenance."""
    record = run.record()
    last = record["attempts"][-1]
    last = {**last, "provenance": {**last["provenance"], **made}}
    attempts.write_record(run, {**record, "attempts": [*record["attempts"][:-1], last]})


def texts(document: dict[str, Any], key: str) -> str:
    return "\n".join(row["text"] for row in document[key])


# A bundle ---------------------------------------------------------------------------------------


def test_a_bundle_is_promoted_with_all_that_it_rests_on(
    made: Path, document: dict[str, Any]
) -> None:
    runs = [run_of(made, cell) for cell in CELLS[:3]]
    assert [row["run"] for row in document["runs"]] == [run.id for run in runs]
    assert document["snapshot"] == {"data": "a" * 64, "split": "b" * 64, "features": "c" * 64}
    assert document["code"] == [{"commit": "0" * 40, "runs": [run.id for run in runs]}]
    for row, run in zip(document["runs"], runs, strict=True):
        results = files.read_json(run.folder / "results.json")
        (cer,) = (metric for metric in row["metrics"] if metric["name"] == "test_cer_micro")
        assert cer["value"] == results["test_cer"]
        assert [cer["low"], cer["high"]] == results["cer_ci95"]
        (wer,) = (metric for metric in row["metrics"] if metric["name"] == "test_wer")
        assert wer["value"] == results["test"]["norm"]["wer_micro"]
        assert wer["low"] < wer["value"] < wer["high"]
        assert row["reproduce"] == run.record()["attempts"][0]["runtime"]["reproduce"]
        assert row["manifest_sha256"] == digest.of_file(run.folder / run_files.MANIFEST)
    left = CELLS[3]
    assert document["missing"] == [
        {"cell": dict(left.coordinates), "run": left.job.id, "reason": "no run yet"}
    ]
    assert {row["word"] for row in document["definitions"]} == {"trajectory", "suta"}


def test_every_comparison_is_claimed_or_said_not_to_be(document: dict[str, Any]) -> None:
    baseline, trajectory, latin = (cell.job.id for cell in CELLS[:3])
    said, denied = texts(document, "claimed"), texts(document, "not_claimed")
    by_runs = {(*row["runs"], row["measure"]): row for row in document["comparisons"]}
    for measure in (CER, WER):
        name = measure.name
        assert {(trajectory, baseline, name), (baseline, latin, name)} < set(by_runs)
        assert by_runs[baseline, latin, name][measure.least] is not None
    assert by_runs[trajectory, baseline, "CER"]["high"] < 0
    assert f"CER of script=nko mode=trajectory seed=42 ({trajectory}) is lower than of" in said
    for row in document["comparisons"]:
        measure = {"CER": CER, "WER": WER}[row["measure"]]
        sides = {key: row[key] for key in row.keys() - {measure.least, "measure"}}
        compared = Comparison(measure, **sides, least=row[measure.least])
        numbers, is_real = claims._numbers(compared), claims.is_real(compared)
        assert (numbers in said, numbers in denied) == (is_real, not is_real)


def test_what_must_not_be_read_into_it_is_said(document: dict[str, Any]) -> None:
    said = texts(document, "not_claimed")
    for part in (
        "another snapshot, split",
        "that what is called suta, trajectory here is a published method",
        "correction adapter",
        "unseen speakers",
        "there is one seed each",
        "any difference in script=latin mode=trajectory seed=42 (T3_mode_effect): script=latin",
    ):
        assert part in said


def test_the_markdown_has_every_run_digest_metric_and_command(document: dict[str, Any]) -> None:
    text = promotion.render_markdown(document)
    for row in document["runs"]:
        assert row["manifest_sha256"] in text
        assert f"{row['reproduce']}  # {row['run']}" in text
        assert all(f"{metric['value']:.6g}" in text for metric in row["metrics"])
    for name, sha256 in document["snapshot"].items():
        assert f"- {name}: sha256 {sha256} (all runs)" in text
    assert "## Claimed" in text
    assert "## Not claimed" in text


def comparison(**words: Any) -> Comparison:
    found = {"difference": -0.05, "low": -0.07, "high": -0.03, "p_value_holm": 0.01}
    sides = {"table": "T3", "label": "tar", "reference": "baseline", "runs": ["a", "b"], "rows": 9}
    return Comparison(**{"measure": CER, **sides, **found, "p_value": 0.01, **words})


def test_a_difference_is_claimed_when_nothing_else_explains_it() -> None:
    assert claims.is_real(comparison())
    assert claims.is_real(comparison(difference=0.05, low=0.03, high=0.07))
    assert not claims.is_real(comparison(high=0.001))
    assert not claims.is_real(comparison(low=-0.07, high=0.0))
    assert not claims.is_real(comparison(p_value_holm=0.05))
    assert claims.is_real(comparison(p_value_holm=None))
    assert claims.is_real(comparison(least=0.04))
    assert not claims.is_real(comparison(least=0.05))
    assert not claims.is_real(comparison(refused="19 utterances"))


def test_what_is_not_claimed_says_why_and_over_what_it_was_tested() -> None:
    found = comparison(refused="too few", units=7, unit="clusters of utterances (speaker)")
    said = claims._no_difference(found)
    assert said.endswith(", paired over 7 clusters of utterances (speaker); too few")
    assert claims._numbers(comparison()).endswith("paired over 9 utterances")


def test_an_interval_over_few_utterances_is_left_out(outputs: Path) -> None:
    lows = []
    for rows in (19, 20):
        run = bundle_runs.finish(
            outputs, bound(bundle_runs.cell(seed=rows)), rows=rows, stand_in=False
        )
        (shown,) = promotion.of_run(run)["runs"]
        lows += [one["low"] for one in shown["metrics"] if one["name"] == "test_cer_micro"]
    assert lows[0] is None
    assert lows[1] is not None


def test_a_comparison_is_told_in_the_words_of_its_lane(document: dict[str, Any]) -> None:
    pages = Measure("share of dull pages", "pages", "ink", "the ink alone")
    of_pages = comparison(measure=pages, least=0.01)
    (told,) = claims.claimed([], [of_pages])
    assert told["text"].startswith("share of dull pages of tar is lower than of baseline by 5.00")
    assert told["text"].endswith("paired over 9 pages; the ink alone: 1.00")
    assert of_pages.recorded()["ink"] == 0.01
    plain = comparison(measure=Measure("share", "pages")).recorded()
    assert set(of_pages.recorded()) - set(plain) == {"ink"}
    few = comparison(units=7, unit="clusters of utterances (speaker)", refused="too few")
    assert plain["unit"] == "pages"
    for row in (of_pages.recorded(), plain, few.recorded()):
        schema.check("promotion", {**document, "comparisons": [row]}, "a promotion")


def test_the_markdown_has_every_comparison_under_the_words_of_its_lane(
    document: dict[str, Any],
) -> None:
    table = promotion.render_markdown(document).partition("## Comparisons\n")[2]
    head = "| table | measure | of | minus that of | points | 95 % interval | p | p (Holm) | rows "
    assert table.strip().startswith(f"{head}| tested over |")
    lines = [line.split(" | ") for line in table.splitlines()]
    for row in document["comparisons"]:
        told = [row[key] for key in ("measure", "label", "reference")]
        over = f"{row['units']:,} {row['unit']} |"
        assert any(line[1:4] == told and line[-1] == over for line in lines)
    assert "Each measure is tested by itself" in table


def test_what_was_proven_of_a_run_is_what_is_told_as_each_file_is_read_once(
    bundled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: list[Path] = []
    read = files.read_json
    monkeypatch.setattr(files, "read_json", lambda path: reads.append(path) or read(path))
    promotion.of_matrix(MATRIX, CELLS, bundled)
    names = {run_files.RECORD, run_files.CONFIG, run_files.METRICS, run_files.MANIFEST}
    of_runs = [path for path in reads if path.name in names]
    assert len(of_runs) == len({*of_runs}) == 4 * len(CELLS[:3])


def test_a_second_promotion_reads_again(bundled: Path) -> None:
    promotion.of_matrix(MATRIX, CELLS, bundled)
    run = run_of(bundled, CELLS[0])
    (run.folder / run_files.RECORD).write_text("", encoding="utf-8")
    with pytest.raises(Faults, match=r"run\.json: cannot be read"):
        promotion.of_matrix(MATRIX, CELLS, bundled)


# Refusals ----------------------------------------------------------------------------------------


def test_every_reason_is_given_at_once(bundled: Path) -> None:
    first, second, third = (run_of(bundled, cell) for cell in CELLS[:3])
    changed(first, dirty=True)
    changed(second, commit=None, reason="thunder is installed, not a checkout")
    files.write_json(second.folder / "run.json", {**second.record(), "stand_in": True})
    (third.folder / "best.pt").write_bytes(b"other weights")
    with pytest.raises(Faults) as caught:
        promotion.of_matrix(bundle_runs.matrix(optional=[]), CELLS, bundled)
    said = "\n".join(caught.value.faults)
    assert caught.value.cause == "verification"
    assert f"attempt 1: code with uncommitted changes on commit {'0' * 12}" in said
    assert "the commit of its code is not known (thunder is installed, not a checkout)" in said
    assert f"run {second.id} (script=nko mode=trajectory): a stand-in" in said
    assert "best.pt: 13 bytes, the manifest has" in said
    assert f"required cell {CELLS[3].job.id} (script=latin mode=trajectory): no run yet" in said
    assert not (bundled / "promotions").exists()


def test_a_stand_in_is_never_promoted(outputs: Path) -> None:
    run = bundle_runs.finish(outputs, bundle_runs.cell(), rows=12)
    with pytest.raises(Faults, match=r"cannot be promoted:\n  run .*: a stand-in of data; it"):
        promotion.of_run(run)


@pytest.mark.parametrize("status", ["failed", "paused", "running"])
def test_a_run_that_is_not_done_is_not_promoted(outputs: Path, status: str) -> None:
    run = bundle_runs.finish(outputs, bound(bundle_runs.cell()), rows=12, stand_in=False)
    attempts.write_record(run, {**run.record(), "status": status})
    said = {"running": "lost"}.get(status, status)
    with pytest.raises(Faults, match=f"required run {run.id}: the run is {said}"):
        promotion.of_run(run)


def test_a_failed_optional_cell_is_missing_and_says_so(bundled: Path) -> None:
    run = bundle_runs.finish(bundled, CELLS[3], rows=12, stand_in=False)
    attempts.write_record(run, {**run.record(), "status": "failed"})
    (row,) = promotion.of_matrix(MATRIX, CELLS, bundled)["missing"]
    assert (row["run"], row["reason"]) == (run.id, "the run is failed")


def test_a_record_that_cannot_be_read_is_a_reason_even_where_the_cell_is_optional(
    bundled: Path,
) -> None:
    run = bundle_runs.finish(bundled, CELLS[3], rows=12, stand_in=False)
    files.write_json(run.folder / "config.json", {"kind": "asr"})
    with pytest.raises(Faults, match=r"config\.json: drifted"):
        promotion.of_matrix(MATRIX, CELLS, bundled)


def test_runs_of_different_snapshots_are_not_promoted_together(bundled: Path) -> None:
    bundle_runs.finish(bundled, CELLS[3], rows=120, stand_in=False, inputs={"data": "d" * 64})
    with pytest.raises(Faults) as caught:
        promotion.of_matrix(MATRIX, CELLS, bundled)
    assert "different data (sha256 aaaaaaaaaaaa… and dddddddddddd…)" in str(caught.value)
    assert "they cannot be compared" in str(caught.value)  # and the tables say so too


def test_a_run_that_lacks_an_artifact_is_not_promoted(outputs: Path) -> None:
    run = bundle_runs.finish(outputs, bound(bundle_runs.cell()), rows=12, stand_in=False)
    for name in ("vocab.json", "best.pt"):
        (run.folder / name).unlink()
    manifest.write(run.folder, run.id, leave_out=(run_files.RECORD,))
    with pytest.raises(Faults, match=f"run {run.id}: lacks vocab.json, best.pt"):
        promotion.of_run(run)
    (run.folder / run_files.MANIFEST).unlink()
    with pytest.raises(Faults, match=r"manifest\.json: missing, so that nothing vouches"):
        promotion.of_run(run)


def test_runs_of_several_commits_need_leave_and_the_record_says_it(bundled: Path) -> None:
    changed(run_of(bundled, CELLS[1]), commit="f" * 40)
    with pytest.raises(
        Faults, match=r"made by 2 commits of the code, 000000000000: .*ffffffffffff"
    ):
        promotion.of_matrix(MATRIX, CELLS, bundled)
    document = promotion.of_matrix(MATRIX, CELLS, bundled, several_commits=True)
    assert [row["commit"] for row in document["code"]] == ["0" * 40, "f" * 40]
    assert "the code had no part in the differences" in texts(document, "not_claimed")


def test_numbers_that_the_dumps_do_not_give_are_not_promoted(bundled: Path) -> None:
    run = run_of(bundled, CELLS[0])
    results = {**files.read_json(run.folder / "results.json"), "test_cer": 0.001}
    bundle_runs.rewrite(run, "results.json", files.render_json(results))
    with pytest.raises(Faults, match=r"test_cer: 0\.001, the dumps give"):
        promotion.of_matrix(MATRIX, CELLS, bundled)


# What a run was made from ------------------------------------------------------------------------


def test_features_that_lie_elsewhere_are_said_not_to_be_looked_at(outputs: Path) -> None:
    needs = {"asr_features": "f" * 12}
    run = bundle_runs.finish(
        outputs, bound(bundle_runs.cell(), needs=needs), rows=12, stand_in=False
    )
    document = promotion.of_run(run)
    assert document["runs"][0]["needs"] == needs
    assert "that the bytes of asr_features ffffffffffff are still" in texts(document, "not_claimed")


def features(outputs: Path) -> Run:
    """Leave a run of features as one that is done leaves it."""
    found = bound(bundle_runs.cell()).job
    config = {"kind": "asr_features", "seed": 0, "data": found.config["data"]}
    config["runtime"] = {**found.runtime, "command": None, "stand_ins": []}
    made = job.Job(job.id_of(job.document(config)), config)
    run = Run(outputs / "asr_features" / made.id)
    record = attempts.start(run, made, provenance.collect())
    files.write_text(run.folder / "index.jsonl", "{}\n")
    inputs = {"data": bundle_runs.SNAPSHOT}
    attempts.finish(run, record, {"metrics": {"rows": 12}, "step": None, "inputs": inputs}, 1.0)
    return run


def test_features_that_are_here_are_part_of_the_promotion(outputs: Path) -> None:
    made = features(outputs)
    cell = bound(bundle_runs.cell(), needs={"asr_features": made.id})
    run = bundle_runs.finish(outputs, cell, rows=12, stand_in=False)
    document = promotion.of_run(run)
    assert [(row["kind"], row["needed_by"]) for row in document["runs"]] == [
        ("asr", []),
        ("asr_features", [run.id]),
    ]
    assert f"needed by {run.id}" in promotion.render_markdown(document)
    assert "that the bytes of" not in texts(document, "not_claimed")
    assert made.id not in texts(document, "claimed")  # frames are no result
    files.write_text(made.folder / "index.jsonl", "[]\n")
    changed(made, dirty=True)
    with pytest.raises(Faults) as caught:
        promotion.of_run(run)
    said = "\n".join(caught.value.faults)
    assert f"run {made.id}: index.jsonl: its bytes are not those of the manifest" in said
    assert f"run {made.id}, attempt 1: code with uncommitted changes" in said


def test_warnings_of_a_run_are_in_its_promotion(outputs: Path) -> None:
    run = bundle_runs.finish(
        outputs, bound(bundle_runs.cell()), rows=12, stand_in=False,
        changed={"warnings": ["3 rows could not be read"]},
    )  # fmt: skip
    said = texts(promotion.of_run(run), "not_claimed")
    assert "what a warning of the run puts in doubt: 3 rows could not be read" in said


def test_bridged_text_is_never_said_to_be_as_people_spell(outputs: Path) -> None:
    cell = bound(bundle_runs.cell(), text={"bridge": "v2_standard"})
    run = bundle_runs.finish(outputs, cell, rows=12, stand_in=False)
    said = texts(promotion.of_run(run), "not_claimed")
    assert "made from Latin by the bridge v2_standard" in said


# Other kinds ------------------------------------------------------------------------------------


def dry_cells(folder: Path, count: int | None = None, text: str = QUESTION) -> requests.Request:
    """Run the first cells of a matrix of dry runs, all by default."""
    conf = running.write_matrix(folder, "question", text)
    words = ["matrix=question", f"outputs={folder / 'outputs'}"]
    request = requests.read(words, config_dir=conf)
    rows = how_far(request.cells[:count], folder / "outputs")
    assert runner.exit_code(runner.run(rows, running.Silent(), at_once=2)) == 0
    return request


@pytest.mark.slow
def test_a_matrix_of_any_kind_is_promoted_without_comparisons(
    tmp_path: Path, outputs: Path
) -> None:
    request = dry_cells(tmp_path)
    assert request.matrix is not None
    document = promotion.of_matrix(request.matrix, request.cells, outputs)
    assert len(document["runs"]) == 4
    assert document["comparisons"] == []
    assert document["subject"]["question"] == "Does the value matter?"
    assert "seed 1, value 2, value_squared 4" in texts(document, "claimed")
    assert "one seed each" not in texts(document, "not_claimed")
    commands = [row["reproduce"] for row in document["runs"]]
    assert len(set(commands)) == 4
    assert all("+profile=own_question" in command for command in commands)
    _, page = promotion.write(document, outputs)
    before = page.read_bytes()
    promotion.write(document, outputs)  # the record, read again, has its keys in another order
    assert page.read_bytes() == before


@pytest.mark.slow
def test_a_matrix_with_a_cell_left_is_not_promoted(tmp_path: Path, outputs: Path) -> None:
    request = dry_cells(tmp_path, 3)
    assert request.matrix is not None
    with pytest.raises(Faults, match=r"required cell .* \(dry.value=2 seed=1\): no run yet"):
        promotion.of_matrix(request.matrix, request.cells, outputs)


def test_a_window_of_an_adapter_is_promoted_at_its_step(outputs: Path) -> None:
    """An adapter run that goes on: what a window reached stays what it was."""
    request = requests.read(["+profile=smoke", f"outputs={outputs}", "window=1", "target=2"])
    found = request.cells[0].job
    config = {**found.config, "data": {**found.config["data"], "source": {"digest": "d" * 64}}}
    config["model"] = {**config["model"], "source": {"digest": "e" * 64}}
    config["runtime"] = {**config["runtime"], "stand_ins": [], "target": 2}
    cell = Cell({"target": 2}, job.Job(job.id_of(job.document(config)), config))
    run = Run(outputs / "adapter" / cell.job.id)
    run.folder.mkdir(parents=True)
    record = attempts.start(run, cell.job, provenance.collect())
    for step in (2, 3):
        files.append_jsonl(run.folder / run_files.ROWS, {"step": step, "valid_loss": 9.0 - step})
    inputs = {"data": "d" * 64, "model": "e" * 64}
    attempts.finish(run, record, {"metrics": {"valid_loss": 6.0}, "step": 3, "inputs": inputs}, 1.0)
    assert run.status() == "paused"
    document = promotion.of_matrix(
        Matrix("windows", {"axes": {"target": [2]}}, {}), [cell], outputs
    )
    (row,) = document["runs"]
    assert (row["step"], row["goal"], row["status"]) == (3, 2, "paused")
    assert row["metrics"] == [{"name": "valid_loss", "value": 7.0, "low": None, "high": None}]
    assert "no recogniser took part" in texts(document, "not_claimed")
    with pytest.raises(Faults, match="the run is paused at step 3 of"):
        promotion.of_run(run)


# Files -------------------------------------------------------------------------------------------


@pytest.fixture
def alone(outputs: Path) -> Run:
    return bundle_runs.finish(outputs, bound(bundle_runs.cell()), rows=12, stand_in=False)


def test_a_promotion_is_written_once_and_stays(
    outputs: Path, alone: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = promotion.write(promotion.of_run(alone), outputs)
    assert [path.name for path in paths] == [f"asr-{alone.id}.json", f"asr-{alone.id}.md"]
    assert store.verify(alone) == []
    before = [path.read_bytes() for path in paths]
    monkeypatch.setattr(attempts, "now", lambda: "2030-01-01T00:00:00+00:00")
    promotion.write(promotion.of_run(alone), outputs)
    assert [path.read_bytes() for path in paths] == before
    assert b"2030" not in before[0]


def test_a_different_promotion_needs_another_name(outputs: Path, alone: Run) -> None:
    (path, _) = promotion.write(promotion.of_run(alone, name="paper"), outputs)
    before = path.read_bytes()
    other = bundle_runs.finish(
        outputs, bound(bundle_runs.cell(mode="tar")), rows=12, stand_in=False
    )
    with pytest.raises(ThunderError, match=r"paper\.json: another promotion, of .*other subject"):
        promotion.write(promotion.of_run(other, name="paper"), outputs)
    assert path.read_bytes() == before
    promotion.write(promotion.of_run(other, name="paper-tar"), outputs)


def test_a_promotion_that_was_edited_is_not_taken_for_the_same(outputs: Path, alone: Run) -> None:
    (path, _) = promotion.write(promotion.of_run(alone), outputs)
    path.write_text(path.read_text(encoding="utf-8").replace("0.", "0.0", 1), encoding="utf-8")
    with pytest.raises(ThunderError, match="another promotion"):
        promotion.write(promotion.of_run(alone), outputs)
    path.write_text("{", encoding="utf-8")
    with pytest.raises(ThunderError, match="cannot be read"):
        promotion.write(promotion.of_run(alone), outputs)


@pytest.mark.parametrize("name", ["../up", "a/b", "", ".hidden", "a b"])
def test_a_name_that_is_no_file_is_refused(outputs: Path, alone: Run, name: str) -> None:
    document = {**promotion.of_run(alone), "name": name}
    with pytest.raises(ThunderError, match="not a name"):
        promotion.write(document, outputs)


def test_the_features_that_were_read_are_named_not_a_second_run_beside_them(outputs: Path) -> None:
    read = features(outputs)
    cell = bound(bundle_runs.cell(), needs={"asr_features": read.id})
    run = bundle_runs.finish(outputs, cell, rows=12, stand_in=False)
    record = run.record()
    (last,) = record["attempts"]
    runtime = {**last["runtime"], "paths": {"asr_features": str(read.folder)}}
    attempts.write_record(run, {**record, "attempts": [{**last, "runtime": runtime}]})
    shutil.copytree(read.folder, f"{read.folder}.2")
    names = [row["run"] for row in promotion.of_run(run)["runs"]]
    assert names == [run.folder.name, read.folder.name]
