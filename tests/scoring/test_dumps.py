"""Rescoring by a stranger: two files in, one document out, or a fault with its line."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from thunder.ground import files, json_lines, schema
from thunder.ground.errors import Faults, ThunderError
from thunder.language import sentences
from thunder.scoring import documents, dumps, intervals, score

Rows = list[dict[str, Any]]


def _rows(count: int, script: str = "latin") -> tuple[Rows, Rows]:
    """Predictions and references as a run writes them, but for telemetry."""
    predictions, references = [], []
    for i, text in enumerate(sentences.generate(count, 0, script)):
        heard = text[: len(text) - i % 4].replace("a", "ɛ" if i % 3 == 0 else "a")
        predictions.append({
            "feat_id": f"row_{i:04d}", "script": script, "mode": "tar", "split": "test",
            "asr_text": heard, "reference_text": text, "model_run_id": "0a1b2c3d4e5f",
            "partition": "stable" if i % 4 else "uncertain", "cer_edits": i % 4, "char_conf": [0.5],
        })  # fmt: skip
        references.append({
            "feat_id": f"row_{i:04d}", "script": script, "reference_text": text,
            "reference_norm": text, "origin": "radio" if i % 2 else None,
            "text_disjoint": i % 5 == 0,
        })  # fmt: skip
    return predictions, references


def _write(folder: Path, predictions: Any, references: Any) -> tuple[Path, Path]:
    paths = folder / "predictions.jsonl", folder / "references.jsonl"
    for path, rows in zip(paths, (predictions, references), strict=True):
        files.write_text(path, rows if isinstance(rows, str) else files.render_jsonl(rows))
    return paths


def _dump(folder: Path, predictions: Any, references: Any) -> dumps.Dump:
    return dumps.read(*_write(folder, predictions, references))


def _without(row: Mapping[str, Any], *keys: str) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key not in keys}


def test_a_dump_is_read_in_order_of_its_ids(tmp_path: Path) -> None:
    predictions, references = _rows(20)
    dump = dumps.read(*_write(tmp_path, predictions[::-1], references[5:] + references[:5]))
    assert dump.ids == sorted(dump.ids)
    assert dump.references == [row["reference_text"] for row in references]
    assert dump.hypotheses == [row["asr_text"] for row in predictions]
    assert dump.partitions[:2] == ["uncertain", "stable"]
    assert dump.origins[:2] == [None, "radio"]
    assert dump.text_disjoint is not None
    assert dump.text_disjoint.tolist()[:6] == [True, False, False, False, False, True]
    assert dump.labels["model_run_id"] == "0a1b2c3d4e5f"
    assert dump.labels["adapted"] is None


def test_a_strangers_dump_needs_ids_scripts_and_texts_alone(tmp_path: Path) -> None:
    predictions = [{"feat_id": "a", "script": "nko", "asr_text": "ߞߊ"}]
    references = [{"feat_id": "a", "script": "nko", "reference_text": "ߞߊ߲"}]
    dump = documents.of_dump(dumps.read(*_write(tmp_path, predictions, references)))
    assert dump["all"]["norm"]["edits"] == 1
    assert [dump[key] for key in ("text_disjoint", "by_partition", "by_origin")] == [None] * 3
    schema.check("score", dump, "score")


def test_a_dump_of_a_script_of_ones_own_says_its_normaliser(tmp_path: Path) -> None:
    predictions = [{"feat_id": "a", "script": "french", "asr_text": "etre ça"}]
    (own,) = references = [{"feat_id": "a", "script": "french", "reference_text": "Être, ça !"}]
    with pytest.raises(
        Faults, match=r"no script 'french'; .*rows of another script say their norm"
    ):
        _dump(tmp_path, predictions, references)
    own["normaliser"] = "plain"
    dump = documents.of_dump(_dump(tmp_path, predictions, references))
    assert (dump["script"], dump["all"]["norm"]["edits"]) == ("french", 1)
    schema.check("score", dump, "score")
    assert "toneless" not in documents.render(dump)  # its accents are letters
    assert "norm" in documents.render(dump)
    predictions[0]["normaliser"] = "latin"
    with pytest.raises(Faults, match=r"predictions.jsonl:1: normaliser 'latin', not 'plain'"):
        _dump(tmp_path, predictions, references)


def test_dumps_with_a_byte_order_mark_and_in_one_list(tmp_path: Path) -> None:
    paths = _write(tmp_path, *_rows(3))
    plain = dumps.read(*paths)
    for path in paths:
        path.write_bytes(json_lines.MARK + path.read_bytes())
    assert dumps.read(*paths).ids == plain.ids
    paths[0].write_text(json.dumps(_rows(482)[0], indent=1))
    with pytest.raises(Faults, match=r"predictions.jsonl:1: this is one JSON list") as caught:
        dumps.read(*paths)
    assert len(caught.value.faults) == 1


@pytest.mark.parametrize(
    ("predictions", "references", "faults"),
    [
        ("", "", ["predictions.jsonl: no rows", "references.jsonl: no rows"]),
        ("\n\n", None, ["predictions.jsonl: no rows"]),
        ("[1]\n", None, ["predictions.jsonl:1: this is one JSON list; JSON Lines is needed"]),
        (None, "{\n", ["references.jsonl:1: this is one JSON object over several lines"]),
        (None, "\n{}{}\n", ["references.jsonl:2: invalid JSON: .* at column 3"]),
        (None, "\n\n\udcff", ["references.jsonl:3: not UTF-8: byte 0xff at column 1"]),
        ([{"feat_id": "a", "asr_text": ""}], None, ["predictions.jsonl:1: no script"]),
        ([{"feat_id": 1, "script": "nko", "asr_text": ""}], None,
         ["predictions.jsonl:1: 'feat_id' must be text, is a number"]),
        ([{"feat_id": "a", "script": "nko", "asr_text": None}], None,
         ["predictions.jsonl:1: 'asr_text' must be text, is null"]),
        (None, [{"feat_id": "a", "script": "nko", "reference_text": "", "text_disjoint": 1}],
         ["references.jsonl:1: 'text_disjoint' must be true or false or null, is a number"]),
        (None, [{"feat_id": "a", "script": "nko", "reference_text": "", "origin": []}],
         ["references.jsonl:1: 'origin' must be text or null, is a list"]),
    ],
)  # fmt: skip
def test_broken_files_are_refused_by_line(
    tmp_path: Path, predictions: Any, references: Any, faults: Sequence[str]
) -> None:
    good = _rows(3)
    pair = [good[0] if predictions is None else predictions]
    pair += [good[1] if references is None else references]
    paths = tmp_path / "predictions.jsonl", tmp_path / "references.jsonl"
    for path, rows in zip(paths, pair, strict=True):
        text = rows if isinstance(rows, str) else files.render_jsonl(rows)
        path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(Faults, match="are not one dump: ") as error:
        dumps.read(*paths)
    assert len(error.value.faults) == len(faults)
    for fault in faults:
        with pytest.raises(Faults, match=fault):
            dumps.read(*paths)


def test_every_broken_line_is_named(tmp_path: Path) -> None:
    predictions, references = _rows(40)
    text = files.render_jsonl(predictions).replace('"script"', '"skript"')
    with pytest.raises(Faults, match="40 faults") as error:
        dumps.read(*_write(tmp_path, text, references))
    assert len(error.value.faults) == 21
    assert error.value.faults[-1] == "… and 20 more"


def test_an_id_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    predictions, references = _rows(3)
    with pytest.raises(Faults, match=r"predictions.jsonl:4: feat_id 'row_0001' is on line 2 too"):
        dumps.read(*_write(tmp_path, [*predictions, predictions[1]], references))


def test_ids_of_one_file_alone_are_refused(tmp_path: Path) -> None:
    predictions, references = _rows(4)
    with pytest.raises(Faults) as error:
        dumps.read(*_write(tmp_path, predictions[1:], references[:-1]))
    lines = [fault.replace(f"{tmp_path}/", "") for fault in error.value.faults]
    assert lines == [
        "predictions.jsonl:3: feat_id 'row_0003' is not in references.jsonl",
        "references.jsonl:1: feat_id 'row_0000' is not in predictions.jsonl",
    ]
    assert error.value.cause == "data"


def test_files_of_two_scripts_are_refused(tmp_path: Path) -> None:
    predictions, references = _rows(2)
    predictions[1]["script"] = "nko"
    with pytest.raises(Faults, match=r"predictions.jsonl:2: script 'nko', not 'latin'"):
        dumps.read(*_write(tmp_path, predictions, references))
    for row in predictions + references:
        row["script"] = "klingon"
    with pytest.raises(Faults, match="no script 'klingon'; there is latin, nko"):
        dumps.read(*_write(tmp_path, predictions, references))


def test_predictions_for_another_reference_are_refused_unless_they_name_none(
    tmp_path: Path,
) -> None:
    predictions, references = _rows(3)
    references[1]["reference_text"] += " tuguni"
    paths = _write(tmp_path, predictions, references)
    with pytest.raises(Faults, match=r"predictions.jsonl:2: reference_text is not that of .*leave"):
        dumps.read(*paths)
    _write(tmp_path, [_without(row, "reference_text") for row in predictions], references)
    assert dumps.read(*paths).references[1].endswith(" tuguni")


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(ThunderError, match=r"absent.jsonl: No such file") as error:
        dumps.read(tmp_path / "absent.jsonl", tmp_path / "absent.jsonl")
    assert error.value.cause == "data"


def test_rescoring_agrees_to_the_last_digit_with_what_a_run_scored(tmp_path: Path) -> None:
    predictions, references = _rows(150)
    own = documents.of_dump(_dump(tmp_path, predictions, references), samples=200)
    paths = _write(tmp_path, predictions[::-1], references)
    first, second = (documents.of_dump(dumps.read(*paths), samples=200) for _ in range(2))
    assert files.render_json(first) == files.render_json(second) == files.render_json(own)
    texts = own["all"]["norm"], [row["reference_text"] for row in references]
    alone = score.counts(texts[1], [row["asr_text"] for row in predictions], "latin", "norm")
    found = {key: texts[0][key] for key in ("cer_ci95", "wer_ci95")}
    assert texts[0] == {**score.summary(alone), "units": 150, **found}
    assert found == {
        "cer_ci95": list(intervals.bootstrap(alone, 200)),
        "wer_ci95": list(intervals.bootstrap(score.of_words(alone), 200)),
    }


def test_rows_of_one_cluster_are_resampled_together(tmp_path: Path) -> None:
    predictions, references = _rows(150)
    for number, row in enumerate(references):
        row["cluster"] = f"speaker {number % 25}"
    dump = _dump(tmp_path, predictions, references)
    scores = documents.of_dump(dump, samples=200)
    schema.check("score", scores, "score")
    assert scores["bootstrap"]["unit"] == "cluster"
    norm = scores["all"]["norm"]
    assert (norm["rows"], norm["units"]) == (150, 25)
    counted = score.counts(dump.references, dump.hypotheses, "latin", "norm")
    units = score.grouped(counted, dump.clusters)
    assert norm["cer_ci95"] == list(intervals.bootstrap(units, 200))
    assert "200 resamples of clusters" in documents.render(scores)


def test_a_row_without_the_cluster_that_others_have_is_named(tmp_path: Path) -> None:
    predictions, references = _rows(4)
    for row in references[1:]:
        row["cluster"] = "speaker"
    with pytest.raises(Faults, match=r"references.jsonl:1: no cluster, which other rows have"):
        _dump(tmp_path, predictions, references)


def test_an_interval_over_few_rows_is_marked(tmp_path: Path) -> None:
    few, many = (
        documents.render(documents.of_dump(_dump(tmp_path, *_rows(count)), samples=20))
        for count in (19, 100)
    )
    assert few.endswith(
        "‡ an interval over fewer than 20 rows is narrower than it says; nothing "
        "is claimed of it.\n"
    )
    assert "‡" not in many.partition("partition")[0]


def test_parts_add_up_to_the_whole(tmp_path: Path) -> None:
    scores = documents.of_dump(_dump(tmp_path, *_rows(100)), samples=20)
    schema.check("score", scores, "score")
    assert list(scores["by_partition"]) == ["stable", "uncertain"]
    assert list(scores["by_origin"]) == ["(none)", "radio"]
    for variant in score.VARIANTS:
        for key in ("rows", "edits", "ref_chars"):
            whole = scores["all"][variant][key]
            for groups in ("by_partition", "by_origin"):
                assert sum(group[variant][key] for group in scores[groups].values()) == whole
    assert scores["text_disjoint"]["norm"]["rows"] == 20


def test_a_subset_without_rows_has_no_rates(tmp_path: Path) -> None:
    predictions, references = _rows(5)
    references = [{**row, "text_disjoint": False} for row in references]
    scores = documents.of_dump(_dump(tmp_path, predictions, references), samples=20)
    schema.check("score", scores, "score")
    assert scores["text_disjoint"]["raw"]["rows"] == 0
    assert scores["text_disjoint"]["raw"]["cer_ci95"] is None
    assert "–" in documents.render(scores)


def test_without_samples_there_are_no_intervals(tmp_path: Path) -> None:
    scores = documents.of_dump(_dump(tmp_path, *_rows(5)), samples=0)
    schema.check("score", scores, "score")
    assert scores["all"]["norm"]["cer_ci95"] is None
    assert "no intervals" in documents.render(scores)


def test_a_latin_dump_can_be_scored_as_nko(tmp_path: Path) -> None:
    dump = _dump(tmp_path, *_rows(30))
    scores = documents.of_dump(dump, samples=20, bridge_version="v2_standard")
    schema.check("score", scores, "score")
    assert scores["bridged"]["version"] == "v2_standard"
    assert 0 < scores["bridged"]["norm"]["cer_micro"] != scores["all"]["norm"]["cer_micro"]
    with pytest.raises(ThunderError, match=r"a bridge maps Latin text; .* of script 'nko'"):
        documents.of_dump(_dump(tmp_path, *_rows(3, "nko")), bridge_version="v2_standard")
    with pytest.raises(ThunderError, match="no bridge 'v3'"):
        documents.of_dump(dump, bridge_version="v3")


def test_scores_for_people_are_golden(tmp_path: Path) -> None:
    predictions, references = _rows(3)
    for row in predictions:
        row["asr_text"] = row["reference_text"]
    text = documents.render(documents.of_dump(_dump(tmp_path, predictions, references)))
    assert text.splitlines()[0] == ("script latin, model_run_id 0a1b2c3d4e5f, mode tar, split test")
    shown = [line for line in text.splitlines() if line.startswith("all rows")]
    assert len(shown) == 1
    words = "3 raw 0.00 0.00 to 0.00 ‡ 0.00 0.00 0.00 0.00 to 0.00 ‡ 100.00"
    assert shown[0].split()[2:] == [*words.split(), "0", shown[0].split()[-1]]
    assert "partition uncertain" in text
    assert "origin radio" in text
    assert "\nintervals: 1,000 resamples of rows, seed 0\n‡ " in text


def test_a_row_that_json_cannot_hold_whole_is_named(tmp_path: Path) -> None:
    predictions, references = _rows(2)
    text = files.render_jsonl(predictions) + json.dumps({"feat_id": "\ud800"}) + "\n"
    with pytest.raises(Faults, match=r"predictions.jsonl:3: a lone surrogate"):
        dumps.read(*_write(tmp_path, text, references))
