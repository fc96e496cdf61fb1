"""Splits: made by a stated rule, without leakage, and refused when they were changed."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset

from thunder.ground import files, schema
from thunder.ground.errors import Faults, ThunderError
from thunder.lanes.asr.data import groups, pairs, split
from thunder.language import spelling

RANDOM = {"rule": "random", "by": None, "seed": 42, "train": 0.8, "valid": 0.1}
GROUPED = {**RANDOM, "rule": "grouped", "by": "text"}
GIVEN = {**RANDOM, "rule": "given"}


def _rows(
    count: int, latin: Any = None, nko: Any = None, group: Any = None, shuffle: bool = False
) -> Dataset:
    """Rows whose texts are all different, unless told otherwise by index."""
    order = sorted(range(count), key=lambda i: (i * 7919) % count) if shuffle else range(count)
    text = {
        "latin": latin or (lambda i: f"latin {i}"),
        "nko": nko or (lambda i: f"ߣߌ {i}"),
        "group": group or (lambda i: None),
    }
    return Dataset.from_list(
        [{"feat_id": f"r{i:05d}", **{name: make(i) for name, make in text.items()}} for i in order]
    )


def _parts(document: dict[str, Any]) -> dict[str, str]:
    return {name: part for part in split.SPLITS for name in document["ids"][part]}


@pytest.mark.parametrize(
    ("rows", "counts"),
    [(290_596, (232_476, 29_060, 29_060)), (297_053, (237_642, 29_705, 29_706))],
)
def test_the_cuts_are_those_of_the_published_snapshots(
    rows: int, counts: tuple[int, int, int]
) -> None:
    """Both are published (docs/asr.md, The split); the older snapshot tells the rules apart."""
    first, second = split.cuts(rows, RANDOM)
    assert (first, second - first, rows - second) == counts


def test_cuts_are_exact_where_floats_are_not() -> None:
    assert 0.7 + 0.1 < 0.8
    assert split.cuts(10, {**RANDOM, "train": 0.7, "valid": 0.1}) == (7, 8)


def test_a_random_split_is_pinned(tmp_path: Path) -> None:
    """May never change: every published number hangs on it."""
    document = split.make(_rows(50), RANDOM, tmp_path)
    assert document["ids"]["valid"] == ["r00006", "r00014", "r00020", "r00031", "r00045"]
    assert document["sha256"]["test"][:12] == "6cc7946ba43d"
    assert document["digest"][:12] == "e4bd6ec9e880"


def test_a_split_says_how_it_was_made(tmp_path: Path) -> None:
    rows = _rows(40)
    document = split.make(rows, RANDOM, tmp_path)
    schema.check("split", document, "split")
    assert {key: document[key] for key in RANDOM} == RANDOM
    assert document["snapshot"] == pairs.snapshot(rows)
    assert document["rows"] == {"train": 32, "valid": 4, "test": 4}
    assert (document["groups"], document["given"]) == (None, None)
    assert all(document["ids"][part] == sorted(document["ids"][part]) for part in split.SPLITS)


def test_every_row_is_in_one_part_whatever_the_order(tmp_path: Path) -> None:
    one, other = (split.make(_rows(200, shuffle=s), RANDOM, tmp_path) for s in (False, True))
    assert one["ids"] == other["ids"]
    assert sorted(_parts(one)) == [f"r{i:05d}" for i in range(200)]
    assert sum(one["rows"].values()) == 200


def test_another_seed_is_another_split(tmp_path: Path) -> None:
    documents = [split.make(_rows(100), {**RANDOM, "seed": seed}, tmp_path) for seed in (1, 2)]
    assert documents[0]["sha256"]["test"] != documents[1]["sha256"]["test"]


@pytest.mark.parametrize("rule", [RANDOM, GROUPED])
def test_an_empty_part_is_refused(tmp_path: Path, rule: dict[str, Any]) -> None:
    with pytest.raises(
        ThunderError, match=r"a part is empty: \d train, \d valid, \d test; more rows"
    ):
        split.make(_rows(5), rule, tmp_path)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"rule": "grouped"}, "a grouped split needs it"),
        ({"by": "text"}, "'text' is for split.rule=grouped, the rule is 'random'"),
        ({"train": 0.9, "valid": 0.1}, "leave nothing for test"),
    ],
)
def test_a_rule_that_cannot_be_meant_is_refused(
    tmp_path: Path, change: dict[str, Any], said: str
) -> None:
    with pytest.raises(ThunderError, match=said) as caught:
        split.make(_rows(50), {**RANDOM, **change}, tmp_path)
    assert caught.value.cause == "user"


def test_rows_that_share_a_text_in_either_script_stay_together(tmp_path: Path) -> None:
    """Rows 0 to 9, 10 to 19, … share Latin but for case; each tenth ties two tens by its N'Ko."""
    rows = _rows(
        400,
        latin=lambda i: (
            ("Ne, taara. " if i % 2 else "ne taara ") + chr(97 + i // 10 % 26) * (1 + i // 260)
        ),
        nko=lambda i: f"ߣߌ {i // 20}" if i % 10 == 0 else f"ߣߌ {i} ߕ",
    )
    document = split.make(rows, GROUPED, tmp_path)
    part = _parts(document)
    assert document["groups"] == 20
    for start in range(0, 400, 20):
        assert len({part[f"r{i:05d}"] for i in range(start, start + 20)}) == 1
    for script in ("latin", "nko"):
        form = spelling.script(script)
        keys = {name: set() for name in split.SPLITS}
        for row in rows:
            keys[part[row["feat_id"]]].add(spelling.group_key(row[script], form))
        assert not keys["train"] & (keys["valid"] | keys["test"])
        assert not keys["valid"] & keys["test"]


def test_groups_meet_the_shares_as_well_as_they_can(tmp_path: Path) -> None:
    singles = split.make(_rows(1000), GROUPED, tmp_path)
    assert singles["rows"] == {"train": 800, "valid": 100, "test": 100}
    uneven = split.make(_rows(1000, latin=lambda i: f"t {min(i, 700)}"), GROUPED, tmp_path)
    assert uneven["rows"] == {"train": 800, "valid": 100, "test": 100}
    part = _parts(uneven)
    assert part["r00999"] == "train"  # 300 rows of one text fit nowhere else


def test_repeated_texts_are_in_all_parts(tmp_path: Path) -> None:
    """A rule that fills train with the large groups would leave only rare texts to test."""
    document = split.make(_rows(1000, latin=lambda i: f"t {i // 2}" if i < 500 else f"u {i}"),
                          GROUPED, tmp_path)  # fmt: skip
    part = _parts(document)
    shares = [sum(part[f"r{i:05d}"] == name for i in range(500)) for name in split.SPLITS]
    assert sum(shares) == 500
    assert all(20 < count < 450 for count in shares)


def test_rows_of_one_speaker_stay_together(tmp_path: Path) -> None:
    rows = _rows(300, group=lambda i: f"speaker {i % 30}", latin=lambda i: "ne")
    document = split.make(rows, {**GROUPED, "by": "speaker"}, tmp_path)
    part = _parts(document)
    assert document["groups"] == 30
    assert document["rows"] == {"train": 240, "valid": 30, "test": 30}
    for start in range(30):
        assert len({part[f"r{i:05d}"] for i in range(start, 300, 30)}) == 1


def test_a_column_that_was_not_read_is_a_fault_of_ours(tmp_path: Path) -> None:
    with pytest.raises(ThunderError, match="read without the column 'speaker'") as caught:
        split.make(_rows(30), {**GROUPED, "by": "speaker"}, tmp_path)
    assert caught.value.cause == "crash"


def test_one_script_is_enough_to_group(tmp_path: Path) -> None:
    rows = _rows(100, latin=lambda i: f"t {i // 2}", nko=lambda i: None)
    assert split.make(rows, GROUPED, tmp_path)["groups"] == 50


def _given(folder: Path, ids: dict[str, Any]) -> Path:
    files.write_json(folder / "split.json", ids)
    return folder


def _names(*numbers: int) -> list[str]:
    return [f"r{i:05d}" for i in numbers]


def test_lists_of_a_person_are_taken_as_they_are(tmp_path: Path) -> None:
    lists = {"train": _names(3, 1), "valid": _names(2), "test": _names(0)}
    document = split.make(_rows(10), GIVEN, _given(tmp_path, lists))
    assert document["ids"] == {"train": _names(1, 3), "valid": _names(2), "test": _names(0)}
    assert len(document["given"]) == 64
    assert document["left_out"] == 6
    split.check(document, _names(*range(10)))
    with pytest.raises(ThunderError, match="7 rows are in no part, 6 were left out"):
        split.check(document, _names(*range(11)))


def test_the_split_of_a_run_can_be_given(tmp_path: Path) -> None:
    made = split.make(_rows(50), RANDOM, tmp_path)
    document = split.make(_rows(50), GIVEN, _given(tmp_path, made))
    assert document["ids"] == made["ids"]
    assert document["rule"] == "given"
    made["ids"]["train"].append(made["ids"]["test"].pop())
    with pytest.raises(ThunderError, match="changed since it was made"):
        split.make(_rows(50), GIVEN, _given(tmp_path, made))


@pytest.mark.parametrize(
    ("lists", "said"),
    [
        ({"train": _names(1), "valid": _names(2), "test": []}, "a part is empty: 1 train, 1 valid"),
        ({"train": _names(1, 2), "valid": _names(2), "test": _names(3)},
         "ids overlap: 1: 'r00002' in train and valid"),
        ({"train": _names(1, 1), "valid": _names(2), "test": _names(3)}, "'r00001' twice in train"),
        ({"train": _names(1, 77), "valid": _names(2), "test": ["x"]},
         "2 ids that no row has: 'r00077', 'x'; data.take"),
        ({"train": _names(1), "test": _names(3)}, "not a split"),
        ({"train": [1], "valid": _names(2), "test": _names(3)}, "not a split"),
        ({"ids": _names(3)}, "not a split"),
        ([], "a JSON object is needed"),
    ],
)  # fmt: skip
def test_a_given_split_that_cannot_be_used_is_refused(
    tmp_path: Path, lists: Any, said: str
) -> None:
    with pytest.raises(ThunderError, match=said) as caught:
        split.make(_rows(10), GIVEN, _given(tmp_path, lists))
    assert caught.value.cause == "data"


def test_a_given_split_that_is_not_there_or_not_json_is_said(tmp_path: Path) -> None:
    with pytest.raises(ThunderError, match=r"split.json: No such file"):
        split.make(_rows(10), GIVEN, tmp_path)
    for text, why in (("{", "Expecting"), ("[" * 100_000, "nested too deep")):
        (tmp_path / "split.json").write_text(text)
        with pytest.raises(ThunderError, match=rf"split.json: not JSON: {why}"):
            split.make(_rows(10), GIVEN, tmp_path)


def test_a_split_that_was_written_is_read_again(tmp_path: Path) -> None:
    document = split.make(_rows(50), RANDOM, tmp_path)
    files.write_json(tmp_path / "split.json", document)
    assert split.load(tmp_path / "split.json") == document


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda d: d["ids"]["test"].append(d["ids"]["train"][0]), "ids overlap: 1: .* and test"),
        (lambda d: d["ids"]["test"].append("new"), "the sha256 of test does not fit"),
        (lambda d: d["ids"]["train"].pop(), "the sha256 of train does not fit"),
        (lambda d: d.update(seed=7), "the sha256 of the whole does not fit"),
        (lambda d: d.update(snapshot="0" * 64), "the sha256 of the whole does not fit"),
        (lambda d: d["sha256"].update(test="0" * 64), "the sha256 of test, the whole does not fit"),
        (lambda d: d["rows"].update(test=9), "the sha256 of the whole does not fit"),
    ],
)
def test_a_split_that_was_changed_is_refused(tmp_path: Path, change: Any, said: str) -> None:
    document = copy.deepcopy(split.make(_rows(50), RANDOM, tmp_path))
    change(document)
    files.write_json(tmp_path / "split.json", document)
    with pytest.raises(ThunderError, match=said) as caught:
        split.load(tmp_path / "split.json")
    assert caught.value.cause == "data"


def test_a_file_that_is_no_split_is_explained(tmp_path: Path) -> None:
    document = split.make(_rows(50), RANDOM, tmp_path)
    (tmp_path / "split.json").write_text(json.dumps({**document, "rule": "odd", "more": 1}))
    with pytest.raises(Faults, match=r"rule: 'odd' is not allowed(.|\n)*") as caught:
        split.load(tmp_path / "split.json")
    assert len(caught.value.faults) == 2


def test_a_split_must_fit_its_rows(tmp_path: Path) -> None:
    document = split.make(_rows(50), RANDOM, tmp_path)
    split.check(document, _names(*range(50)))
    with pytest.raises(ThunderError, match="1 ids that no row has: 'r00049'"):
        split.check(document, _names(*range(49)))
    with pytest.raises(
        ThunderError, match="1 rows are in no part, 0 were left out when it was made: 'r00050'"
    ):
        split.check(document, _names(*range(51)))


def test_rows_whose_text_train_lacks_are_named() -> None:
    ids = {"train": ["a", "b"], "valid": ["c", "d"], "test": ["e", "f", "g"]}
    texts = {
        "a": "Ne taara.", "b": "an ye", "c": "u", "d": "an ye!",
        "e": "ne  taara", "f": "u", "g": "an / ye",
    }  # fmt: skip
    # That valid has a text does not make it known: nothing was trained on it.
    assert groups.unseen(ids, texts, spelling.script("latin")) == {"c", "f"}


def test_texts_that_are_scored_alike_are_of_one_group() -> None:
    for one, other in (("an / ye", "an ye"), ("a “b”", "A b"), ("n'a", "na")):
        rows = _rows(2, latin=lambda i, pair=(one, other): pair[i], nko=lambda i: None)
        assert groups.of(rows, "text") == [0, 0]
