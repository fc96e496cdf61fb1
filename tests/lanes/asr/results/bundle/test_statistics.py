"""What the tests of the tables rest on: their units, their families, and what they cannot show."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import bundle_runs
import pytest

from thunder import scoring
from thunder.commands import requests
from thunder.ground import files
from thunder.ground.errors import Faults
from thunder.jobs.matrix import Cell
from thunder.jobs.matrix_file import Matrix
from thunder.lanes.asr.results import bundle
from thunder.lanes.asr.results.bundle import compared, csvs, families, latex, measures
from thunder.lanes.asr.results.claims import CER, MEASURES
from thunder.results.promotion import claims
from thunder.results.promotion.comparison import Comparison
from thunder.scoring import intervals, permutation, score

MODES = {"mode": ["baseline", "trajectory"]}
ROWS = 60


def table(document: dict[str, Any], name: str) -> dict[str, Any]:
    return next(table for table in document["tables"] if table["name"].startswith(name))


def values(document: dict[str, Any], name: str, kind: str = "run") -> list[dict[str, Any]]:
    return [row["values"] for row in table(document, name)["rows"] if row["kind"] == kind]


def over_seeds(outputs: Path, seeds: int, rows: int = 40) -> tuple[Matrix, list[Cell]]:
    """Leave runs of two modes with so many seeds, the second of them better in every one."""
    axes = {"script": ["nko"], **MODES, "seed": list(range(seeds))}
    matrix = bundle_runs.matrix(axes=axes, compare={"mode": "baseline"})
    cells = bundle_runs.cells(matrix)
    for each in cells:
        bundle_runs.finish(outputs, each, rows=rows, stand_in=False)
    return matrix, cells


def comparisons(matrix: Matrix, cells: Sequence[Cell], outputs: Path) -> list[Comparison]:
    found = compared.of_matrix(matrix, cells, outputs, {"": CER})
    return [one for one in found.made if one.table.startswith("T3")]


# Units -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def clustered(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], list[Any]]:
    """A bundle whose rows are of twelve speakers, and its runs."""
    outputs = tmp_path_factory.mktemp("clustered")
    matrix = bundle_runs.matrix(axes=MODES)
    cells = [bundle_runs.cell(**one.coordinates, data__cluster="speaker")
             for one in bundle_runs.cells(matrix)]  # fmt: skip
    runs = []
    for each in cells:
        runs.append(bundle_runs.finish(outputs, each, rows=ROWS))
        bundle_runs.cluster(runs[-1], [f"speaker {n % 12}" for n in range(ROWS)])
    return bundle.build(matrix, cells, outputs), runs


def counted(run: Any) -> tuple[scoring.Counts, list[str]]:
    rows = list(files.read_jsonl(run.folder / "test_predictions.jsonl"))
    texts = [[row[key] for row in rows] for key in ("reference_text", "asr_text")]
    references = files.read_jsonl(run.folder / "test_references.jsonl")
    return scoring.counts(*texts, "nko", "norm"), [row["cluster"] for row in references]


def test_intervals_and_tests_are_over_clusters(clustered: tuple[dict[str, Any], list[Any]]) -> None:
    document, runs = clustered
    baseline, trajectory = (score.grouped(*counted(run)) for run in runs)
    (row,) = values(document, "T3")
    assert (row["rows"], row["units"]) == (ROWS, 12)
    assert row["interval"] == list(intervals.paired(trajectory, baseline))
    assert row["p_value"] == permutation.rates_differ(trajectory, baseline).p_value
    shown = values(document, "T1")[0]
    assert (shown["rows"], shown["units"]) == (ROWS, 12)
    assert shown["cer_interval"] == list(intervals.bootstrap(baseline))
    parts = [row for row in values(document, "T4") if row["run"] == runs[0].id]
    assert parts[-1]["units"] == 12 >= max(row["units"] for row in parts[:-1])
    disjoint = [row for row in values(document, "T11") if row["subset"] == "text-disjoint"]
    assert disjoint
    assert all(row["units"] <= 12 < row["rows"] for row in disjoint)


def test_what_the_units_are_is_said(clustered: tuple[dict[str, Any], list[Any]]) -> None:
    page = bundle.render_markdown(clustered[0])
    assert "permutation test over clusters of utterances (speaker)" in page
    assert "‡ an interval over fewer than 20 clusters of utterances (speaker) is narrower" in page
    assert "permutation test over utterances" not in page


def test_rows_of_which_some_lack_a_cluster_are_refused(tmp_path: Path) -> None:
    matrix = bundle_runs.matrix(axes={"mode": ["baseline"]})
    run = bundle_runs.finish(tmp_path, bundle_runs.cells(matrix)[0], rows=30)
    rows = list(files.read_jsonl(run.folder / "test_references.jsonl"))
    bundle_runs.rewrite(
        run, "test_references.jsonl", files.render_jsonl([{**rows[0], "cluster": "a"}, *rows[1:]])
    )
    with pytest.raises(Faults, match="some rows have a cluster and some none"):
        bundle.build(matrix, bundle_runs.cells(matrix), tmp_path)


@pytest.mark.parametrize(("rows", "is_few"), [(19, True), (20, False)])
def test_nothing_is_claimed_of_few_units(tmp_path: Path, rows: int, is_few: bool) -> None:
    matrix = bundle_runs.matrix(axes=MODES)
    cells = bundle_runs.cells(matrix)
    for each in cells:
        said = [("ߓߊߓߊ", "ߓߊߓߊ" if each.coordinates["mode"] == "trajectory" else "ߓߊ")] * rows
        bundle_runs.finish(tmp_path, each, pairs=said)
    (one,) = comparisons(matrix, cells, tmp_path)
    assert one.p_value < 0.001
    assert (one.units, one.unit) == (rows, "utterances")
    assert claims.is_real(one) is not is_few
    assert one.refused == ("19 utterances; nothing is claimed of fewer than 20" * is_few or None)
    caveats = table(bundle.build(matrix, cells, tmp_path), "T3")["caveats"]
    assert any(caveat.startswith("‡") for caveat in caveats) is is_few


# Seeds -------------------------------------------------------------------------------------------


def test_an_effect_over_seeds_is_tested_with_a_pair_of_trainings_as_the_unit(
    tmp_path: Path,
) -> None:
    matrix, cells = over_seeds(tmp_path, 6)
    document = bundle.build(matrix, cells, tmp_path)
    assert document["over"] == "seed"
    (mean,) = values(document, "T3", "mean")
    for name in ("", "wer_"):
        differences = [row[f"{name}difference"] for row in values(document, "T3")]
        assert mean[f"{name}p_value"] == mean[f"{name}p_value_holm"] == 2 / 2**6
        assert mean[f"{name}interval"] == [min(differences), max(differences)]
    assert mean["units"] == 6
    assert "pair of trainings is one unit" in bundle.render_brief(document)


def test_a_claim_about_a_mode_rests_on_all_its_seeds_and_on_no_single_one(tmp_path: Path) -> None:
    matrix, cells = over_seeds(tmp_path, 6)
    *single, over = comparisons(matrix, cells, tmp_path)
    assert min(one.p_value_holm or 1 for one in single) < 0.05
    assert {claims.is_real(one) for one in single} == {False}
    assert {one.refused for one in single} == {
        "of each there are trainings from 6 seeds, and this is one of them"
    }
    assert claims.is_real(over)
    assert (over.units, over.unit, len(over.runs)) == (6, "pairs of trainings", 12)
    assert over.label.startswith("script=nko mode=trajectory over 6 seeds (")
    assert over.difference == pytest.approx(sum(one.difference for one in single) / 6)


@pytest.mark.slow
def test_a_claim_may_rest_on_words_as_well_as_on_characters(tmp_path: Path) -> None:
    matrix, cells = over_seeds(tmp_path, 6)
    (mean,) = values(bundle.build(matrix, cells, tmp_path), "T3", "mean")
    made = compared.of_matrix(matrix, cells, tmp_path, MEASURES).made
    means = [one for one in made if one.table.startswith("T3") and "over 6 seeds" in one.label]
    told = {one.measure.name: one for one in means}
    assert [*told] == ["CER", "WER"]
    for prefix, measure in MEASURES.items():
        one = told[measure.name]
        assert one.p_value_holm == mean[f"{prefix}p_value_holm"]  # each measure by itself
        assert [one.low, one.high] == mean[f"{prefix}interval"]
        assert claims.is_real(one)
    (said,) = claims.claimed([], [told["WER"]])
    assert said["text"].startswith("WER of script=nko mode=trajectory over 6 seeds")


def test_a_difference_in_words_must_be_larger_than_what_the_bridge_brings(tmp_path: Path) -> None:
    matrix = bundle_runs.matrix()
    cells = bundle_runs.cells(matrix)
    for each in cells:
        bundle_runs.finish(tmp_path, each, rows=30)
    (row, *_) = values(bundle.build(matrix, cells, tmp_path), "T2")
    found = compared.of_matrix(matrix, cells, tmp_path, MEASURES).made
    of_scripts = [one for one in found if one.table.startswith("T2")][:2]
    assert [one.least for one in of_scripts] == [row["bridge_error"], row["wer_bridge_error"]]
    assert [one.recorded()["bridge_wer"] for one in of_scripts[1:]] == [row["wer_bridge_error"]]


@pytest.mark.slow
def test_five_seeds_show_nothing_and_say_so(tmp_path: Path) -> None:
    matrix, cells = over_seeds(tmp_path, 5)
    found = compared.of_matrix(matrix, cells, tmp_path, MEASURES)
    assert not any(claims.is_real(one) for one in found.made)
    reasons = [one.reason for one in found.missing if "over 5 seeds (T3" in one.label]
    assert reasons == ["5 pairs of trainings; 6 are the fewest that can show one"]
    document = bundle.build(matrix, cells, tmp_path)
    said = "p (Holm) of CER over seeds, WER over seeds cannot come below 0.062"
    assert any(caveat.startswith(said) for caveat in table(document, "T3")["caveats"])


def test_the_shipped_matrix_over_seeds_has_as_many_as_its_test_needs() -> None:
    request = requests.read(["matrix=vast_a100_asr_seeds"])
    assert request.matrix is not None
    assert len(request.matrix.axes["seed"]) == measures.FEWEST_PAIRS
    assert {cell.job.id for cell in request.cells} > {  # those of the first three seeds
        "7a18e3dce313", "59cc50a3fb91", "28157470f268",
        "5da11c9dc96c", "9351dde3a90a", "0baeb982d817",
    }  # fmt: skip


def test_one_training_of_each_cell_is_said_to_be_one(tmp_path: Path) -> None:
    matrix = bundle_runs.matrix(axes=MODES)
    for each in bundle_runs.cells(matrix):
        bundle_runs.finish(tmp_path, each, rows=30)
    document = bundle.build(matrix, bundle_runs.cells(matrix), tmp_path)
    assert table(document, "T3")["caveats"][0].startswith("There is one training of each cell")


def test_seeds_that_are_compared_with_each_other_have_no_mean(tmp_path: Path) -> None:
    matrix = bundle_runs.matrix(axes={"seed": [0, 1, 2]}, compare={"seed": 0})
    for each in bundle_runs.cells(matrix):
        bundle_runs.finish(tmp_path, each, rows=30)
    document = bundle.build(matrix, bundle_runs.cells(matrix), tmp_path)
    assert [row["kind"] for row in table(document, "T3")["rows"]] == ["run", "run"]


# Families ----------------------------------------------------------------------------------------


def test_a_subset_is_no_second_question(tmp_path: Path) -> None:
    matrix = bundle_runs.matrix(axes={"mode": ["trajectory_ttt"]})
    bundle_runs.finish(tmp_path, bundle_runs.cells(matrix)[0], rows=240)
    shown = values(bundle.build(matrix, bundle_runs.cells(matrix), tmp_path), "T11")
    for subset in ("all", "text-disjoint"):
        rows = [row for row in shown if row["subset"] == subset]
        assert len(rows) == 3
        for name in ("", "wer_"):
            found = [row[f"{name}p_value_holm"] for row in rows]
            assert found == measures.holm([row[f"{name}p_value"] for row in rows])


def _row(kind: str, p_value: float, smallest: float, **words: Any) -> dict[str, Any]:
    values = {"p_value": p_value, "smallest_p": smallest, **words}
    return {"kind": kind, "values": values, "reason": None, "stand_in": False}


def test_means_and_single_trainings_are_families_of_their_own() -> None:
    rows = [_row("run", 0.01, 0.001), _row("run", 0.02, 0.001), _row("mean", 0.04, 0.03)]
    adjusted = families.adjust(rows, {"": "CER"})
    assert [row["values"]["p_value_holm"] for row in adjusted] == [0.02, 0.02, 0.04]


def test_a_family_that_cannot_show_a_difference_says_so() -> None:
    rows = [_row("run", 1.0, 2 / 2**8) for _ in range(7)]
    (said,) = families.caveats(rows, {"": "CER"})
    assert said == (
        "p (Holm) of CER cannot come below 0.055 (7 comparisons, too few units that differ): it "
        "can show no difference."
    )
    assert families.caveats(rows[:6], {"": "CER"}) == []


def test_every_rendering_has_the_caveats_of_its_table(tmp_path: Path) -> None:
    matrix = bundle_runs.matrix(axes=MODES)
    for each in bundle_runs.cells(matrix):
        changed = {"warnings": ["the router calls 1.0% of test stable"]}
        bundle_runs.finish(tmp_path, each, rows=4, changed=changed, dirty=True)
    document = bundle.build(matrix, bundle_runs.cells(matrix), tmp_path)
    brief, page = (" ".join(text.split()) for text in (
        bundle.render_brief(document), bundle.render_markdown(document)))  # fmt: skip
    for one in (one for one in document["tables"] if one["rows"]):
        told = [*one["caveats"], "the router calls 1.0% of test stable", "with uncommitted changes"]
        assert len(told) > 2
        for caveat in told:
            assert caveat in page
            assert caveat in csvs.render(document, one)
            assert latex.escape(caveat) in latex.render(document, one)
            assert caveat in brief
