"""The error page: its numbers are those of all rows, its rows the right ones, its text escaped."""

import base64
import hashlib
import html
import re
from pathlib import Path
from typing import Any

import bundle_runs
import heard_runs
import numpy as np
import pytest

from thunder.ground import files, run_files
from thunder.ground.errors import ThunderError
from thunder.lanes.asr.features import audio
from thunder.lanes.asr.results.pages import (
    aligned,
    choice,
    errors,
    histogram,
    picture,
    sound,
    timed,
)
from thunder.runs import attempts, manifest, store
from thunder.runs.run import Run
from thunder.scoring import edits

ROWS = 90


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Return a run of the N'Ko trajectory cell; tests that change files take `own` instead."""
    outputs = tmp_path_factory.mktemp("page") / "outputs"
    return bundle_runs.finish(outputs, bundle_runs.cell(mode="trajectory"), rows=ROWS)


@pytest.fixture
def own(tmp_path: Path) -> Run:
    """Return a small run that a test may break."""
    return bundle_runs.finish(tmp_path / "outputs", bundle_runs.cell(mode="trajectory"), rows=12)


@pytest.fixture(scope="module")
def document(run: Run) -> dict[str, Any]:
    return errors.build(run.folder, rows=10)


def rewritten(run: Run, name: str, change: Any) -> None:
    """Change every row of a dump, and the manifest with it."""
    rows = [change(row) for row in files.read_jsonl(run.folder / name)]
    bundle_runs.rewrite(run, name, files.render_jsonl(rows))


# What the page says ------------------------------------------------------------------------------


def test_the_head_has_the_numbers_of_the_run(run: Run, document: dict[str, Any]) -> None:
    results = files.read_json(run.folder / "results.json")
    assert document["run"] == run.folder.name
    assert (document["script"], document["mode"]) == ("nko", "trajectory")
    assert (document["stand_in"], document["stand_ins"]) == (True, ["data"])
    assert "Stand-in: data. These rows" in errors.render(document)
    assert document["cer"]["micro"] == results["test_cer"]
    assert document["cer"]["low"] < document["cer"]["micro"] < document["cer"]["high"]
    assert document["cer"]["units"] == document["cer"]["rows"]
    assert document["cer"]["rows"] == ROWS


def test_the_legend_names_the_kinds_of_edits_as_the_table_does(document: dict[str, Any]) -> None:
    kinds = [{**kind, "mark": f"~{number}"} for number, kind in enumerate(document["kinds"])]
    page = errors.render({**document, "kinds": kinds})
    (legend,) = re.findall(r'<p class="legend">.*', page)
    keys = re.findall(r'<span class="key (\w+)">(.+?)</span>(.+?)</span>', legend)
    assert keys == [(kind["name"], kind["mark"], kind["title"]) for kind in kinds]
    assert len(keys) == 3


def test_partitions_histogram_and_kinds_are_over_all_rows(
    run: Run, document: dict[str, Any]
) -> None:
    said = files.read_json(run.folder / "test_metrics_by_partition.json")["partitions"]
    assert {row["name"]: row["rows"] for row in document["partitions"]} == {
        name: part["rows"] for name, part in said.items() if part["rows"]
    }
    for row in document["partitions"]:
        assert row["cer_micro"] == pytest.approx(said[row["name"]]["cer_micro"])
    assert sum(row["share_of_edits"] for row in document["partitions"]) == pytest.approx(1)
    assert sum(bar["rows"] for bar in document["histogram"]) == ROWS
    assert sum(row["share"] for row in document["kinds"]) == pytest.approx(1)
    shown = sum(
        cell["op"] != "equal" for row in document["rows"] for w in row["words"] for cell in w
    )
    assert sum(row["count"] for row in document["kinds"]) > shown


def test_confusions_are_letters_taken_for_others_most_frequent_first(
    document: dict[str, Any],
) -> None:
    counts = [row["count"] for row in document["confusions"]]
    assert counts == sorted(counts, reverse=True)
    assert all(row["reference"] != row["hypothesis"] for row in document["confusions"])
    (substitutions,) = (k["count"] for k in document["kinds"] if k["name"] == "substitute")
    assert 0 < sum(counts) <= substitutions


def test_the_worst_rows_are_the_worst(run: Run, document: dict[str, Any]) -> None:
    rows = list(files.read_jsonl(run.folder / "test_predictions.jsonl"))
    rate = {row["feat_id"]: row["cer_edits"] / row["reference_chars"] for row in rows}
    most = sorted(rows, key=lambda row: (-row["cer_edits"], -rate[row["feat_id"]]))[:10]
    highest = sorted(rate, key=lambda name: -rate[name])[:10]
    assert ids_of(document, "edits") == {row["feat_id"] for row in most}
    assert ids_of(document, "cer") == set(highest)
    median = float(np.median(list(rate.values())))
    of_typical = [abs(rate[name] - median) for name in ids_of(document, "typical")]
    assert max(of_typical) < min(abs(rate[name] - median) for name in highest)


def ids_of(document: dict[str, Any], kind: str) -> set[str]:
    return {row["feat_id"] for row in document["rows"] if kind in row["kinds"]}


def test_every_partition_has_rows_and_a_larger_page_keeps_the_smaller_draw(
    run: Run, document: dict[str, Any]
) -> None:
    shown = {row["partition"] for row in document["rows"] if "each" in row["kinds"]}
    assert shown == {row["name"] for row in document["partitions"]}
    assert errors.build(run.folder, rows=10) == document
    assert ids_of(document, "sample") < ids_of(errors.build(run.folder, rows=20), "sample")


def test_a_page_of_more_rows_than_there_are_has_each_row_once(run: Run) -> None:
    page = errors.build(run.folder, rows=10 * ROWS)
    assert len(page["rows"]) == ROWS
    assert page["selections"] == dict.fromkeys(choice.TITLES, ROWS)


# Alignments as they are drawn --------------------------------------------------------------------


def drawn(reference: str, hypothesis: str) -> list[list[tuple[str, str, str]]]:
    words = aligned.words(edits.alignment(reference, hypothesis))
    return [[(c["op"], c["reference"]["text"], c["hypothesis"]["text"]) for c in w] for w in words]


def test_equal_letters_are_one_cell_and_each_edit_is_one() -> None:
    assert drawn("baro kɛ", "bako kɛn") == [
        [("equal", "ba", "ba"), ("substitute", "r", "k"), ("equal", "o", "o")],
        [("equal", "kɛ", "kɛ"), ("insert", "", "n")],
    ]


def test_a_letter_keeps_its_marks() -> None:
    assert drawn("ߓߊ߬ߙߏ", "ߓߊߙߏ") == [
        [("equal", "ߓ", "ߓ"), ("substitute", "ߊ߬", "ߊ"), ("equal", "ߙߏ", "ߙߏ")]
    ]


def test_a_space_that_one_line_lacks_is_shown_and_lines_may_break_there() -> None:
    assert drawn("a b", "ab") == [[("equal", "a", "a"), ("delete", " ", "")], [("equal", "b", "b")]]
    assert drawn("", "a") == [[("insert", "", "a")]]
    assert drawn("", "") == []


def test_parts_say_where_their_letters_join() -> None:
    (word,) = aligned.words(edits.alignment("ߓߊ߬ߙߏ", "ߓߊߙߏ"))
    joins = [(c["reference"]["joins_before"], c["reference"]["joins_after"]) for c in word]
    assert joins == [(False, True), (True, True), (True, False)]
    # A part that is not there lies between letters that join all the same; digits never join.
    (word,) = aligned.words(edits.alignment("ߓߙߏ", "ߓߏ"))
    assert [cell["hypothesis"]["joins_after"] for cell in word] == [True, False, False]
    for reference in ("߁߂", "ab"):
        words = aligned.words(edits.alignment(reference, reference[0] + "x"))
        assert not any(c["reference"]["joins_after"] for word in words for c in word)


def test_bins_have_their_upper_bound() -> None:
    rates = np.array([0.0, 1 / 1000, 1 / 20, 3 / 20, 3 / 20 + 1e-6, 1.0, 1.0001, 7.0])
    bins = {(row["above"], row["to"]): row["rows"] for row in histogram.bins(rates) if row["rows"]}
    assert bins == {
        (None, 0): 1, (0, 5): 2, (10, 15): 1, (15, 20): 1, (95, 100): 1, (100, None): 2,
    }  # fmt: skip
    bars = histogram.bars(histogram.bins(rates), 0.1)["bars"]
    assert all(bar["x"] >= 0 and bar["x"] + bar["width"] <= 420 for bar in bars)


# The file ----------------------------------------------------------------------------------------


def test_the_page_lies_outside_the_run_which_still_verifies(own: Run) -> None:
    path = errors.write(own.folder, rows=3)
    assert path == own.folder.parent.parent / "pages" / f"errors-{own.folder.name}.html"
    assert store.verify(own) == []
    assert errors.write(own.folder, rows=3, variant="raw").name.endswith("-raw.html")
    before = path.read_bytes()
    assert errors.write(own.folder, rows=3).read_bytes() == before


def test_the_page_needs_nothing_but_itself(document: dict[str, Any]) -> None:
    text = errors.render(document)
    assert not re.search(r"""\b(src|href|action)\s*=|@import|url\(|https?:""", text)
    assert "No recordings: the data of the run are not where they were." in text
    (script,) = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src &#39;sha256-{digest}&#39;" in text
    assert "default-src &#39;none&#39;" in text


def test_texts_are_escaped(own: Run) -> None:
    evil = """<img src=x onerror="alert('1')"></script>&amp;"""
    name = "test_predictions.jsonl"
    rewritten(own, name, lambda row: {**row, "asr_text": f"{evil}{row['asr_text']}"})
    text = errors.render(errors.build(own.folder, rows=3, variant="raw"))
    assert "<img" not in text
    assert (
        html.escape(evil, quote=True).replace("&#x27;", "&#39;").replace("&quot;", "&#34;") in text
    )


@pytest.mark.parametrize("is_right", [True, False])
def test_a_run_without_an_error_and_one_that_heard_nothing_have_pages(
    own: Run, is_right: bool
) -> None:
    rewritten(
        own,
        "test_predictions.jsonl",
        lambda row: {**row, "asr_text": row["reference_text"] if is_right else ""},
    )
    page = errors.build(own.folder, rows=3, variant="raw")
    assert page["cer"]["micro"] == (0 if is_right else 1)
    text = errors.render(page)
    assert "No letter was taken for another." in text
    assert ("(nothing was heard)" in text) is not is_right


# What was heard --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def spoken(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Path]:
    """Return a run and the data folder with its recordings, which no test changes."""
    outputs = tmp_path_factory.mktemp("spoken") / "outputs"
    return heard_runs.finish(outputs, heard_runs.cell(mode="trajectory"), rows=8)


@pytest.fixture
def own_spoken(tmp_path: Path) -> tuple[Run, Path]:
    return heard_runs.finish(tmp_path / "outputs", heard_runs.cell(mode="trajectory"), rows=8)


def test_a_row_is_on_the_page_as_the_model_was_given_it(spoken: Any, tmp_path: Path) -> None:
    run, folder = spoken
    row = errors.build(run.folder, rows=3)["rows"][0]
    (tmp_path / "heard.flac").write_bytes(base64.b64decode(row["sound"]["audio"]))
    heard = audio.read(tmp_path / "heard.flac", 30)
    original = audio.read(folder / "audio" / f"{row['feat_id']}.wav", 30)
    assert np.array_equal(heard.samples, original.samples)
    assert row["sound"]["seconds"] == pytest.approx(row["duration_s"], abs=1e-3)


def test_letters_lie_where_their_frames_are(spoken: Any) -> None:
    run, _ = spoken
    dumped = {r["feat_id"]: r for r in files.read_jsonl(run.folder / "test_predictions.jsonl")}
    for row in errors.build(run.folder, rows=3)["rows"]:
        whole, line = dumped[row["feat_id"]], row["sound"]["line"]
        letters = row["sound"]["letters"]
        assert "".join(letter["text"] for letter in letters) == whole["asr_text"]
        firsts = [letter["at"] * line * 25 for letter in letters]  # 50 Hz, stride 2
        starts = {first for first, _ in whole["char_frames"]}
        assert {round(first, 6) for first in firsts} <= starts
        assert min(letter["share"] for letter in letters) * line == pytest.approx(0.04)


def test_a_mark_shares_the_place_of_its_letter_and_silence_lengthens_the_line() -> None:
    row = {"asr_text": "ߓߊ߲", "char_frames": [[0, 1], [2, 3], [5, 6]], "char_conf": [0.9, 0.8, 0.3]}
    made = timed.letters(row, 0.04, 0.2)
    assert (made["line"], made["share"]) == (pytest.approx(0.24), pytest.approx(0.2 / 0.24))
    first, second = made["letters"]
    assert (second["text"], second["at"], second["share"]) == (
        "ߊ߲", pytest.approx(0.08 / 0.24), pytest.approx(0.16 / 0.24)
    )  # fmt: skip
    assert second["said"] == "0.08 to 0.24 s, confidence 0.30"
    assert first["at"] == 0


def test_a_tone_is_drawn_at_its_height() -> None:
    for hertz, is_low in ((400, True), (4000, False)):
        tone = np.sin(2 * np.pi * hertz * np.arange(16_000) / 16_000).astype(np.float32)
        band = int(picture.energies(tone).sum(axis=0).argmax())
        assert (band < picture.BANDS / 3) is is_low
    assert picture.energies(tone).shape == (100, picture.BANDS)


def test_without_room_rows_are_seen_not_heard_and_named(
    spoken: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, _ = spoken
    whole = errors.build(run.folder, rows=8)
    sizes = [len(base64.b64decode(row["sound"]["audio"])) for row in whole["rows"]]
    monkeypatch.setattr(sound, "MOST_BYTES", sum(sizes[:3]))
    page = errors.build(run.folder, rows=8)
    assert page["no_room"] == [row["feat_id"] for row in whole["rows"][3:]]
    assert [row["sound"]["audio"] is None for row in page["rows"]] == [False] * 3 + [True] * 5
    assert f"are left out: {', '.join(page['no_room'])}." in errors.render(page)


def test_a_recording_that_is_not_the_rows_is_not_on_the_page(own_spoken: Any) -> None:
    run, folder = own_spoken
    rows = errors.build(run.folder, rows=8)["rows"]
    longer, gone, broken = (folder / "audio" / f"{row['feat_id']}.wav" for row in rows[:3])
    heard_runs.record(longer, rows[0], longer=0.2)
    gone.unlink()
    broken.write_bytes(b"RIFF")
    page = errors.build(run.folder, rows=8)
    reasons = [row["no_sound"] for row in page["rows"]]
    assert reasons[0] == "its recording has another length than what was heard"
    assert reasons[1].startswith(f"no audio/{rows[1]['feat_id']}.wav")
    assert reasons[2].startswith("not readable as audio")
    assert reasons[3:] == [None] * 5
    assert [row["sound"] is None for row in page["rows"]] == [True] * 3 + [False] * 5


def test_a_recording_that_a_row_names_is_found(own_spoken: Any) -> None:
    run, folder = own_spoken
    rows = list(files.read_jsonl(folder / "pairs.jsonl"))
    (folder / "audio").rename(folder / "wav")
    named = [{**row, "audio": f"wav/{row['feat_id']}.wav"} for row in rows[1:]]
    outside = {**rows[0], "audio": "../../secret.wav"}
    files.write_jsonl(folder / "pairs.jsonl", [outside, *named])
    page = errors.build(run.folder, rows=8)
    assert {r["feat_id"] for r in page["rows"] if not r["sound"]} == {outside["feat_id"]}


def test_without_recordings_the_page_is_made_and_says_why(own_spoken: Any) -> None:
    run, folder = own_spoken
    assert errors.build(run.folder, rows=3, has_sound=False)["no_sound"].startswith(
        "they were left"
    )
    for path in (folder / "audio").iterdir():
        path.unlink()
    assert "have no recordings" in errors.build(run.folder, rows=3)["no_sound"]
    rewritten(
        run, "test_predictions.jsonl",
        lambda row: {key: value for key, value in row.items() if key != "char_frames"},
    )  # fmt: skip
    page = errors.build(run.folder, rows=3)
    assert page["no_sound"].startswith("the run is from before")
    assert "<audio" not in errors.render(page)


def test_nothing_but_data_inside_the_page_is_a_source(spoken: Any) -> None:
    run, _ = spoken
    text = errors.render(errors.build(run.folder, rows=3))
    sources = re.findall(r"""\bsrc\s*=\s*(.{11})""", text)
    assert sources
    assert set(sources) == {'"data:audio', '"data:image'}
    assert "img-src data:; media-src data:" in text


# Refusals ----------------------------------------------------------------------------------------


def test_words_that_make_no_page_say_what_does(run: Run) -> None:
    with pytest.raises(ThunderError, match="0 rows: at least 1"):
        errors.build(run.folder, rows=0)
    with pytest.raises(ThunderError, match="no variant 'nrom'; variants: raw, norm, toneless"):
        errors.build(run.folder, variant="nrom")


def test_where_accents_are_letters_no_page_is_without_tones(own: Run) -> None:
    rewritten(own, "test_references.jsonl", lambda row: {**row, "normaliser": "plain"})
    assert errors.build(own.folder, variant="raw")["variant"] == "raw"
    with pytest.raises(ThunderError, match="no variant 'toneless' of script nko, whose accents"):
        errors.build(own.folder, variant="toneless")


def test_a_run_of_another_kind_has_no_error_page(own: Run) -> None:
    other = own.folder.parent.parent / "dry" / own.folder.name
    other.parent.mkdir()
    own.folder.rename(other)
    files.write_json(other / "run.json", {**files.read_json(other / "run.json"), "kind": "dry"})
    with pytest.raises(ThunderError, match="is of kind dry; error pages are of kind asr"):
        errors.build(other)


def test_a_run_that_is_not_done_has_no_error_page(own: Run) -> None:
    attempts.write_record(own, {**own.record(), "status": "paused"})
    with pytest.raises(ThunderError, match="is paused; its error page needs it done"):
        errors.build(own.folder)


@pytest.mark.parametrize(
    "name", ["test_predictions.jsonl", "test_references.jsonl", "results.json"]
)
def test_a_tampered_or_missing_file_makes_no_page(own: Run, name: str) -> None:
    path = own.folder / name
    path.write_text(path.read_text(encoding="utf-8").replace("0", "1", 1), encoding="utf-8")
    with pytest.raises(ThunderError, match=rf"{name}: its bytes are not those of the manifest"):
        errors.build(own.folder)
    path.unlink()
    with pytest.raises(ThunderError, match=rf"{name}: missing"):
        errors.write(own.folder)
    assert not (own.folder.parent.parent / "pages").exists()


def test_dumps_that_do_not_belong_together_make_no_page(own: Run) -> None:
    name = "test_predictions.jsonl"
    rewritten(own, name, lambda row: {**row, "feat_id": f"other_{row['feat_id']}"})
    with pytest.raises(ThunderError, match="no feat_id is in both"):
        errors.build(own.folder)
    rewritten(own, name, lambda row: {**row, "feat_id": row["feat_id"].removeprefix("other_")})
    rewritten(own, name, lambda row: {**row, "model_run_id": "f" * 12})
    with pytest.raises(ThunderError, match=f"its rows are of ffffffffffff, not of {own.id}"):
        errors.build(own.folder)


def test_results_that_say_something_else_make_no_page(own: Run) -> None:
    path = own.folder / "results.json"
    files.write_json(path, {**files.read_json(path), "test_cer": 0.01})
    manifest.write(own.folder, own.id, leave_out=(run_files.RECORD,))
    with pytest.raises(ThunderError, match=r"test_cer of results\.json is 0\.01, its dumps give"):
        errors.build(own.folder)
    assert errors.build(own.folder, variant="raw")["variant"] == "raw"
