# ruff: noqa: F811  (an imported fixture and the argument it fills)
"""Rows are trained on only with ids that the model has, and with answers that are learnt."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from adapter_fixtures import SOURCE, Tiny, tiny  # noqa: F401

from thunder.ground import files
from thunder.ground.errors import Faults, ThunderError
from thunder.lanes.adapter.data import supervision, token_rows, tokens
from thunder.lanes.adapter.model import standin_tokenizer

SIZE = SOURCE["vocabulary"]
ROW_BEYOND = "<extra_0>"
TURN = "{% for m in messages %}<|turn>{{ m['role'] }}\n{{ m['content'] }}{% endfor %}"


def row(question: str, answer: str, line: int) -> dict[str, Any]:
    user, assistant = (
        {"role": "user", "content": question},
        {"role": "assistant", "content": answer},
    )
    return {"messages": [user, assistant], "line": line}


ROWS = [row("ߊ", "ߋ", 1), row("ߌ", "ߍ", 3)]


@pytest.fixture
def model(tiny: Tiny, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny.model, tmp_path / "model"))


def add_tokens(model: Path, first: int, count: int = 88) -> None:
    """Add tokens as transformers saves them, from an id on."""
    path = model / "tokenizer.json"
    tokenizer = files.read_json(path)
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized", "special"), False)
    tokenizer["added_tokens"] += [
        {"id": first + number, "content": f"<extra_{number}>", **flags} for number in range(count)
    ]
    path.write_text(json.dumps(tokenizer), encoding="utf-8")


def prepare(
    model: Path, train: list[dict[str, Any]], valid: list[dict[str, Any]] = ROWS, length: int = 128
) -> dict[str, dict[str, int]]:
    target = model.parent / "tokens"
    return tokens.prepare({"train": train, "valid": valid}, model, length, "drop", target)


def refusal(model: Path, *splits: list[dict[str, Any]]) -> ThunderError:
    with pytest.raises(ThunderError) as caught:
        prepare(model, *splits)
    assert caught.value.cause == "model"
    assert not list((model.parent / "tokens").glob("train.npz"))
    return caught.value


def write_template(model: Path, template: str) -> None:
    (model / "chat_template.jinja").write_text(template, encoding="utf-8")


def test_a_token_beyond_the_embedding_is_refused_with_row_token_id_and_size(model: Path) -> None:
    add_tokens(model, SIZE)
    error = refusal(model, [*ROWS, row(f"ߊ {ROW_BEYOND}", "ߋ", 7), row("ߊ", "<extra_87>", 9)])
    assert isinstance(error, Faults)
    assert f"embed_tokens has {SIZE} rows" in str(error)
    assert error.faults == [
        f"train.jsonl:7: token '{ROW_BEYOND}' has the id {SIZE}",
        f"train.jsonl:9: token '<extra_87>' has the id {SIZE + 87}",
    ]


def test_many_rows_with_unknown_ids_are_counted(model: Path) -> None:
    add_tokens(model, SIZE)
    error = refusal(model, [row(ROW_BEYOND, "ߋ", line) for line in range(1, 21)])
    assert isinstance(error, Faults)
    assert error.faults[-1] == f"… and {20 - supervision.SHOWN} more"


def test_tokens_that_no_row_has_are_no_fault(model: Path) -> None:
    add_tokens(model, SIZE)
    assert prepare(model, ROWS)["train"]["rows"] == 2


def test_a_validation_row_is_held_to_the_embedding_as_well(model: Path) -> None:
    add_tokens(model, SIZE)
    with pytest.raises(Faults, match=rf"valid\.jsonl:4: token '{ROW_BEYOND}'"):
        prepare(model, ROWS, [row(ROW_BEYOND, "ߋ", 4)])


def test_an_id_that_a_template_writes_is_held_to_the_embedding(model: Path) -> None:
    add_tokens(model, SIZE)
    template = (model / "chat_template.jinja").read_text(encoding="utf-8")
    write_template(model, f"<extra_1>{template}")
    error = refusal(model, ROWS)
    assert f"train.jsonl:1: token '<extra_1>' has the id {SIZE + 1}" in str(error)


@pytest.mark.parametrize("said", [SIZE + 200, SIZE - 100])
def test_the_weights_say_how_many_ids_there_are_and_not_the_config(model: Path, said: int) -> None:
    config = files.read_json(model / "config.json")
    config["vocab_size"] = config["text_config"]["vocab_size"] = said
    files.write_json(model / "config.json", config)
    add_tokens(model, SIZE)
    assert f"has {SIZE} rows" in str(refusal(model, [row(ROW_BEYOND, "ߋ", 1)]))


@pytest.mark.parametrize("token", [-1, SIZE, 2**31, 2**40])
def test_no_id_that_the_model_cannot_have_is_read(model: Path, token: int) -> None:
    class Odd:
        def convert_ids_to_tokens(self, token: int) -> str:
            raise OverflowError(token)

    known = tokens.vocabulary.of(model)
    with pytest.raises(Faults, match=rf"train\.jsonl:5: token of no name has the id {token}$"):
        supervision.refuse_unknown_ids("train", {4: ([2, token], 1)}, lambda n: n + 1, known, Odd())


@pytest.mark.parametrize(
    ("template", "rows"),
    [
        ("{% for m in messages if m['role'] == 'user' %}{{ m['content'] }}{% endfor %}", "2 of 2"),
        ("{% for m in messages if m['content'] != 'ߍ' %}{{ m['content'] }}{% endfor %}", "1 of 2"),
        ("", "2 of 2"),
    ],
    ids=["no assistant", "one answer left out", "nothing at all"],
)
def test_a_template_that_writes_no_assistant_turn_is_refused_with_the_rows(
    model: Path, template: str, rows: str
) -> None:
    write_template(model, template or "{# #}")
    places = "line 3" if rows == "1 of 2" else "line 1, line 3"
    assert str(refusal(model, ROWS)) == (
        f"train.jsonl: nothing is supervised in {rows} rows ({places}): "
        "the chat template writes no assistant turn there"
    )


def test_a_template_that_ends_turns_without_their_answers_is_refused(model: Path) -> None:
    turns = "{% for m in messages %}{% if m['role'] == 'user' %}{{ m['content'] }}{% endif %}"
    write_template(model, f"{turns}<turn|>{{% endfor %}}")
    assert "nothing of an answer is supervised in 2 rows" in str(refusal(model, ROWS))


def test_no_row_is_cut_so_none_loses_its_answer(model: Path) -> None:
    rows = [*ROWS, row("ߊ" * 300, "ߎ", 5)]
    counts = prepare(model, rows, length=64)
    assert (counts["train"]["rows"], counts["train"]["dropped_too_long"]) == (2, 1)
    kept = token_rows.load(model.parent / "tokens" / "train.npz")
    assert (kept.supervised >= 2).all()


@pytest.mark.parametrize(
    ("end", "without_end"), [("<turn|>", 0), ("<eos>", 0), ("", 2)], ids=["turn", "eos", "none"]
)
def test_turns_without_an_end_are_counted(model: Path, end: str, without_end: int) -> None:
    write_template(model, TURN.replace("{% endfor %}", f"{end}{{% endfor %}}"))
    counts = prepare(model, ROWS)
    assert counts["train"]["without_end"] == counts["valid"]["without_end"] == without_end
    warning = supervision.no_end_warning(counts)
    if without_end:
        assert warning is not None
        assert warning.startswith("no end is learnt in 2 of 2 train rows and 2 of 2 valid rows:")
    else:
        assert warning is None


@pytest.mark.parametrize("name", ["config.json", "generation_config.json"])
def test_an_end_is_any_token_at_which_the_model_stops(model: Path, name: str) -> None:
    write_template(model, TURN.replace("{% endfor %}", "<pad>{% endfor %}"))
    assert prepare(model, ROWS)["train"]["without_end"] == 2
    path = model / name
    settings = files.read_json(path) if path.exists() else {}
    files.write_json(path, {**settings, "eos_token_id": standin_tokenizer.PAD})
    assert prepare(model, ROWS)["train"]["without_end"] == 0
