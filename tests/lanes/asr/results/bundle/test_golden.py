"""A bundle of four utterances whose numbers can be checked by hand, and all that is made of it."""

import csv
import io
from pathlib import Path
from typing import Any

import bundle_runs
import pytest

from thunder.ground import files, schema
from thunder.lanes.asr.results import bundle
from thunder.lanes.asr.results.bundle import csvs, latex, notes, rendering
from thunder.language import bridge

# 16 letters and spaces in Latin; 15 in N'Ko, where ny is one letter. Five words.
SAID = ["aba", "nya baba", "tɛɛ", "na"]
HEARD = {
    ("nko", "baseline"): ["obo", "na baba", "tɛɛ", "na"],
    ("nko", "trajectory"): SAID,
    ("latin", "baseline"): ["obo", "na baba", "tɛɛ", "na"],
    ("latin", "trajectory"): ["aba", "na baba", "tɛɛ", "na"],
}
# Pinned: change these only when a table is meant to look otherwise.
T2_MARKDOWN = """\
| mode | seed | utterances | N'Ko CER % | Latin CER % | Latin via bridge CER % \
| bridge alone CER % | bridge alone WER % | units | Δ CER, one alphabet (pp) \
| 95 % interval (pp) | p | p (Holm) \
| Δ WER (pp) | its 95 % interval (pp) | its p | its p (Holm) \
| Δ CER, two alphabets (pp) | its 95 % interval (pp) | its p | its p (Holm) | N'Ko run | Latin run |
| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: \
| ---: | ---: | ---: | ---: | ---: | ---: | ---: | --- | --- |
| baseline † | 42 | 4 | 20.00 | 18.75 | 20.00 | 0.00 | 0.00 | 4 | 0.00 | [0.00, 0.00] ‡ | 1.000 \
| 1.000 | 0.00 | [0.00, 0.00] ‡ | 1.000 | 1.000 | +1.25 | [0.00, +2.57] ‡ | 1.000 | 1.000 \
| RUN0 | RUN2 |
| trajectory † | 42 | 4 | 0.00 | 6.25 | 6.67 | 0.00 | 0.00 | 4 | −6.67 | [−12.50, 0.00] ‡ \
| 1.000 | 1.000 | −20.00 | [−42.86, 0.00] ‡ | 1.000 | 1.000 \
| −6.25 | [−11.11, 0.00] ‡ | 1.000 | 1.000 | RUN1 | RUN3 |
"""
T3_LATEX = r"""
\toprule
script & mode & seed & utterances & baseline CER \% & CER \% & $\Delta$ CER (pp) \
& 95 \% interval (pp) & p & p (Holm) & run & baseline run \\
\midrule
nko \textdagger{} & trajectory & 42 & 4 & 20.00 & 0.00 & $-$20.00 \
& {[}$-$50.00, 0.00{]} \textdaggerdbl{} & 0.500 & 1.000 & RUN1 & RUN0 \\
latin \textdagger{} & trajectory & 42 & 4 & 18.75 & 6.25 & $-$12.50 \
& {[}$-$50.00, 0.00{]} \textdaggerdbl{} & 1.000 & 1.000 & RUN3 & RUN2 \\
\bottomrule
"""


def pairs(script: str, mode: str) -> list[tuple[str, str]]:
    """Return reference and hypothesis of each utterance."""
    texts = list(zip(SAID, HEARD[script, mode], strict=True))
    if script == "latin":
        return texts
    version = bundle_runs.BRIDGE
    return [(bridge.to_nko(one, version), bridge.to_nko(other, version)) for one, other in texts]


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    outputs = tmp_path_factory.mktemp("golden")
    matrix = bundle_runs.matrix()
    cells = bundle_runs.cells(matrix)
    for cell in cells:
        config = cell.job.config
        bundle_runs.finish(outputs, cell, pairs=pairs(config["script"], config["mode"]))
    return bundle.build(matrix, cells, outputs)


def table(document: dict[str, Any], name: str) -> dict[str, Any]:
    return next(table for table in document["tables"] if table["name"] == name)


def values(document: dict[str, Any], name: str, *keys: str) -> list[tuple[Any, ...]]:
    return [tuple(row["values"][key] for key in keys) for row in table(document, name)["rows"]]


def named(text: str, document: dict[str, Any]) -> str:
    """Put the ids of runs into a pinned text, whose long lines were broken."""
    for number, cell in enumerate(document["cells"]):
        text = text.replace(f"RUN{number}", cell["run"])
    return text.replace(" \\\n&", " &")  # a raw text cannot break its lines otherwise


def test_scores_of_a_cell_are_those_that_a_hand_counts(document: dict[str, Any]) -> None:
    shown = values(document, "T1_matrix", "rows", "cer", "cer_macro", "wer")
    assert shown == [
        (4, 3 / 15, pytest.approx((2 / 3 + 1 / 7) / 4), 2 / 5),
        (4, 0.0, 0.0, 0.0),
        (4, 3 / 16, pytest.approx((2 / 3 + 1 / 8) / 4), 2 / 5),
        (4, 1 / 16, pytest.approx((1 / 8) / 4), 1 / 5),
    ]


def test_scripts_are_compared_in_one_alphabet(document: dict[str, Any]) -> None:
    keys = ("cer_nko", "cer_latin", "cer_bridged", "bridge_error", "difference")
    baseline, trajectory = values(document, "T2_script_effect", *keys)
    assert baseline == (3 / 15, 3 / 16, 3 / 15, 0.0, 0.0)
    assert trajectory == (0.0, 1 / 16, 1 / 15, 0.0, -1 / 15)
    letters = values(document, "T2_script_effect", "letters_difference")
    assert letters == [(pytest.approx(3 / 15 - 3 / 16),), (-1 / 16,)]


def test_modes_are_compared_with_the_reference_of_their_script(document: dict[str, Any]) -> None:
    runs = [cell["run"] for cell in document["cells"]]
    shown = values(document, "T3_mode_effect", "script", "difference", "run", "reference_run")
    assert shown == [("nko", -3 / 15, runs[1], runs[0]), ("latin", -2 / 16, runs[3], runs[2])]


def test_tables_are_pinned_as_markdown_and_latex(document: dict[str, Any]) -> None:
    assert named(T2_MARKDOWN, document) in bundle.render_markdown(document)
    text = latex.render(document, table(document, "T3_mode_effect"))
    assert named(T3_LATEX, document) in text


def test_csv_has_full_precision_and_run_ids(document: dict[str, Any]) -> None:
    rows = list(
        csv.DictReader(io.StringIO(csvs.render(document, table(document, "T2_script_effect"))))
    )
    assert [row["run_nko"] for row in rows] == [cell["run"] for cell in document["cells"][:2]]
    assert float(rows[1]["difference"]) == -1 / 15
    assert float(rows[1]["interval_low"]) <= -1 / 15 <= float(rows[1]["interval_high"])


def test_every_number_stands_beside_the_run_it_is_of(document: dict[str, Any]) -> None:
    runs = {cell["run"] for cell in document["cells"]}
    for table in document["tables"]:
        keys = [column["key"] for column in table["columns"] if column["kind"] == "run"]
        assert keys
        for row in table["rows"]:
            assert {row["values"][key] for key in keys} <= runs


@pytest.mark.slow
def test_every_rendering_follows_from_the_json_alone(
    document: dict[str, Any], tmp_path: Path
) -> None:
    bundle.write(document, tmp_path)
    again = files.read_json(tmp_path / "bundle.json")
    assert again == document
    assert rendering.texts_of(again) == rendering.texts_of(document)
    assert bundle.stale(again, tmp_path) == []


def test_the_document_is_checked_against_its_schema(document: dict[str, Any]) -> None:
    assert schema.faults("bundle_table", document) == []
    (fault,) = schema.faults("bundle_table", {**document, "samples": 0})
    assert fault.key == "samples"


def test_definitions_stand_under_every_table(document: dict[str, Any]) -> None:
    meaning = next(d["meaning"] for d in document["definitions"] if d["word"] == "trajectory")
    for table in document["tables"]:
        assert any(meaning in note for note in notes.of_table(document, table))
    suta = [name for name in (t["name"] for t in document["tables"]) if _names_suta(document, name)]
    assert suta == ["T11_adaptation"]


def _names_suta(document: dict[str, Any], name: str) -> bool:
    return any(n.startswith("SUTA:") for n in notes.of_table(document, table(document, name)))


def test_latex_is_balanced_and_has_a_cell_for_every_column(document: dict[str, Any]) -> None:
    for table in document["tables"]:
        text = latex.render(document, table)
        body = [line for line in text.splitlines() if line.endswith(r"\\")]
        places = text.partition("{@{}")[2].partition("@{}}")[0]
        assert {line.count(" & ") + 1 for line in body} == {len(places)}
        assert text.count("{") == text.count("}")
        assert text.count(r"\begin{") == text.count(r"\end{")
        assert text.isascii()


def test_latex_prints_what_it_is_given() -> None:
    assert latex.escape("50 % of a_b & {c}") == r"50 \% of a\_b \& \{c\}"
    assert (
        latex.escape("x^2 ~ $5 \\")
        == r"x\textasciicircum{}2 \textasciitilde{} \$5 \textbackslash{}"
    )
    assert latex.escape("ߊ") == "U+07CA"
