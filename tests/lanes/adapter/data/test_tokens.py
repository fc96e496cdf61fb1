# ruff: noqa: F811  (an imported fixture and the argument it fills)
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from adapter_fixtures import Tiny, tiny  # noqa: F401
from transformers import AutoTokenizer

from thunder.ground.errors import ThunderError
from thunder.lanes.adapter.data import token_rows, tokens


def row(question: str, answer: str) -> dict[str, Any]:
    return {
        "messages": [
            {"role": "user", "content": question},
            {"role": "assistant", "content": answer},
        ]
    }


def test_begin_of_sequence_is_written_once(tiny: Tiny) -> None:
    rows = token_rows.load(tiny.tokens / "train.npz")
    tokenizer = AutoTokenizer.from_pretrained(tiny.model)
    assert all((rows.row(n) == tokenizer.bos_token_id).sum() == 1 for n in range(len(rows)))


def test_supervised_are_the_answer_and_the_end_of_the_turn(tiny: Tiny) -> None:
    rows = token_rows.load(tiny.tokens / "train.npz")
    tokenizer = AutoTokenizer.from_pretrained(tiny.model)
    for number, given in enumerate(tiny.rows["train"][:10]):
        answer = tokenizer.decode(rows.row(number)[rows.starts[number] :])
        assert answer == given["messages"][-1]["content"] + "<turn|>"


def test_only_the_last_turn_is_supervised(tiny: Tiny, tmp_path: Path) -> None:
    talk = {"messages": row("ߊ", "ߋ")["messages"] + row("ߌ", "ߍ")["messages"]}
    tokens.prepare({"train": [talk], "valid": [talk]}, tiny.model, 128, "refuse", tmp_path)
    rows = token_rows.load(tmp_path / "train.npz")
    tokenizer = AutoTokenizer.from_pretrained(tiny.model)
    assert tokenizer.decode(rows.row(0)[rows.starts[0] :]) == "ߍ<turn|>"


@pytest.mark.parametrize("own", [True, False])
def test_a_template_that_is_none_is_named_with_its_line(
    tiny: Tiny, tmp_path: Path, own: bool
) -> None:
    model = tmp_path / "model"
    shutil.copytree(tiny.model, model)
    broken, place = "{{ bos_token }}\n{% for m in messages %}\n{{ m.role }\n", "chat_template.jinja"
    (model / place).write_text(broken)
    if not own:
        (model / place).unlink()
        config = json.loads((model / "tokenizer_config.json").read_text())
        (model / "tokenizer_config.json").write_text(
            json.dumps({**config, "chat_template": broken})
        )
    rows = {"train": [row("ߊ", "ߋ")], "valid": [row("ߊ", "ߋ")]}
    with pytest.raises(ThunderError) as caught:
        tokens.prepare(rows, model, 128, "refuse", tmp_path / "tokens")
    said = f"{model / place}:3: not a template: unexpected '}}'"
    if not own:
        said = f"{model}/tokenizer_config.json: chat_template, its line 3: unexpected '}}'"
    assert str(caught.value).startswith(said)


def test_long_rows_are_dropped_and_counted(tiny: Tiny, tmp_path: Path) -> None:
    given = {"train": [row("ߊ", "ߋ"), row("ߊ" * 300, "ߋ")], "valid": [row("ߊ", "ߋ")]}
    counts = tokens.prepare(given, tiny.model, 64, "drop", tmp_path)
    assert (counts["train"]["rows"], counts["train"]["dropped_too_long"]) == (1, 1)


def test_long_rows_are_refused_by_line(tiny: Tiny, tmp_path: Path) -> None:
    given = {"train": [row("ߊ", "ߋ"), row("ߊ" * 300, "ߋ")], "valid": [row("ߊ", "ߋ")]}
    with pytest.raises(
        ThunderError, match=r"train\.jsonl: 1 of 2 rows .* line 2 \(\d+ tokens\)"
    ) as caught:
        tokens.prepare(given, tiny.model, 64, "refuse", tmp_path)
    assert caught.value.cause == "data"
    assert not (tmp_path / "train.npz").exists()


def test_no_usable_row_is_an_error(tiny: Tiny, tmp_path: Path) -> None:
    given = {"train": [row("ߊ" * 300, "ߋ")], "valid": [row("ߊ", "ߋ")]}
    with pytest.raises(ThunderError, match="none of the 1 rows fits"):
        tokens.prepare(given, tiny.model, 64, "drop", tmp_path)


def test_a_row_without_an_answer_is_refused(tiny: Tiny, tmp_path: Path) -> None:
    given = {"train": [{"messages": row("ߊ", "ߋ")["messages"][:1]}], "valid": []}
    with pytest.raises(ThunderError, match="train line 1: the last message is not the assistant's"):
        tokens.prepare(given, tiny.model, 64, "drop", tmp_path)


def test_a_folder_without_a_tokenizer_is_named(tmp_path: Path) -> None:
    with pytest.raises(ThunderError, match="no usable tokenizer") as caught:
        tokens.prepare({"train": [], "valid": []}, tmp_path, 64, "drop", tmp_path)
    assert caught.value.cause == "model"


def test_a_prompt_that_is_no_prefix_ends_where_the_row_departs() -> None:
    assert tokens._span([2, 7, 8, 9, 1], [2, 7, 5, 6], {1}) == ([2, 7, 8, 9, 1], 2)


def test_what_follows_the_end_of_the_turn_is_left_out() -> None:
    assert tokens._span([2, 7, 8, 9, 1, 4], [2, 7], {1}) == ([2, 7, 8, 9, 1], 2)
