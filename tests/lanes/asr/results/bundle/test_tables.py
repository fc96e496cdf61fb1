"""What the tables of a bundle show: missing cells, seeds, comparisons, adaptations, code."""

import csv
import io
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import bundle_runs
import numpy as np
import pytest
from bundle_runs import cell

from thunder import scoring
from thunder.ground import files
from thunder.ground.errors import ThunderError
from thunder.jobs import job
from thunder.jobs.matrix import Cell
from thunder.jobs.matrix_file import Matrix
from thunder.lanes.asr.results import bundle
from thunder.lanes.asr.results.bundle import compared, csvs, latex, measures, values
from thunder.lanes.asr.results.claims import CER
from thunder.scoring import intervals, permutation, score
from thunder.scoring.score import part

ROWS = 30
SEEDS = {"script": ["nko"], "mode": ["baseline", "trajectory"], "seed": [0, 1, 2]}


def built(outputs: Path, matrix: Matrix, cells: Sequence[Cell] | None = None) -> dict[str, Any]:
    return bundle.build(matrix, cells or bundle_runs.cells(matrix), outputs)


def rows(document: dict[str, Any], name: str) -> list[dict[str, Any]]:
    one = next(table for table in document["tables"] if table["name"] == name)
    return [{**row["values"], "kind": row["kind"], "why": row["reason"]} for row in one["rows"]]


@pytest.fixture(scope="module")
def partial(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A bundle of two modes and two scripts: one cell is missing, one failed, one is optional."""
    outputs = tmp_path_factory.mktemp("partial")
    axes = {"script": ["nko", "latin"], "mode": ["baseline", "trajectory_ttt"]}
    optional = [{"script": "latin", "mode": "trajectory_ttt"}]
    matrix = bundle_runs.matrix(axes=axes, optional=optional)
    cells = bundle_runs.cells(matrix)
    bundle_runs.finish(outputs, cells[1], rows=ROWS)
    failed = bundle_runs.finish(outputs, cells[2], rows=ROWS)
    record = failed.record()
    files.write_json(failed.folder / "run.json", {**record, "status": "failed"})
    return built(outputs, matrix)


@pytest.fixture(scope="module")
def seeded(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A bundle over three seeds; of the second mode one is missing."""
    outputs = tmp_path_factory.mktemp("seeded")
    matrix = bundle_runs.matrix(axes=SEEDS, compare={"mode": "baseline"}, table={"over": "seed"})
    for each in bundle_runs.cells(matrix)[:5]:
        bundle_runs.finish(outputs, each, rows=ROWS)
    return built(outputs, matrix)


def test_missing_cells_stand_in_every_table_with_their_reason(partial: dict[str, Any]) -> None:
    failed = partial["cells"][2]["id"]
    reasons = ["no run yet", None, f"run {failed} is failed", "optional, not run"]
    assert [row["why"] for row in rows(partial, "T1_matrix")] == reasons
    for name in ("T4_partitions", "T11_adaptation"):
        assert [row["why"] for row in rows(partial, name) if row["why"]] == [
            *reasons[:1],
            *reasons[2:],
        ]


def test_a_comparison_without_one_of_its_runs_says_which(partial: dict[str, Any]) -> None:
    (nko, latin) = rows(partial, "T3_mode_effect")
    assert nko["why"] == "script=nko mode=baseline: no run yet"
    assert (nko["cer"] is None, nko["difference"], nko["reference_run"]) == (False, None, None)
    assert latin["why"].startswith("script=latin mode=trajectory_ttt: optional, not run; ")
    assert "script=latin mode=baseline: run " in latin["why"]


def test_the_page_says_whether_the_bundle_is_complete(partial: dict[str, Any]) -> None:
    page = bundle.render_markdown(partial)
    assert "1 of 4 cells; incomplete: 2 required cells without a run." in page
    assert "- script=latin mode=trajectory_ttt (" in page
    assert page.startswith("# bundle\n\nWhat do script and mode change?\n\n† stand-in")


def test_a_bundle_without_optional_cells_is_complete(tmp_path: Path) -> None:
    matrix = bundle_runs.matrix(axes={"mode": ["baseline", "tar"]}, optional=[{"mode": "tar"}])
    bundle_runs.finish(tmp_path, bundle_runs.cells(matrix)[0], rows=ROWS)
    page = bundle.render_markdown(built(tmp_path, matrix))
    assert "1 of 2 cells; complete: every required cell has a run." in page


def test_metrics_that_a_bundle_would_not_show_are_refused(tmp_path: Path) -> None:
    matrix = bundle_runs.matrix(table={"metrics": ["test_wer"]})
    with pytest.raises(ThunderError, match="ASR runs have tables of their own"):
        built(tmp_path, matrix)


def test_an_ad_hoc_sweep_over_seeds_has_their_mean(tmp_path: Path) -> None:
    matrix = bundle_runs.matrix("sweep_12345678", axes={"seed": [1, 2]}, compare={})
    cells = bundle_runs.cells(matrix)
    for number, found in enumerate(cells):
        bundle_runs.finish(tmp_path, found, error_rate=0.1 + 0.1 * number)
    found = rows(built(tmp_path, matrix, cells), "T1_matrix")
    assert [row["kind"] for row in found] == ["run", "run", "mean"]
    assert found[2]["cer"]["n"] == 2
    assert found[2]["seed"] == "mean ± sd (2 of 2)"


def test_a_bundle_without_a_run_is_a_table_of_what_is_missing(tmp_path: Path) -> None:
    document = built(tmp_path, bundle_runs.matrix())
    assert {row["why"] for row in rows(document, "T1_matrix")} == {"no run yet"}
    assert document["inputs"] is None
    assert bundle.write(document, tmp_path / "tables")


def test_seeds_are_a_mean_with_its_deviation(seeded: dict[str, Any]) -> None:
    shown = rows(seeded, "T1_matrix")
    assert [row["kind"] for row in shown] == [*["run"] * 3, "mean", *["run"] * 2, "missing", "mean"]
    cers = [row["cer"] for row in shown[:3]]
    assert shown[3]["cer"] == {
        "mean": pytest.approx(np.mean(cers)), "sd": pytest.approx(np.std(cers, ddof=1)), "n": 3
    }  # fmt: skip
    assert shown[3]["seed"] == "mean ± sd (3 of 3)"
    assert shown[3]["run"].split() == [row["run"] for row in shown[:3]]
    assert (shown[7]["seed"], shown[7]["cer"]["n"]) == ("mean ± sd (2 of 3)", 2)


def test_comparisons_are_made_seed_by_seed(seeded: dict[str, Any]) -> None:
    t1, t3 = rows(seeded, "T1_matrix"), rows(seeded, "T3_mode_effect")
    for number, row in enumerate(t3[:2]):
        assert (row["reference_run"], row["run"]) == (t1[number]["run"], t1[4 + number]["run"])
        assert row["difference"] == pytest.approx(t1[4 + number]["cer"] - t1[number]["cer"])
    assert t3[3]["difference"]["n"] == 2
    assert (t3[3]["units"], t3[3]["p_value"], t3[3]["interval"]) == (2, 2 / 2**2, None)


def test_csv_gives_a_mean_its_own_columns(seeded: dict[str, Any]) -> None:
    table = next(t for t in seeded["tables"] if t["name"] == "T1_matrix")
    read = list(csv.DictReader(io.StringIO(csvs.render(seeded, table))))
    assert (read[3]["row"], read[3]["cer_n"]) == ("mean", "3")
    assert float(read[3]["cer_sd"]) == table["rows"][3]["values"]["cer"]["sd"]
    assert read[0]["cer_sd"] == ""
    assert (read[6]["row"], read[6]["cer"], read[6]["reason"]) == ("missing", "", "no run yet")


def test_intervals_and_p_values_are_those_of_the_dumps(tmp_path: Path) -> None:
    matrix = bundle_runs.matrix(axes={"mode": ["baseline", "trajectory"]})
    runs = [bundle_runs.finish(tmp_path, each, rows=ROWS) for each in bundle_runs.cells(matrix)]
    counts = []
    for run in runs:
        dump = list(files.read_jsonl(run.folder / "test_predictions.jsonl"))
        texts = [[row[key] for row in dump] for key in ("reference_text", "asr_text")]
        counts.append(scoring.counts(texts[0], texts[1], "nko", "norm"))
    (row,) = rows(built(tmp_path, matrix), "T3_mode_effect")
    for name, measured in (("", counts), ("wer_", [score.of_words(one) for one in counts])):
        baseline, trajectory = measured
        rates = [one.edits.sum() / one.chars.sum() for one in measured]
        assert row[f"{name}difference"] == rates[1] - rates[0]
        assert row[f"{name}interval"] == list(intervals.paired(trajectory, baseline))
        tested = permutation.rates_differ(trajectory, baseline)
        assert row[f"{name}p_value"] == row[f"{name}p_value_holm"] == tested.p_value
    (shown, _) = rows(built(tmp_path, matrix), "T1_matrix")
    words = intervals.bootstrap(score.of_words(counts[0]), 1000)
    assert (shown["units"], shown["wer_interval"]) == (ROWS, list(words))


def test_any_axis_can_be_compared(tmp_path: Path) -> None:
    axis = "train.learning_rate"
    matrix = bundle_runs.matrix(axes={axis: [3e-4, 1e-4]}, compare={axis: 3e-4})
    cells = [cell(train__learning_rate=value) for value in (3e-4, 1e-4)]
    for one in cells:
        rate = one.job.config["train"]["learning_rate"]
        bundle_runs.finish(tmp_path, one, rows=ROWS, learning_rate=rate)
    document = built(tmp_path, matrix, cells)
    (row,) = rows(document, "T3_train_learning_rate_effect")
    assert (row[axis], row["difference"]) == (1e-4, 0.0)
    assert "learning_rate" not in rows(document, "T1_matrix")[0]  # it is a coordinate already


def test_a_cell_without_a_counterpart_in_the_matrix_says_so(tmp_path: Path) -> None:
    matrix = bundle_runs.matrix()
    cells = [cell(script="nko", mode="trajectory"), cell(script="latin", mode="baseline")]
    for one in cells:
        bundle_runs.finish(tmp_path, one, rows=ROWS)
    document = built(tmp_path, matrix, cells)
    (row,) = rows(document, "T3_mode_effect")
    assert row["why"] == "the matrix has no cell with mode=baseline beside this one"
    (row,) = rows(document, "T2_script_effect")
    assert row["why"] == "the matrix has no cell with script=latin beside this one"


def test_the_script_effect_keeps_its_sign_whichever_is_the_reference(tmp_path: Path) -> None:
    axes = {"script": ["nko", "latin"]}
    for found in bundle_runs.cells(bundle_runs.matrix(axes=axes)):
        bundle_runs.finish(tmp_path, found, rows=ROWS)
    found = []
    for reference in ("latin", "nko"):
        matrix = bundle_runs.matrix(axes=axes, compare={"script": reference})
        found += rows(built(tmp_path, matrix), "T2_script_effect")
    assert found[0]["difference"] == -found[1]["difference"] != 0
    turned = [-bound for bound in reversed(found[1]["interval"])]
    assert found[0]["interval"] == pytest.approx(turned)
    assert found[0]["p_value"] == found[1]["p_value"]
    assert found[0]["difference"] == pytest.approx(found[0]["cer_nko"] - found[0]["cer_bridged"])


def bad_bridge(outputs: Path) -> tuple[Matrix, dict[str, Any]]:
    """Return a bundle whose N'Ko is not what any bridge makes of its Latin."""
    matrix = bundle_runs.matrix(axes={"script": ["nko", "latin"]})
    for each in bundle_runs.cells(matrix):
        is_nko = each.job.config["script"] == "nko"
        pairs = [("ߓߊߓߊ", "ߓߊ")] * 25 if is_nko else [("kiti", "k")] * 25
        bundle_runs.finish(outputs, each, pairs=pairs)
    return matrix, built(outputs, matrix)


def test_a_bridge_that_does_not_meet_the_text_compares_nothing(tmp_path: Path) -> None:
    _, document = bad_bridge(tmp_path)
    (row,) = rows(document, "T2_script_effect")
    assert row["bridge_error"] == 1.0
    for name in ("", "wer_"):
        keys = ("difference", "interval", "p_value", "p_value_holm")
        assert {row[f"{name}{key}"] for key in keys} == {None}
    assert row["letters_difference"] is not None
    assert row["why"] == "one alphabet: n/a, the bridge alone has a CER of 100.00 %, above 10 %"


def test_every_rendering_says_that_the_bridge_compares_nothing(tmp_path: Path) -> None:
    _, document = bad_bridge(tmp_path)
    table = document["tables"][1]
    said = "the bridge alone has a CER of 100.00 %, above 10 %"
    page = bundle.render_markdown(document)
    for text in (
        bundle.render_brief(document), page, csvs.render(document, table),
        latex.render(document, table).replace("\\%", "%"),
    ):  # fmt: skip
        assert "one alphabet: n/a, " + said in text
        plain = " ".join(text.split())
        assert f"Δ in one alphabet is not available: {said}" in plain.replace("$\\Delta$", "Δ")
        assert "it cannot show which script is better" in plain


def test_no_claim_goes_by_way_of_a_bad_bridge(tmp_path: Path) -> None:
    matrix, _ = bad_bridge(tmp_path)
    found = compared.of_matrix(matrix, bundle_runs.cells(matrix), tmp_path, {"": CER})
    assert {one.table for one in found.made} == {"T11_adaptation"}
    (missing,) = [one for one in found.missing if "T2" in one.label]
    assert missing.reason.startswith("one alphabet: n/a, the bridge alone")


def test_the_bridge_of_the_runs_is_used(tmp_path: Path) -> None:
    cells = [cell(script=script, text__bridge="v1_compat") for script in ("nko", "latin")]
    for one in cells:
        bundle_runs.finish(tmp_path, one, rows=ROWS)
    assert built(tmp_path, bundle_runs.matrix(), cells)["bridge"] == "v1_compat"
    (row,) = rows(built(tmp_path, bundle_runs.matrix(), cells), "T2_script_effect")
    assert row["bridge_error"] > 0  # the N'Ko of these runs is the other bridge's


def test_adaptation_is_measured_on_the_same_rows(tmp_path: Path) -> None:
    matrix = bundle_runs.matrix(axes={"mode": ["trajectory_ttt"]})
    run = bundle_runs.finish(tmp_path, bundle_runs.cells(matrix)[0], rows=240)
    shown = rows(built(tmp_path, matrix), "T11_adaptation")
    assert [(row["condition"], row["against"], row["subset"], row["rows"]) for row in shown] == [
        ("TTT on", "TTT off", "all", 240),
        ("TTT on", "TTT off", "text-disjoint", 192),
        ("TTT on, chunks shuffled", "TTT off", "all", 240),
        ("TTT on, chunks shuffled", "TTT off", "text-disjoint", 192),
        ("SUTA on top of TTT on", "TTT on", "all", 200),
        ("SUTA on top of TTT on", "TTT on", "text-disjoint", 160),
    ]
    said = files.read_json(run.folder / "results.json")["adaptation"]
    assert (shown[0]["cer"], shown[0]["reference_cer"]) == (
        said["on"]["cer_micro"], said["off"]["cer_micro"]
    )  # fmt: skip
    assert (shown[4]["cer"], shown[4]["reference_cer"]) == (
        said["suta"]["cer_micro"], said["suta"]["main_cer_micro"]
    )  # fmt: skip


def test_hypotheses_that_an_adaptation_changes_are_counted(tmp_path: Path) -> None:
    matrix = bundle_runs.matrix(axes={"mode": ["trajectory_ttt"]})
    run = bundle_runs.finish(tmp_path, bundle_runs.cells(matrix)[0], rows=60)
    (first, *_) = rows(built(tmp_path, matrix), "T11_adaptation")
    assert (first["valid_changed"], first["valid_rows"]) == (None, None)  # an earlier run
    valid = list(files.read_jsonl(run.folder / "valid_predictions.jsonl"))
    off = [{**row, "asr_text": "ߊ"} if place < 7 else row for place, row in enumerate(valid)]
    bundle_runs.rewrite(run, "valid_predictions_ttt_off.jsonl", files.render_jsonl(off))
    document = built(tmp_path, matrix)
    shown = rows(document, "T11_adaptation")
    assert (shown[0]["valid_changed"], shown[0]["valid_rows"]) == (7, len(valid))
    (table,) = (one for one in document["tables"] if one["name"] == "T11_adaptation")
    for rendered in (bundle.render_markdown(document), bundle.render_brief(document),
                     latex.render(document, table)):  # fmt: skip
        assert "changed of valid" in rendered
        assert re.search(rf"TTT on\b.*\ball\b.*\b7\b.*\b{len(valid)}\b", rendered)
    assert {row["valid_rows"] for row in shown[1:]} == {None}
    on, without = (
        {row["feat_id"]: row["asr_text"] for row in files.read_jsonl(run.folder / name)}
        for name in ("test_predictions.jsonl", "test_predictions_ttt_off.jsonl")
    )
    changed = {name for name in on if on[name] != without[name]}
    assert 0 < shown[0]["changed"] == len(changed) < 60
    new = {
        row["feat_id"]
        for row in files.read_jsonl(run.folder / "test_references.jsonl")
        if row["text_disjoint"]
    }
    assert shown[1]["changed"] == len(changed & new)


def test_t1_has_what_settings_are_chosen_by(tmp_path: Path) -> None:
    matrix = bundle_runs.matrix(axes={"mode": ["baseline"]})
    run = bundle_runs.finish(tmp_path, bundle_runs.cells(matrix)[0], rows=ROWS)
    (row,) = rows(built(tmp_path, matrix), "T1_matrix")
    results = files.read_json(run.folder / "results.json")
    assert row["valid_cer"] == results["valid"]["norm"]["cer_micro"]


def test_suta_alone_is_not_called_ttt(tmp_path: Path) -> None:
    matrix = bundle_runs.matrix(axes={"mode": ["baseline"]})
    bundle_runs.finish(tmp_path, bundle_runs.cells(matrix)[0], rows=ROWS)
    shown = rows(built(tmp_path, matrix), "T11_adaptation")
    assert {(row["condition"], row["against"]) for row in shown} == {("SUTA", "no adaptation")}


def test_partitions_add_up_to_the_whole(seeded: dict[str, Any]) -> None:
    for cell_ in seeded["cells"][:5]:
        shown = [row for row in rows(seeded, "T4_partitions") if row["run"] == cell_["run"]]
        assert [row["partition"] for row in shown] == [
            "stable", "boundary", "uncertain", "novelty", "all"
        ]  # fmt: skip
        for key in ("rows", "edits", "characters"):
            assert sum(row[key] for row in shown[:-1]) == shown[-1][key]


def test_a_partition_without_rows_has_no_rate(seeded: dict[str, Any]) -> None:
    empty = [row for row in rows(seeded, "T4_partitions") if row["rows"] == 0]
    assert empty
    assert {(row["cer"], row["cer_interval"]) for row in empty} == {(None, None)}


def test_text_disjoint_rows_have_a_column(tmp_path: Path) -> None:
    matrix = bundle_runs.matrix(axes={"mode": ["baseline"]})
    run = bundle_runs.finish(tmp_path, bundle_runs.cells(matrix)[0], rows=ROWS)
    dump = list(files.read_jsonl(run.folder / "test_predictions.jsonl"))
    edits, chars = (np.array([row[k] for row in dump]) for k in ("cer_edits", "reference_chars"))
    chosen = np.arange(ROWS) % 5 != 0  # as asr_runs marks them
    counts = part(measures.of_edits(edits, chars), chosen)
    (row,) = rows(built(tmp_path, matrix), "T1_matrix")
    assert row["cer_disjoint"] == counts.edits.sum() / counts.chars.sum()


def test_code_that_was_not_committed_is_named(tmp_path: Path) -> None:
    matrix = bundle_runs.matrix(axes={"mode": ["baseline", "tar"]})
    runs = [
        bundle_runs.finish(tmp_path, each, rows=ROWS, dirty=number == 1)
        for number, each in enumerate(bundle_runs.cells(matrix))
    ]
    page = bundle.render_markdown(built(tmp_path, matrix))
    assert f"- code 000000000000, with uncommitted changes: {runs[1].id}\n" in page


def test_code_of_one_commit_is_no_news(seeded: dict[str, Any]) -> None:
    assert "## Code" not in bundle.render_markdown(seeded)
    assert [state["dirty"] for state in seeded["code"]] == [False]


def test_what_runs_warn_of_is_told_once(tmp_path: Path) -> None:
    matrix = bundle_runs.matrix(axes={"mode": ["baseline", "tar"]})
    changed = {"warnings": ["the router calls 1.0% of test stable"]}
    runs = [
        bundle_runs.finish(tmp_path, each, rows=ROWS, changed=changed)
        for each in bundle_runs.cells(matrix)
    ]
    page = bundle.render_markdown(built(tmp_path, matrix))
    assert page.count("the router calls 1.0% of test stable") == 1
    assert f"stable ({runs[0].id} {runs[1].id})" in page


def test_definitions_that_differ_name_their_runs(tmp_path: Path) -> None:
    matrix = bundle_runs.matrix(axes={"mode": ["trajectory"], "seed": [0, 1]})
    runs = []
    for number, each in enumerate(bundle_runs.cells(matrix)):
        run = bundle_runs.finish(tmp_path, each, rows=ROWS)
        results = files.read_json(run.folder / "results.json")
        results["definitions"]["trajectory"] = f"meaning {number}"
        bundle_runs.rewrite(run, "results.json", files.render_json(results))
        runs.append(run)
    page = bundle.render_markdown(built(tmp_path, matrix))
    for number, run in enumerate(runs):
        assert f"- trajectory: meaning {number} (runs {run.id})\n" in page


def test_a_forced_second_run_is_named_by_its_folder(tmp_path: Path) -> None:
    matrix = bundle_runs.matrix(axes={"mode": ["baseline"]})
    each = bundle_runs.cells(matrix)[0]
    run = bundle_runs.finish(tmp_path, each, rows=ROWS)
    second = run.folder.with_name(f"{run.id}.2")
    run.folder.rename(second)
    bundle_runs.finish(tmp_path, each, rows=ROWS)
    (row,) = rows(built(tmp_path, matrix), "T1_matrix")
    assert row["run"] == second.name


@pytest.mark.parametrize(
    ("kind", "value", "text"),
    [
        ("rate", 0.20571, "20.57"),
        ("difference", -0.01234, "−1.23"),
        ("difference", 0.01234, "+1.23"),
        ("difference", -0.00001, "0.00"),
        ("rates", [0.1, 0.2], "[10.00, 20.00]"),
        ("differences", [-0.1, 0.2], "[−10.00, +20.00]"),
        ("p_value", 0.0004, "<0.001"),
        ("p_value", 0.0123, "0.012"),
        ("count", 46897218, "46,897,218"),
        ("number", 0.63588728, "0.6359"),
        ("number", 0.0003, "0.0003"),
        ("rate", {"mean": 0.2, "sd": 0.012, "n": 3}, "20.00 ± 1.20"),
        ("rate", {"mean": 0.2, "sd": None, "n": 1}, "20.00"),
        ("difference", {"mean": -0.2, "sd": 0.012, "n": 3}, "−20.00 ± 1.20"),
        ("count", {"mean": 40.5, "sd": 0.7, "n": 2}, "40.5 ± 0.7"),
        ("rate", None, "–"),
    ],
)
def test_values_are_rounded_sensibly(kind: str, value: Any, text: str) -> None:
    assert values.text({"kind": kind}, value) == text


def test_a_test_set_that_shrank_is_seen_in_t1(tmp_path: Path) -> None:
    matrix = bundle_runs.matrix(axes={"script": ["nko"], "mode": ["baseline", "tar"]})
    for each in bundle_runs.cells(matrix):
        run = bundle_runs.finish(tmp_path, each, rows=ROWS)
        results = files.read_json(run.folder / "results.json")
        split = results["splits"]["test"]
        split |= {"rows": ROWS + 4, "missing": 4, "cut": 2, "empty": 1}
        bundle_runs.rewrite(run, "results.json", files.render_json(results))
    document = built(tmp_path, matrix)
    for row in rows(document, "T1_matrix"):
        assert (row["rows"], row["of_rows"]) == (ROWS, ROWS + 4)
        assert (row["missing_test"], row["cut_test"], row["empty_test"]) == (4, 2, 1)
    one = next(table for table in document["tables"] if table["name"] == "T1_matrix")
    assert {"rows", "of"} <= {column["title"] for column in one["columns"] if column["printed"]}


def _with_letters_that_have_accents(planned: Cell) -> Cell:
    alphabet = {"name": "latin", "source": {"letters": "from_data"}, "normaliser": "plain"}
    config = {**planned.job.config, "alphabet": alphabet}
    return Cell(planned.coordinates, job.Job(job.id_of(job.document(config)), config))


@pytest.mark.parametrize("count", [1, 2])
def test_toneless_is_shown_where_a_script_has_tones_to_put_aside(
    tmp_path: Path, count: int
) -> None:
    matrix = bundle_runs.matrix(axes={"script": ["latin", "nko"], "mode": ["baseline"]}, compare={})
    cells = bundle_runs.cells(matrix)[:count]
    chosen = [_with_letters_that_have_accents(cells[0]), *cells[1:]]
    for each, pairs in zip(chosen, ([("taa", "ta")], [("ߊߊ", "ߊ")]), strict=False):
        bundle_runs.finish(tmp_path, each, pairs=pairs)
    document = built(tmp_path, matrix, chosen)
    table = next(one for one in document["tables"] if one["name"] == "T1_matrix")
    is_shown = count == 2
    assert ("cer_toneless" in [one["key"] for one in table["columns"]]) == is_shown
    assert ("toneless" in bundle.render_brief(document) + " ".join(table["notes"])) == is_shown
    if is_shown:
        assert [row["values"]["cer_toneless"] for row in table["rows"]] == [None, 0.5]
