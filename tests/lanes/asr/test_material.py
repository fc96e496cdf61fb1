# ruff: noqa: F811  (an imported fixture and the argument it fills)
"""Real pairs, a real split, real features of the stand-in; then each thing that may not fit."""

import shutil
import wave
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from asr_training import Speech, featured, letters, silent, snapshot, speech  # noqa: F401
from torch.nn import functional

from thunder.commands import requests
from thunder.ground import files
from thunder.ground.errors import ThunderError
from thunder.lanes.asr import material
from thunder.lanes.asr.data import pairs, targets, vocabulary
from thunder.lanes.asr.features import layouts, store
from thunder.lanes.asr.material import Material
from thunder.language import bridge, spelling


def gathered(speech: Speech, folder: Path, **changes: Any) -> Material:
    return material.gather(speech.config(**changes), folder, silent)


def refused(speech: Speech, folder: Path, match: str, **changes: Any) -> ThunderError:
    with pytest.raises(ThunderError, match=match) as caught:
        gathered(speech, folder, **changes)
    return caught.value


@pytest.fixture
def copied(speech: Speech, tmp_path: Path) -> Speech:
    """Return a copy of the stand-in that a test may break."""
    shutil.copytree(speech.outputs, tmp_path / "copy")
    return Speech(tmp_path / "copy", tmp_path / "copy" / "data", tmp_path / "copy" / "features")


def edited(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change the rows of a JSON Lines file."""
    rows = list(files.read_jsonl(path))
    for row in rows:
        change(row)
    files.write_jsonl(path, rows)


def test_every_row_is_in_one_split_with_its_text_and_its_frames(
    speech: Speech, tmp_path: Path
) -> None:
    given = gathered(speech, tmp_path)
    ids = [one for split in given.splits.values() for one in split.ids]
    assert len(ids) == len(set(ids)) == 60
    rows = {row["feat_id"]: row for row in files.read_jsonl(speech.data / "pairs.jsonl")}
    for split in given.splits.values():
        assert split.ids == sorted(split.ids)
        for n, feat_id in enumerate(split.ids):
            assert split.references[n] == rows[feat_id]["nko"]
            normal = spelling.scored(rows[feat_id]["nko"], "nko", "norm")
            assert given.vocabulary.decode(split.targets[n]) == normal
            assert given.store.ids[split.rows[n]] == feat_id
            assert len(given.store.frames(split.rows[n])) == split.frames[n]
            assert split.frames[n] == pytest.approx(split.seconds[n] * 50, abs=1.5)


def test_rows_know_the_cluster_that_their_column_names(copied: Speech, tmp_path: Path) -> None:
    data = copied.config()["data"]
    edited(copied.data / data["pairs"], lambda row: row.update(who=f"speaker {row['feat_id'][-1]}"))
    given = gathered(copied, tmp_path, data={**data, "cluster": "who"})
    for split in given.splits.values():
        assert split.clusters == [f"speaker {feat_id[-1]}" for feat_id in split.ids]
    plain = gathered(copied, tmp_path)
    assert {split.clusters for split in plain.splits.values()} == {None}
    assert plain.digests == given.digests


def test_a_job_without_clusters_has_the_id_it_had() -> None:
    plain, clustered = (
        requests.read(["+profile=asr_ctc", *words]).cells[0].job
        for words in ([], ["data.cluster=speaker"])
    )
    document = clustered.document
    assert plain.id != clustered.id
    assert document["data"].pop("cluster") == "speaker"
    assert {**document, "needs": plain.document["needs"]} == plain.document


def test_what_is_read_has_digests_and_counts(speech: Speech, tmp_path: Path) -> None:
    given = gathered(speech, tmp_path)
    assert given.digests == {
        "data": snapshot(speech),
        "split": given.split["digest"],
        "features": given.store.digest,
    }
    assert {name: counts["rows"] for name, counts in given.counts.items()} == {
        "train": 48, "valid": 6, "test": 6
    }  # fmt: skip
    for name, counts in given.counts.items():
        assert counts == {
            **dict.fromkeys(counts, 0),
            "rows": counts["rows"],
            "chars": counts["chars"],
        }
        assert counts["chars"] == sum(map(len, given.splits[name].targets))
    assert given.text_disjoint <= {*given.splits["valid"].ids, *given.splits["test"].ids}


def test_the_run_folder_gets_split_and_vocabulary(speech: Speech, tmp_path: Path) -> None:
    given = gathered(speech, tmp_path)
    assert files.read_json(tmp_path / "split.json") == given.split
    assert vocabulary.load(tmp_path / "vocab.json") == given.vocabulary


def test_the_blank_is_where_vocab_json_has_it(speech: Speech, tmp_path: Path) -> None:
    made = vocabulary.make("nko")
    tokens = [*made.tokens[1:], made.tokens[0]]
    files.write_json(tmp_path / "vocab.json", made.document | {"tokens": tokens, "blank": 65})
    given = gathered(speech, tmp_path)
    assert given.vocabulary.blank == 65
    assert given.splits["test"].targets[0] == [
        one - 1 for one in gathered(speech, tmp_path.parent).splits["test"].targets[0]
    ]


def test_both_scripts_have_one_snapshot_and_one_split(speech: Speech, tmp_path: Path) -> None:
    (tmp_path / "nko").mkdir()
    (tmp_path / "latin").mkdir()
    nko = gathered(speech, tmp_path / "nko")
    latin = gathered(speech, tmp_path / "latin", script="latin")
    assert nko.digests == latin.digests
    assert nko.splits["test"].ids == latin.splits["test"].ids
    assert latin.vocabulary.script == "latin"


def test_a_stand_in_is_marked(speech: Speech, tmp_path: Path) -> None:
    assert not gathered(speech, tmp_path).stand_in
    assert gathered(speech, tmp_path, runtime__stand_ins=["data"]).stand_in


def test_the_bridge_writes_the_references(speech: Speech, tmp_path: Path) -> None:
    given = gathered(speech, tmp_path, text__bridge="v1_compat", text__most_foreign=1.0)
    rows = {row["feat_id"]: row for row in files.read_jsonl(speech.data / "pairs.jsonl")}
    test = given.splits["test"]
    expected = [bridge.to_nko(rows[feat_id]["latin"], "v1_compat") for feat_id in test.ids]
    assert test.references == expected


def test_texts_that_are_bridged_to_one_are_one(copied: Speech, tmp_path: Path) -> None:
    for name in ("v1", "v2"):
        (tmp_path / name).mkdir()
    before = gathered(copied, tmp_path / "v2")
    train, test = before.splits["train"].ids[0], before.splits["test"].ids[0]
    texts = {train: "o ye zoso ye", test: "o ye soso ye"}

    def change(row: dict[str, Any]) -> None:
        row["latin"] = texts.get(row["feat_id"], row["latin"])

    edited(copied.data / "pairs.jsonl", change)
    shutil.rmtree(copied.features)
    featured(copied)
    # The published bridge writes z as s; the standard one does not.
    for name, version, is_new in (("v1", "v1_compat", False), ("v2", "v2_standard", True)):
        changes = {"text__bridge": version, "text__most_foreign": 1.0}
        shutil.rmtree(tmp_path / name)
        (tmp_path / name).mkdir()
        assert (test in gathered(copied, tmp_path / name, **changes).text_disjoint) == is_new


def test_the_bridge_that_wrote_the_text_is_named(copied: Speech, tmp_path: Path) -> None:
    assert gathered(copied, tmp_path).bridge_version == "v2_standard"  # the builder of the data did
    changes = {"text__bridge": "v1_compat", "text__most_foreign": 1.0}
    assert gathered(copied, tmp_path, **changes).bridge_version == "v1_compat"
    (tmp_path / "latin").mkdir()
    assert gathered(copied, tmp_path / "latin", script="latin").bridge_version == "none"
    for content in ("{", "[]", '{"bridge_version": "mine"}', '{"bridge_version": null}'):
        (copied.data / "manifest.json").write_text(content)
        assert gathered(copied, tmp_path).bridge_version == "none"


def test_rows_without_a_letter_are_counted_and_not_trained_on(
    copied: Speech, tmp_path: Path
) -> None:
    def change(row: dict[str, Any]) -> None:
        if row["feat_id"].endswith("7"):
            row["nko"] = "߸ … !"

    edited(copied.data / "pairs.jsonl", change)
    shutil.rmtree(copied.features)
    featured(copied)
    given = gathered(copied, tmp_path)
    assert sum(one["empty"] for one in given.counts.values()) == 6
    assert sum(one["infeasible"] for one in given.counts.values()) == 0
    for split in given.splits.values():
        fits = dict(zip(split.ids, split.fits, strict=True))
        assert all(fits[feat_id] != feat_id.endswith("7") for feat_id in split.ids)


def test_a_script_without_a_column_is_refused_with_a_way_out(
    speech: Speech, tmp_path: Path, copied: Speech
) -> None:
    one = {"nko": None, "latin": "latin"}
    changes = {"data__columns": one}
    remade = copied.config(**changes)
    path = copied.features / "features_manifest.json"
    manifest = files.read_json(path)
    manifest["snapshot_sha256"] = pairs.snapshot(pairs.load(copied.data, remade["data"]))
    files.write_json(path, manifest)
    refused(copied, tmp_path, r"columns.nko .* text.bridge=v2_standard", **changes)
    given = gathered(copied, tmp_path, text__bridge="v2_standard", **changes)
    assert all(given.splits["test"].references)


def test_other_rows_than_those_of_the_features_are_refused(copied: Speech, tmp_path: Path) -> None:
    edited(copied.data / "pairs.jsonl", lambda row: row.update(nko=row["nko"] + "ߊ"))
    error = refused(copied, tmp_path, r"features were made from the rows .* the data changed")
    assert error.cause == "data"


def test_a_split_is_read_again_and_not_made_again(speech: Speech, tmp_path: Path) -> None:
    before = gathered(speech, tmp_path).split
    written = (tmp_path / "split.json").stat().st_mtime_ns
    assert gathered(speech, tmp_path).split == before
    assert (tmp_path / "split.json").stat().st_mtime_ns == written


def test_a_split_that_was_touched_is_refused(speech: Speech, tmp_path: Path) -> None:
    document = dict(gathered(speech, tmp_path).split)
    ids = document["ids"]
    document["ids"] = {**ids, "train": [*ids["train"], ids["test"][0]]}
    files.write_json(tmp_path / "split.json", document)
    assert refused(speech, tmp_path, r"overlap|changed").cause == "data"


def test_a_split_of_other_rows_is_refused(speech: Speech, tmp_path: Path, copied: Speech) -> None:
    gathered(speech, tmp_path)
    edited(copied.data / "pairs.jsonl", lambda row: row.update(nko=row["nko"] + "ߊ"))
    shutil.rmtree(copied.features)
    featured(copied)
    refused(copied, tmp_path, r"split.json was made of other rows")


def test_rows_without_features_are_left_out_and_counted(copied: Speech, tmp_path: Path) -> None:
    (tmp_path / "before").mkdir()
    feat_id = gathered(copied, tmp_path / "before").splits["train"].ids[3]
    (copied.data / "audio" / f"{feat_id}.wav").write_bytes(b"no sound")
    shutil.rmtree(copied.features)
    featured(copied)
    given = gathered(copied, tmp_path)
    assert given.counts["train"] == given.counts["train"] | {"rows": 48, "missing": 1}
    assert len(given.splits["train"].ids) == 47
    assert feat_id not in given.splits["train"].ids


def test_characters_outside_the_vocabulary_are_counted_or_refused(
    copied: Speech, tmp_path: Path
) -> None:
    def change(row: dict[str, Any]) -> None:
        if row["feat_id"].endswith("7"):
            row["nko"] += " ж"

    edited(copied.data / "pairs.jsonl", change)
    shutil.rmtree(copied.features)
    featured(copied)
    error = refused(copied, tmp_path, r"6 of \d+ characters .* 'ж' \(U\+0436\) 6×")
    assert error.cause == "data"
    counts = gathered(copied, tmp_path, text__most_foreign=0.1).counts
    assert sum(one["foreign_chars"] for one in counts.values()) == 6


def test_a_target_leaves_out_what_the_vocabulary_lacks() -> None:
    words = vocabulary.make("nko")
    made = targets.make(["ߊжߓ"], ["ߊжߓ"], words, 1.0)
    assert [words.decode(one) for one in made.classes] == ["ߊߓ"]
    assert (made.chars.tolist(), made.foreign_chars.tolist()) == ([3], [1])
    assert made.references == ["ߊжߓ"]


def with_layout(copied: Speech, layout: str, rate_hz: float) -> None:
    path = copied.features / store.MANIFEST
    manifest = files.read_json(path)
    files.write_json(path, manifest | {"layout": layout, "rate_hz": rate_hz})


def test_a_stride_on_downsampled_features_is_refused(copied: Speech, tmp_path: Path) -> None:
    with_layout(copied, "whisper_12p5hz", 12.5)
    refused(copied, tmp_path, r"downsampled to 12.5 Hz before; use model.stride=1", model__stride=4)
    assert gathered(copied, tmp_path, model__stride=1).store.rate_hz == 12.5


def test_too_few_frames_a_second_are_refused(
    speech: Speech, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(material, "SLOWEST_HZ", 20.0)
    refused(speech, tmp_path, r"model.stride 4 leaves 12.5 frames a second", model__stride=4)


def test_rows_longer_than_the_positions_are_refused(speech: Speech, tmp_path: Path) -> None:
    size = speech.config()["model"]["size"] | {"positions": 20}
    refused(speech, tmp_path, r"positions is 20, and the longest row has \d+", model__size=size)


def test_a_padded_window_needs_positions_for_all_of_it(speech: Speech, tmp_path: Path) -> None:
    changes = {"model__lengths": "padded", "features__seconds": 30}
    refused(speech, tmp_path, r"longest row has 750 frames", **changes)


@pytest.mark.parametrize("stride", [1, 2, 4])
def test_rows_fit_exactly_when_their_ctc_loss_is_finite(stride: int) -> None:
    chance = np.random.default_rng(0)
    for _ in range(200):
        classes = chance.integers(1, 4, chance.integers(0, 12)).tolist()
        frames = int(chance.integers(1, 40))
        room = layouts.output_length(frames, stride)
        loss = functional.ctc_loss(
            torch.zeros(room, 1, 5).log_softmax(2),
            torch.tensor([classes], dtype=torch.int64),
            torch.tensor([room]),
            torch.tensor([len(classes)]),
            reduction="none",
        )
        assert bool(loss.isfinite().all()) == (targets.frames_needed(classes) <= room)


def test_rows_that_cannot_fit_are_counted(speech: Speech, tmp_path: Path) -> None:
    given = gathered(speech, tmp_path, model__stride=4)
    for name, split in given.splits.items():
        room = [layouts.output_length(n, 4) for n in split.frames.tolist()]
        needed = [targets.frames_needed(one) for one in split.targets]
        assert split.fits.tolist() == [n <= r for n, r in zip(needed, room, strict=True)]
        assert given.counts[name]["infeasible"] == int((~split.fits).sum())
    assert sum(one["infeasible"] for one in given.counts.values()) > 0


def test_padded_rows_have_room_in_the_silence(speech: Speech, tmp_path: Path) -> None:
    given = gathered(speech, tmp_path, model__stride=4, model__lengths="padded")
    assert all(split.fits.all() for split in given.splits.values())


def test_a_split_without_any_row_that_fits_is_refused(copied: Speech, tmp_path: Path) -> None:
    for path in (copied.data / "audio").glob("*.wav"):
        with wave.open(str(path), "rb") as sound:
            params, head = sound.getparams(), sound.readframes(3200)
        with wave.open(str(path), "wb") as sound:
            sound.setparams(params)
            sound.writeframes(head)
    shutil.rmtree(copied.features)
    featured(copied)
    refused(copied, tmp_path, r"no row of train fits its frames at model.stride 2")


def test_a_folder_that_is_no_store_is_refused(speech: Speech, tmp_path: Path) -> None:
    wrong = Speech(speech.outputs, speech.data, tmp_path)
    refused(wrong, tmp_path, r"no features_manifest.json")
