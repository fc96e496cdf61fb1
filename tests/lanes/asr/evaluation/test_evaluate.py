"""What an evaluation leaves: dumps that are whole, sorted, checked, and of one model."""

import dataclasses
import os
import unicodedata
from pathlib import Path
from typing import Any

import asr_training
import pytest
import torch
from asr_evaluated import ROWS, RUN, SUTA, TRAINING, evaluated, material, model
from asr_training import CPU, as_trained, at_rename, silent  # noqa: F401

from thunder.ground import files, schema
from thunder.ground.errors import ThunderError
from thunder.lanes.asr import artifacts
from thunder.lanes.asr.evaluation import adaptation, decode, dumps, evaluate, partition, telemetry
from thunder.lanes.asr.model import ctc
from thunder.lanes.asr.model.oracle import NAMES
from thunder.language import spelling
from thunder.scoring import documents
from thunder.scoring import dumps as scored_dumps

DUMPS = {
    f"{split}_{name}"
    for split in ("valid", "test")
    for name in ("predictions.jsonl", "references.jsonl", "metrics_by_partition.json")
}
ALWAYS = {*DUMPS, "results.json", "partition_policy.json"}


def rows(folder: Path, name: str) -> list[dict[str, Any]]:
    return list(dumps.read(folder / f"{name}.jsonl"))


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an evaluated run with fast weights, which no test changes."""
    folder = tmp_path_factory.mktemp("outputs") / RUN
    evaluated(folder, "trajectory_ttt")
    return folder


@pytest.mark.parametrize(
    ("mode", "more"),
    [
        ("baseline", {"test_predictions_suta.jsonl"}),
        (
            "trajectory_ttt",
            {
                "test_predictions_suta.jsonl",
                "valid_predictions_ttt_off.jsonl",
                "test_predictions_ttt_off.jsonl",
                "test_predictions_ttt_shuffled.jsonl",
            },
        ),
    ],
)
def test_a_run_has_exactly_these_files(tmp_path: Path, mode: str, more: set[str]) -> None:
    evaluated(tmp_path / RUN, mode)
    assert {path.name for path in (tmp_path / RUN).iterdir()} == ALWAYS | more


def test_without_suta_rows_there_is_no_suta_dump(tmp_path: Path) -> None:
    evaluated(tmp_path / RUN, "tar", evaluate__suta={**SUTA, "rows": 0})
    assert {path.name for path in (tmp_path / RUN).iterdir()} == ALWAYS
    assert files.read_json(tmp_path / RUN / "results.json")["adaptation"]["suta"] is None


@pytest.mark.parametrize("split", ["valid", "test"])
def test_predictions_and_references_have_the_same_ids_in_order(done: Path, split: str) -> None:
    ids = [f"{split}_{number:03d}" for number in range(ROWS[split])]
    for name in ("predictions", "references"):
        assert [row["feat_id"] for row in rows(done, f"{split}_{name}")] == ids


def test_rows_say_who_they_are(done: Path) -> None:
    dumped = rows(done, "test_predictions")
    assert {row["model_run_id"] for row in dumped} == {RUN}
    assert {row["adapted"] for row in dumped} == {"ttt"}
    assert {row["mode"] for row in dumped} == {"trajectory_ttt"}
    assert any(row["asr_text"] for row in dumped), "a model that writes nothing tests nothing"
    for row in dumped:
        assert len(row["char_conf"]) == len(row["asr_text"])
        assert row["min_char_conf"] == min(row["char_conf"], default=None)
        assert row["n_best"][0]["text"] == row["asr_text"]
        assert row["avg_logp"] == pytest.approx(
            row["n_best"][0]["score"] / row["n_frames"], abs=1e-5
        )


def test_rows_of_the_main_passes_have_the_frames_of_each_character(done: Path) -> None:
    for split in ("valid", "test"):
        for row in rows(done, f"{split}_predictions"):
            frames = row["char_frames"]
            assert len(frames) == len(row["asr_text"])
            edges = [edge for span in frames for edge in span]
            assert edges == sorted(edges)  # greedy: one character after the other
            assert all(0 <= first < end <= row["n_frames"] for first, end in frames)
    for suffix in artifacts.PASSES.values():
        assert not any("char_frames" in row for row in rows(done, f"test_predictions{suffix}"))


def test_references_carry_their_source_and_what_train_lacks(done: Path) -> None:
    dumped = rows(done, "test_references")
    assert [row["text_disjoint"] for row in dumped] == [n % 2 == 0 for n in range(ROWS["test"])]
    assert [row["origin"] for row in dumped[:3]] == [None, "radio", "radio"]
    for row in dumped:
        assert row["reference_norm"] == spelling.scored(row["reference_text"], "nko", "norm")
    metrics = files.read_json(done / "test_metrics_by_partition.json")
    assert {name: one["rows"] for name, one in metrics["by_source"].items()} == {
        "radio": 8,
        "unknown": 4,
    }


def test_references_carry_the_cluster_that_the_interval_is_over(tmp_path: Path) -> None:
    gathered = material()
    ids = gathered.splits["test"].ids
    clusters = [f"speaker {number % 4}" for number in range(len(ids))]
    test = dataclasses.replace(gathered.splits["test"], clusters=clusters)
    changed = dataclasses.replace(gathered, splits={**gathered.splits, "test": test})
    evaluate.run(changed, model(gathered), CPU, TRAINING, tmp_path / RUN, silent)
    folder = tmp_path / RUN
    assert [row["cluster"] for row in rows(folder, "test_references")] == clusters
    paths = (folder / f"test_{name}.jsonl" for name in ("predictions", "references"))
    scores = documents.of_dump(scored_dumps.read(*paths), gathered.config["evaluate"]["bootstrap"])
    assert scores["all"]["norm"]["units"] == 4
    assert files.read_json(folder / "results.json")["cer_ci95"] == scores["all"]["norm"]["cer_ci95"]


def test_without_clusters_references_are_what_they_were(done: Path) -> None:
    assert list(rows(done, "test_references")[0]) == sorted(
        ["feat_id", "script", "reference_text", "reference_norm", "origin", "text_disjoint"]
    )


def test_valid_rows_know_whether_train_has_their_text(tmp_path: Path) -> None:
    gathered = material()
    new = frozenset(gathered.splits["valid"].ids[1:4])
    changed = dataclasses.replace(gathered, text_disjoint=new)
    evaluate.run(changed, model(gathered), CPU, TRAINING, tmp_path / RUN, silent)
    marked = [row["feat_id"] for row in rows(tmp_path / RUN, "valid_references")
              if row["text_disjoint"]]  # fmt: skip
    assert frozenset(marked) == new


@pytest.mark.parametrize("rename", range(1, 13, 2))  # of twelve files
def test_cut_between_any_two_files_it_ends_with_the_same_dumps(
    tmp_path: Path, done: Path, rename: int
) -> None:
    with pytest.raises(KeyboardInterrupt), at_rename(rename, _cut):
        evaluated(tmp_path / RUN, "trajectory_ttt")
    evaluated(tmp_path / RUN, "trajectory_ttt")
    names = sorted(path.name for path in done.iterdir())
    assert sorted(path.name for path in (tmp_path / RUN).iterdir()) == names
    for name in names:
        if name != "results.json":  # it has the seconds that evaluation took
            assert (tmp_path / RUN / name).read_bytes() == (done / name).read_bytes()


def _cut() -> None:
    raise KeyboardInterrupt


def test_labels_follow_from_rows_and_the_policy_of_valid(done: Path) -> None:
    policy = partition.load(done / "partition_policy.json")
    assert policy["fitted_on"] == {"run_id": RUN, "split": "valid", "rows": ROWS["valid"]}
    assert partition.fit(rows(done, "valid_predictions"), RUN) == policy
    for name in ("valid_predictions", "test_predictions", "test_predictions_suta"):
        for row in rows(done, name):
            assert partition.labelled(row, policy) == row


def test_adapted_dumps_are_of_their_own_rows_and_say_so(done: Path) -> None:
    main = rows(done, "test_predictions")
    for name, adapted, count in (
        ("ttt_off", "none", ROWS["test"]),
        ("ttt_shuffled", "ttt", ROWS["test"]),
        ("suta", "suta", SUTA["rows"]),
    ):
        dumped = rows(done, f"test_predictions_{name}")
        assert [row["feat_id"] for row in dumped] == [row["feat_id"] for row in main[:count]]
        assert {row["adapted"] for row in dumped} == {adapted}
        # All hear the same frames before any normalisation, so the scalars are the same.
        assert [row["trajectory_scalars"] for row in dumped] == [
            row["trajectory_scalars"] for row in main[:count]
        ]
        moved = [row["mean_entropy"] for row in dumped] != [
            row["mean_entropy"] for row in main[:count]
        ]
        assert moved, f"{name} changed nothing"


def test_an_evaluation_leaves_the_weights_alone(tmp_path: Path) -> None:
    gathered = material("trajectory_ttt")
    trained = model(gathered).train()
    before = {name: value.clone() for name, value in trained.state_dict().items()}
    evaluate.run(gathered, trained, CPU, TRAINING, tmp_path / RUN, silent)
    assert all(torch.equal(before[name], value) for name, value in trained.state_dict().items())


def test_an_evaluation_computes_in_its_own_precision_and_not_in_that_of_the_training(
    tmp_path: Path,
) -> None:
    gathered, training = material(), {**TRAINING, "precision": "bfloat16 then float32"}
    evaluated(tmp_path / "plain" / RUN)
    folder = tmp_path / "mixed" / RUN
    evaluate.run(gathered, model(gathered), CPU, training, folder, silent)
    assert rows(folder, "test_predictions") == rows(tmp_path / "plain" / RUN, "test_predictions")
    results = files.read_json(folder / "results.json")
    kept = [results[key] for key in ("precision", "evaluation_precision")]
    assert kept == ["bfloat16 then float32", "float32"]


def test_a_second_evaluation_writes_the_same_bytes(tmp_path: Path) -> None:
    evaluated(tmp_path / "one" / RUN, "trajectory_ttt")
    evaluated(tmp_path / "two" / RUN, "trajectory_ttt")
    for path in (tmp_path / "one" / RUN).iterdir():
        if path.name != "results.json":  # which says how long it took
            assert path.read_bytes() == (tmp_path / "two" / RUN / path.name).read_bytes(), path.name


def test_what_another_model_left_is_replaced(tmp_path: Path) -> None:
    folder = tmp_path / RUN
    evaluated(folder)
    before = (folder / "test_predictions.jsonl").read_bytes()
    gathered = material()
    evaluate.run(gathered, model(gathered, seed=5), CPU, TRAINING, folder, silent)
    assert (folder / "test_predictions.jsonl").read_bytes() != before


def test_batches_do_not_change_what_is_heard(tmp_path: Path) -> None:
    evaluated(tmp_path / "one" / RUN, "trajectory", train__batch_size=1)
    evaluated(tmp_path / "many" / RUN, "trajectory", train__batch_size=12)
    one, many = (rows(tmp_path / name / RUN, "test_predictions") for name in ("one", "many"))
    for first, second in zip(one, many, strict=True):
        assert first["asr_text"] == second["asr_text"]
        assert first["mean_entropy"] == pytest.approx(second["mean_entropy"], abs=1e-4)


@pytest.mark.parametrize("mode", ["baseline", "trajectory_ttt"])
def test_a_beam_writes_its_n_best(tmp_path: Path, mode: str) -> None:
    evaluated(tmp_path / RUN, mode, evaluate__beam=3)
    for row in rows(tmp_path / RUN, "test_predictions"):
        scores = [one["score"] for one in row["n_best"]]
        assert 1 < len(scores) <= 3
        assert scores == sorted(scores, reverse=True)
        assert row["asr_text"] == row["n_best"][0]["text"]
        assert len(row["char_conf"]) == len(row["asr_text"])


def test_padded_rows_count_the_whole_window(tmp_path: Path) -> None:
    evaluated(tmp_path / RUN, "trajectory", model__lengths="padded")
    dumped = rows(tmp_path / RUN, "test_predictions")
    assert {row["n_frames"] for row in dumped} == {200}  # 8 seconds at 25 a second
    assert max(row["duration_s"] for row in dumped) < 2


def test_progress_counts_utterances(tmp_path: Path) -> None:
    events: list[Any] = []
    evaluated(tmp_path / RUN, "baseline", events)
    last = [e for e in events if e["event"] == "step" and e["step"] == e["of"]]
    assert [event["of"] for event in last] == [ROWS["valid"], ROWS["test"], SUTA["rows"]]
    assert {(event["unit"], event["loss"]) for event in last} == {("utterances", None)}
    assert {"beat", "warning"} <= {event["event"] for event in events}


def test_posteriors_that_are_no_numbers_stop_the_run(tmp_path: Path) -> None:
    gathered = material()
    broken = model(gathered)
    with torch.no_grad():
        broken.output_proj.bias[3] = torch.nan
    with pytest.raises(ThunderError, match="posteriors are not finite") as caught:
        evaluate.run(gathered, broken, CPU, TRAINING, tmp_path / RUN, silent)
    assert caught.value.cause == "training"
    assert list((tmp_path / RUN).iterdir()) == []


def test_a_split_that_is_empty_is_said(tmp_path: Path) -> None:
    material = asr_training.letters(
        asr_training.config(evaluate__suta=SUTA), {"train": 2, "valid": 0, "test": 2}
    )
    with pytest.raises(ThunderError, match="valid has no row"):
        evaluate.run(material, model(material), CPU, TRAINING, tmp_path / RUN, silent)


@pytest.mark.slow
def test_a_trained_model_is_heard_right(tmp_path: Path) -> None:
    settings = {"train__epochs": 30, "train__learning_rate": 3e-3}
    saved = asr_training.trained(tmp_path / "train", **settings)
    material = asr_training.letters(asr_training.config(**settings))
    trained = ctc.build(material.config, material.store.dims, len(material.vocabulary.tokens))
    trained.load_state_dict(saved.model)
    metrics = evaluate.run(material, trained, CPU, TRAINING, tmp_path / RUN, silent)
    assert metrics["test_cer_micro"] is not None
    assert metrics["test_cer_micro"] < 0.2


# --- dumps ---


def reference(number: int, **changes: Any) -> dict[str, Any]:
    row = {
        "feat_id": f"r{number}",
        "script": "latin",
        "reference_text": "é",
        "reference_norm": "é",
        "origin": None,
        "text_disjoint": True,
    }
    return {**row, **changes}


@pytest.mark.parametrize(
    ("second", "message"),
    [
        (reference(0), "row 'r0', comes after 'r1': rows are sorted by feat_id"),
        (reference(2, reference_text="e\u0301"), "row 'r2', reference_text: not in NFC"),
        (reference(2, more=1), "row 'r2', breaks schemas/asr_reference.json"),
        (reference(2, origin=7), "origin: 7 is an integer"),
    ],
    ids=["order", "NFC", "unknown key", "type"],
)
def test_a_wrong_row_leaves_the_file_as_it_was(
    tmp_path: Path, second: dict[str, Any], message: str
) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text("before", encoding="utf-8")
    with pytest.raises(ThunderError, match=message):
        dumps.write(path, "asr_reference", [reference(1), second])
    assert path.read_text(encoding="utf-8") == "before"
    assert os.listdir(tmp_path) == ["rows.jsonl"]


def test_rows_are_readable_one_a_line(tmp_path: Path) -> None:
    assert dumps.write(tmp_path / "r.jsonl", "asr_reference", [reference(1), reference(2)]) == 2
    text = (tmp_path / "r.jsonl").read_text(encoding="utf-8")
    assert text.count("\n") == 2
    assert "é" in text


def test_a_spool_gives_rows_in_order_of_ids_as_often_as_asked(tmp_path: Path) -> None:
    with dumps.spooling(tmp_path) as spool:
        for number in (3, 1, 2):
            spool.add(reference(number))
        for _ in range(2):
            assert [row["feat_id"] for row in spool] == ["r1", "r2", "r3"]
        assert len(spool) == 3
        with pytest.raises(ThunderError, match="r2 was evaluated twice"):
            spool.add(reference(2))


# --- telemetry ---


def test_telemetry_is_over_the_frames_that_count() -> None:
    log_probs = torch.log_softmax(torch.randn(2, 6, 4), dim=-1)
    log_probs[1, 3:] = torch.nan
    measured = telemetry.of_posteriors(log_probs, torch.tensor([6, 3]), 2)
    probs = log_probs[1, :3].exp()
    expected = {
        "avg_logp": log_probs[1, :3].max(dim=-1).values.mean(),
        "mean_maxp": probs.max(dim=-1).values.mean(),
        "mean_entropy": -(probs * probs.log()).sum(dim=-1).mean(),
        "blank_mass": probs[:, 2].mean(),
    }
    assert measured[1] == pytest.approx({k: float(v) for k, v in expected.items()}, abs=1e-6)


def test_a_certain_posterior_has_no_entropy() -> None:
    log_probs = torch.tensor([[[0.0, -torch.inf]]])
    measured = telemetry.of_posteriors(log_probs, torch.tensor([1]), 0)[0]
    assert measured == {"avg_logp": 0.0, "mean_maxp": 1.0, "mean_entropy": 0.0, "blank_mass": 1.0}
    assert str(measured["avg_logp"]) == "0.0"


@pytest.mark.parametrize(
    ("place", "is_edge"), [(0, True), (1, True), (2, False), (17, False), (18, True), (19, True)]
)
def test_pressure_counts_at_the_edges_alone(place: int, is_edge: bool) -> None:
    scalars = torch.zeros(1, 30, 7)
    scalars[0, place, NAMES.index("transition_pressure")] = 0.7
    scalars[0, 20:] = 9.0
    measured = next(telemetry.of_scalars(scalars, torch.tensor([20])))
    assert measured["edge_pressure"] == (0.7 if is_edge else 0.0)
    assert measured["trajectory_scalars"]["transition_pressure"]["max"] == 0.7


# --- passes ---


@pytest.mark.parametrize("mode", ["baseline", "trajectory", "tar"])
def test_a_mode_without_fast_weights_is_heard_one_way(mode: str) -> None:
    assert adaptation.main(mode).adapted == "none"
    assert adaptation.others(mode, 0) == ()


def test_what_fast_weights_change_is_seen_on_valid_too(done: Path) -> None:
    assert adaptation.of_valid("trajectory") == ()
    on, off = (rows(done, f"valid_predictions{suffix}") for suffix in ("", "_ttt_off"))
    assert [row["feat_id"] for row in on] == [row["feat_id"] for row in off]
    assert {row["adapted"] for row in off} == {"none"}
    assert any(one["avg_logp"] != other["avg_logp"] for one, other in zip(on, off, strict=True))


def test_suta_is_never_called_ttt() -> None:
    for mode in ("baseline", "trajectory_ttt"):
        last = adaptation.others(mode, 7)[-1]
        assert (last.column, last.adapted, last.most) == ("suta", "suta", 7)


def test_every_mark_order_is_the_one_of_nfc() -> None:
    text = "ߊ\u07eb\u07f2\u07eb ߏ\u07f3\u07f2"
    spans = [(place, place + 1) for place in range(len(text))]
    written, frames, _ = decode.composed(text, spans, [1.0] * len(text))
    assert written == unicodedata.normalize("NFC", text)
    assert "".join(text[first] for first, _ in frames) == written


def test_every_key_of_a_row_is_required() -> None:
    for name in ("asr_prediction", "asr_reference", "asr_results", "asr_partitions"):
        document = schema.load(name)
        # A script that is known by name says nothing of its normaliser, a row of independent rows
        # nothing of a cluster, another pass nothing of frames: files of earlier runs stay valid.
        later = {"normaliser", "cluster", "char_frames", "evaluation_precision"}
        keys = set(document["properties"]) - later
        assert sorted(document["required"]) == sorted(keys)
        assert document["additionalProperties"] is False
