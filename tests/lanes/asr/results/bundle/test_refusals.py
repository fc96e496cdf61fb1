"""What tables never show: changed files, other data, numbers that the dumps deny."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bundle_runs
import pytest
from bundle_runs import cell

from thunder.ground import files
from thunder.ground.errors import Faults, ThunderError
from thunder.jobs.matrix import Cell
from thunder.lanes.asr.results import bundle
from thunder.runs import attempts
from thunder.runs.run import Run

MATRIX = bundle_runs.matrix(axes={"script": ["nko", "latin"], "mode": ["baseline"]})
CELLS = bundle_runs.cells(MATRIX)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The outputs of a bundle of two cells, for tests to copy."""
    outputs = tmp_path_factory.mktemp("whole")
    for each in CELLS:
        bundle_runs.finish(outputs, each, rows=40)
    return outputs


@pytest.fixture
def outputs(whole: Path, tmp_path: Path) -> Path:
    """Outputs that a test may break."""
    shutil.copytree(whole, tmp_path / "outputs")
    return tmp_path / "outputs"


def run_of(outputs: Path, wanted: Cell = CELLS[0]) -> Run:
    return Run(outputs / "asr" / wanted.job.id)


def build(outputs: Path) -> dict[str, Any]:
    return bundle.build(MATRIX, CELLS, outputs)


def left_out(outputs: Path) -> str:
    """Return why the first run is not in the tables, which have the other one all the same."""
    document = build(outputs)
    broken, whole = document["cells"]
    assert (broken["run"], whole["run"]) == (None, CELLS[1].job.id)
    (named,) = document["unreadable"]
    assert named == f"asr/{CELLS[0].job.id} (script=nko mode=baseline): {broken['reason']}"
    first, *_, last = document["tables"][0]["rows"]
    assert (first["reason"], first["values"]["cer"]) == (broken["reason"], None)
    assert last["values"]["cer"] is not None
    return str(broken["reason"])


def first_row(run: Run, name: str, change: Callable[[dict[str, Any]], Any]) -> str:
    """Return a dump whose first row is changed."""
    first, _, rest = (run.folder / name).read_text(encoding="utf-8").partition("\n")
    row = json.loads(first)
    change(row)
    return json.dumps(row, ensure_ascii=False, sort_keys=True) + "\n" + rest


@pytest.mark.parametrize(
    "name",
    ["test_predictions.jsonl", "test_references.jsonl", "results.json", "metrics.jsonl",
     "test_metrics_by_partition.json", "test_predictions_suta.jsonl", "config.json"],
)  # fmt: skip
def test_a_changed_byte_is_refused(outputs: Path, name: str) -> None:
    path = run_of(outputs).folder / name
    path.write_bytes(path.read_bytes().replace(b"a", b"b", 1))
    assert f"{name}: its bytes are not those of the manifest" in left_out(outputs)


def test_a_row_added_to_a_finished_dump_is_refused(outputs: Path) -> None:
    path = run_of(outputs).folder / "test_predictions.jsonl"
    rows = path.read_text(encoding="utf-8")
    path.write_text(rows + rows.partition("\n")[0] + "\n", encoding="utf-8")
    assert re.search(r"test_predictions.jsonl: \d+ bytes, the manifest has \d+", left_out(outputs))


@pytest.mark.parametrize("name", ["test_predictions.jsonl", "results.json"])
def test_a_missing_file_is_refused(outputs: Path, name: str) -> None:
    (run_of(outputs).folder / name).unlink()
    assert f"{name}: missing" in left_out(outputs)


def test_a_dump_that_no_manifest_lists_is_refused(outputs: Path) -> None:
    folder = run_of(outputs).folder
    shutil.copy(folder / "test_predictions.jsonl", folder / "test_predictions_ttt_off.jsonl")
    assert re.search(r"test_predictions_ttt_off.jsonl: not in the manifest", left_out(outputs))


def test_a_run_whose_manifest_never_had_a_dump_is_refused(outputs: Path) -> None:
    run = run_of(outputs)
    (run.folder / "test_metrics_by_partition.json").unlink()
    bundle_runs.rewrite(run, "train.log", "again\n")  # a manifest without it
    assert re.search(r"test_metrics_by_partition.json: missing", left_out(outputs))


@pytest.mark.parametrize("name", ["data", "split", "features"])
def test_other_inputs_are_refused_with_both_runs(tmp_path: Path, name: str) -> None:
    runs = [
        bundle_runs.finish(tmp_path, CELLS[0], rows=20),
        bundle_runs.finish(tmp_path, CELLS[1], rows=20, inputs={name: "d" * 64}),
    ]
    said = f"runs {runs[0].id} and {runs[1].id} have different {name}"
    with pytest.raises(ThunderError, match=said) as caught:
        build(tmp_path)
    assert caught.value.cause == "verification"


def test_a_record_and_results_of_different_data_are_refused(outputs: Path) -> None:
    run = run_of(outputs)
    record = run.record()
    attempts.write_record(run, {**record, "inputs": {**record["inputs"], "data": "e" * 64}})
    assert "its record has data eeeeeeeeeeee…, its results.json has" in left_out(outputs)


def test_cells_that_break_the_matrix_are_refused(outputs: Path) -> None:
    strict = bundle_runs.matrix(axes=MATRIX.axes, differ=["mode"])
    with pytest.raises(Faults, match=r"script: nko in .* but latin in"):
        bundle.build(strict, CELLS, outputs)


def test_references_that_differ_within_a_script_are_refused(tmp_path: Path) -> None:
    matrix = bundle_runs.matrix(axes={"mode": ["baseline", "tar"]})
    cells = bundle_runs.cells(matrix)
    runs = [bundle_runs.finish(tmp_path, each, rows=20) for each in cells]
    name = "test_references.jsonl"
    text = first_row(runs[1], name, lambda row: row.update(origin="elsewhere"))
    bundle_runs.rewrite(runs[1], name, text)
    with pytest.raises(ThunderError, match=f"{runs[0].id} and {runs[1].id} have different {name}"):
        bundle.build(matrix, cells, tmp_path)


@pytest.mark.parametrize(
    ("path", "told"),
    [
        (("test_cer",), "test_cer: 0.5, the dumps give 0"),
        (("test", "raw", "wer_micro"), "test.raw.wer_micro: 0.5, the dumps give"),
        (("text_disjoint", "norm", "cer_micro"), "text_disjoint.norm.cer_micro: 0.5"),
        (("cer_ci95", 0), "cer_ci95.low: 0.5"),
        (("adaptation", "suta", "cer_micro"), "adaptation.suta.cer_micro: 0.5"),
        (("adaptation", "suta", "main_cer_micro"), "adaptation.suta.main_cer_micro: 0.5"),
        (("run_id",), "run_id: 'abc', but the run has"),
        (("mode",), "mode: 'tar', but the run has 'baseline'"),
    ],
    ids=lambda value: ".".join(map(str, value)) if isinstance(value, tuple) else "",
)
def test_results_that_the_dumps_deny_are_refused(
    outputs: Path, path: tuple[Any, ...], told: str
) -> None:
    run = run_of(outputs)
    results = files.read_json(run.folder / "results.json")
    inner = results
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = {"run_id": "abc", "mode": "tar"}.get(path[-1], 0.5)
    bundle_runs.rewrite(run, "results.json", files.render_json(results))
    assert told in left_out(outputs)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"asr_text": "ߊߊߊߊ"}, r"test\.raw\.edits: \d+, the dumps give \d+"),
        ({"cer_edits": 1000}, "1 rows with other cer_edits or reference_chars"),
        ({"partition": "novelty"}, "partitions.novelty.rows: 0, the dumps give 1"),
        ({"reference_text": "ߊ"}, "line 1: .*: its reference is not that of test_references"),
        ({"feat_id": "zzz"}, "line 1: zzz: no such row in test_references.jsonl"),
        ({"model_run_id": "000000000000"}, "it is of run 000000000000"),
        ({"script": "latin"}, "its script is 'latin', the run's is 'nko'"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_rows_that_do_not_belong_are_refused(
    outputs: Path, change: dict[str, Any], told: str
) -> None:
    run = run_of(outputs)
    name = "test_predictions.jsonl"
    bundle_runs.rewrite(run, name, first_row(run, name, lambda row: row.update(change)))
    assert re.search(told, left_out(outputs))


def test_a_row_without_a_key_is_named(outputs: Path) -> None:
    run, name = run_of(outputs), "test_predictions.jsonl"
    bundle_runs.rewrite(run, name, first_row(run, name, lambda row: row.pop("partition")))
    assert re.search(
        "test_predictions.jsonl: not a dump of this run: line 1: .*: no partition",
        left_out(outputs),
    )


@pytest.mark.parametrize(
    ("shape", "told"),
    [
        (lambda rows: [rows[1], rows[0], *rows[2:]], "not in ascending order"),
        (lambda rows: [rows[0], *rows], "not in ascending order, each once"),
        (lambda rows: rows[1:], "39 rows for 40 references"),
        (lambda rows: ["[1]", *rows], "test_predictions.jsonl:1: cannot be read: it is no JSON"),
        (lambda rows: ["{", *rows], "test_predictions.jsonl:1: cannot be read: "),
    ],
    ids=["swapped", "twice", "lost", "a list", "torn"],
)
def test_a_dump_of_another_shape_is_refused(
    outputs: Path, shape: Callable[[list[str]], list[str]], told: str
) -> None:
    run, name = run_of(outputs), "test_predictions.jsonl"
    rows = (run.folder / name).read_text(encoding="utf-8").splitlines()
    bundle_runs.rewrite(run, name, "\n".join(shape(rows)) + "\n")
    assert told in left_out(outputs)


def test_an_adaptation_without_its_dump_is_refused(outputs: Path) -> None:
    run = run_of(outputs)
    (run.folder / "test_predictions_suta.jsonl").unlink()
    bundle_runs.rewrite(run, "train.log", "again\n")
    assert re.search(r"adaptation.suta: there is no test_predictions_suta.jsonl", left_out(outputs))


def test_a_dump_that_results_do_not_know_is_refused(outputs: Path) -> None:
    run = run_of(outputs)
    results = files.read_json(run.folder / "results.json")
    results["adaptation"]["suta"] = None
    bundle_runs.rewrite(run, "results.json", files.render_json(results))
    assert re.search(r"adaptation.suta: nothing, but there is test_pred", left_out(outputs))


def test_without_a_run_that_can_be_read_there_are_no_tables(outputs: Path) -> None:
    for each in CELLS:
        (run_of(outputs, each).folder / "results.json").write_text("{}", encoding="utf-8")
    with pytest.raises(Faults, match="'bundle': no run can be read, so no table is made") as caught:
        build(outputs)
    assert all(each.job.id in said for each, said in zip(CELLS, caught.value.faults, strict=True))


def test_a_record_that_cannot_be_read_is_not_called_optional_and_not_run(outputs: Path) -> None:
    (run_of(outputs).folder / "run.json").write_text("", encoding="utf-8")
    matrix = bundle_runs.matrix(axes=MATRIX.axes, optional=[{"script": "nko", "mode": "baseline"}])
    document = bundle.build(matrix, CELLS, outputs)
    assert document["cells"][0]["reason"].startswith("the run is unreadable: run.json: ")
    assert len(document["unreadable"]) == 1


def test_cells_of_another_kind_are_no_bundle(tmp_path: Path) -> None:
    other = cell()
    other.job.config["kind"] = "dry"
    assert bundle.is_bundle(CELLS)
    assert not bundle.is_bundle([*CELLS, other])
    assert not bundle.is_bundle([])
    with pytest.raises(ThunderError, match="is of asr, dry; a bundle is of asr alone"):
        bundle.build(MATRIX, [*CELLS, other], tmp_path)


def test_runs_over_different_bridges_are_refused(tmp_path: Path) -> None:
    cells = [
        bundle_runs.cell(script="nko", text__bridge="v1_compat"),
        bundle_runs.cell(script="latin", text__bridge="v2_standard"),
    ]
    for each in cells:
        bundle_runs.finish(tmp_path, each, rows=20)
    with pytest.raises(ThunderError, match=r"different bridges \(v1_compat, v2_standard\)"):
        bundle.build(MATRIX, cells, tmp_path)
