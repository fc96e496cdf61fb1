import copy
import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from referencing import Registry, Resource

from thunder.commands import requests
from thunder.ground import schema, schema_faults
from thunder.ground.errors import Faults, ThunderError
from thunder.ground.sections import _DRAFT, Sections, _keys_of

NAMES = schema.names()


def _walk(node: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(node, dict):
        yield path, node
        for key, value in node.items():
            yield from _walk(value, f"{path}/{key}")
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from _walk(value, f"{path}/{index}")


@pytest.mark.parametrize("name", NAMES)
def test_a_schema_is_valid_and_says_what_it_is(name: str) -> None:
    document = schema.load(name)
    Draft202012Validator.check_schema(document)
    assert document["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert document["$id"] == f"{name}.json"
    assert document["title"]


# Rows of real corpora may carry keys of their own; a backend says of itself what it likes; how a
# run was run lies outside its id, and a record of an earlier form must stay readable.
OPEN = (
    "corpus_row",
    "event/$defs/backend/properties/backend",
    "run/properties/attempts/items/properties/runtime",
    "run/properties/attempts/items/properties/backend",
    "promotion/properties/environments/items/properties/backend",
)
OF_ANY_NAME = "event"  # one that nobody knows harms nobody


@pytest.mark.parametrize("name", NAMES)
def test_a_schema_is_closed_at_every_level(name: str) -> None:
    for path, node in _walk(schema.load(name)):
        is_schema = not path.endswith(("/properties", "/$defs", "/if"))
        if is_schema and ("properties" in node or node.get("type") == "object"):
            allowed = node.get("additionalProperties", True)
            # Where keys are names that users or jobs choose, their values have a schema.
            is_closed = allowed is False or (isinstance(allowed, dict) and allowed)
            is_open = f"{name}{path}" == OF_ANY_NAME or f"{name}{path}".startswith(OPEN)
            assert is_closed or is_open, f"{name}{path} is open"


@pytest.mark.parametrize("name", ["adapter", "dry"])
def test_the_schema_of_a_kind_is_complete(name: str) -> None:
    for path, node in _walk(schema.load(name)):
        if "properties" in node and not path.endswith("/properties"):
            assert sorted(node["required"]) == sorted(node["properties"]), f"{name}{path}"


def _config() -> dict[str, Any]:
    return copy.deepcopy(requests.read(["+profile=smoke"]).cells[0].job.config)


def test_every_fault_is_told_at_once() -> None:
    config = _config()
    config["train"]["stesp"] = config["train"].pop("steps")
    config["train"]["strategy"] = "dat"
    config["adapter"]["rank"] = 0
    config["seed"] = "one"
    config["model"]["source"]["hidden"] = True
    with pytest.raises(Faults) as caught:
        schema.check("adapter", config, "somewhere")
    assert [fault.partition(":")[0] for fault in caught.value.faults] == [
        "adapter.rank", "model.source.hidden", "seed", "train.steps", "train.stesp",
        "train.strategy",
    ]  # fmt: skip
    text = str(caught.value)
    assert text.startswith("somewhere breaks schemas/adapter.json:")
    assert "train.stesp: not a key here (did you mean 'steps'?); allowed: batch_size" in text
    assert (
        "train.strategy: 'dat' is not allowed (did you mean 'data'?); allowed: data, tensor" in text
    )
    assert "adapter.rank: 0 is less than the minimum of 1" in text
    assert "seed: 'one' is a string, not an integer" in text
    assert "model.source.hidden: true is a boolean, not an integer" in text


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ({}, "one of these keys is needed: recipe, folder, hub, digest"),
        ({"folder": ""}, "'' is too short; at least 1 needed"),
        ({"hub": "a/b"}, "commit: missing"),
        ({"hub": "nobody", "commit": "main"}, "'nobody' does not look right"),
        ({"floder": "x"}, "one of these keys is needed"),
        (
            "x",
            "'x' is not one of: a stand-in Gemma built in place; a folder; a hub model; a digest",
        ),
        (None, "null is not one of"),
    ],
)
def test_the_alternative_that_was_meant_is_explained(source: Any, message: str) -> None:
    config = _config()
    config["model"]["source"] = source
    assert message in " ".join(f"{f.key}: {f.message}" for f in schema.faults("adapter", config))


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (float("nan"), "nan is not a finite number"),
        (float("inf"), "inf is not a finite number"),
        (2**53, "is an integer beyond"),
    ],
)
def test_numbers_that_json_cannot_carry_are_faults(value: Any, message: str) -> None:
    config = _config()
    config["adapter"]["scale"] = value
    if isinstance(value, int):
        faults = schema_faults.unwritable(config)
    else:
        faults = schema.faults("adapter", config)
    assert [(fault.key, message in fault.message) for fault in faults] == [("adapter.scale", True)]


def test_text_that_is_not_utf_8_is_a_fault() -> None:
    config = _config()
    config["runtime"]["outputs"] = "\ud800"
    (fault,) = schema_faults.unwritable(config)
    assert fault == schema_faults.Fault(("runtime", "outputs"), r"'\ud800' is not UTF-8")


def _slow(name: str) -> Draft202012Validator:
    common = Resource.from_contents(schema.load("common"))
    registry: Registry[Any] = Registry().with_resource(schema_faults.COMMON, common)
    return Draft202012Validator(schema.load(name), registry=registry)


def test_an_alternative_that_needs_no_key_is_explained_too() -> None:
    for number in range(200):
        config = dict(json.loads(_smoke()))
        _edit(config, number, "set", {})
        assert all(fault.message for fault in schema.faults("adapter", config))


ODD = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 2**40), st.floats(-1e9, 1e9), st.text(max_size=4),
    st.just([]), st.just({}), st.lists(st.integers(-1, 3), max_size=3),
    st.just({"folder": "x"}), st.just({"digest": "0" * 64}),
)  # fmt: skip


@pytest.mark.slow
@settings(deadline=None, max_examples=150)
@given(st.lists(st.tuples(st.integers(0, 200), st.sampled_from(["set", "drop", "add"]), ODD)))
def test_both_libraries_agree_on_good_and_bad_documents(
    edits: list[tuple[int, str, Any]],
) -> None:
    config = dict(json.loads(_smoke()))
    for number, action, value in edits:
        _edit(config, number, action, value)
    is_good = schema._quick("adapter", schema.SHIPPED_SCHEMAS).is_valid(config)
    assert is_good == _slow("adapter").is_valid(config)
    assert bool(schema.faults("adapter", config)) is not is_good
    # With the sections that earlier examples left behind, and those of a config that is right.
    assert _met().faults("adapter", config) == schema.faults("adapter", config)
    for fault in schema.faults("adapter", config):
        assert fault.message


@cache
def _met() -> Sections:
    sections = Sections(schema.SHIPPED_SCHEMAS)
    assert sections.faults("adapter", json.loads(_smoke())) == []
    return sections


@pytest.mark.parametrize(
    ("word", "value"), [("maxProperties", 1), ("not", {}), ("$schema", "http://json-schema.org/x")]
)
def test_a_schema_that_says_more_of_a_whole_is_asked_about_the_whole(
    tmp_path: Path, word: str, value: Any
) -> None:
    (tmp_path / "common.json").write_text("{}")
    keys = {"a": {"type": "integer"}, "b": {"type": "integer"}}
    closed = {"$schema": _DRAFT, "type": "object", "additionalProperties": False}
    (tmp_path / "plain.json").write_text(json.dumps({**closed, "properties": keys}))
    (tmp_path / "more.json").write_text(json.dumps({**closed, "properties": keys, word: value}))
    assert _keys_of("plain", (tmp_path,)) == (set(), {"a", "b"})
    assert _keys_of("more", (tmp_path,)) is None


def test_sections_that_are_right_alone_make_no_whole_that_lacks_one() -> None:
    config = json.loads(_smoke())
    sections = Sections(schema.SHIPPED_SCHEMAS)
    assert sections.faults("adapter", config) == []
    del config["seed"]
    (fault,) = sections.faults("adapter", config)
    assert fault.key == "seed"


@cache
def _smoke() -> str:
    return json.dumps(_config())


def _edit(config: dict[str, Any], number: int, action: str, value: Any) -> None:
    sections = [node for _, node in _walk(config) if node]
    if not sections:
        return
    section = sections[number % len(sections)]
    key = sorted(section)[number % len(section)]
    if action == "add":
        section[f"{key}s"] = copy.deepcopy(value)
    elif action == "drop":
        del section[key]
    else:
        section[key] = copy.deepcopy(value)


def test_a_schema_that_is_missing_or_broken_is_named(tmp_path: Path) -> None:
    with pytest.raises(ThunderError, match=r"no schema 'adaptr' \(did you mean 'adapter'\?\)"):
        schema.load("adaptr")
    for text, message in (
        ("[]", "not a schema"),
        ("{", "not JSON"),
        ('{"type": "nothing"}', "not a schema"),
    ):
        folder = tmp_path / str(len(text))
        folder.mkdir()
        (folder / "mine.json").write_text(text)
        with pytest.raises(ThunderError, match=message):
            schema.faults("mine", {}, (folder, *schema.SHIPPED_SCHEMAS))
