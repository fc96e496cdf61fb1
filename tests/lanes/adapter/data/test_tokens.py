# ruff: noqa: F811  (an imported fixture and the argument it fills)
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from adapter_fixtures import Tiny, tiny  # noqa: F401
from transformers import AutoTokenizer

from thunder.ground.errors import ThunderError
from thunder.lanes.adapter.data import template, token_rows, tokens


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


def _with_template(tiny: Tiny, tmp_path: Path, source: str, *, own: bool) -> Path:
    """Return a copy of the model with another template, in a file of its own or in the config."""
    model = tmp_path / "model"
    shutil.copytree(tiny.model, model)
    if own:
        (model / "chat_template.jinja").write_text(source)
        return model
    (model / "chat_template.jinja").unlink()
    config = json.loads((model / "tokenizer_config.json").read_text())
    (model / "tokenizer_config.json").write_text(json.dumps({**config, "chat_template": source}))
    return model


@pytest.mark.parametrize("own", [True, False])
def test_a_template_that_is_none_is_named_with_its_line(
    tiny: Tiny, tmp_path: Path, own: bool
) -> None:
    broken = "{{ bos_token }}\n{% for m in messages %}\n{{ m.role }\n"
    model = _with_template(tiny, tmp_path, broken, own=own)
    rows = {"train": [row("ߊ", "ߋ")], "valid": [row("ߊ", "ߋ")]}
    with pytest.raises(ThunderError) as caught:
        tokens.prepare(rows, model, 128, "refuse", tmp_path / "tokens")
    place = f"{model}/chat_template.jinja:3"
    if not own:
        place = f"{model}/tokenizer_config.json: chat_template, its line 3"
    assert str(caught.value).startswith(f"{place}: not a template: unexpected '}}'")


@pytest.mark.parametrize(
    ("statement", "why"),
    [
        ("raise_exception('no tools')", "TemplateError: no tools"),
        ("m.content + 1", 'TypeError: can only concatenate str (not "int") to str'),
        ("m.tool.name", "UndefinedError: 'dict object' has no attribute 'tool'"),
    ],
)
@pytest.mark.parametrize("own", [True, False])
def test_a_template_that_fails_is_named_with_its_line_and_the_row(
    tiny: Tiny, tmp_path: Path, statement: str, why: str, own: bool
) -> None:
    condition = "{% if m.content == 'odd' %}{{ " + statement + " }}{% endif %}"
    source = "{% for m in messages %}\n{{ m.content }}\n" + condition + "\n{% endfor %}"
    model = _with_template(tiny, tmp_path, source, own=own)
    rows = [{**row("ߊ", "ߋ"), "line": 4}, {**row("ߊ", "odd"), "line": 7}]
    place = f"{model}/chat_template.jinja:3"
    if not own:
        place = f"{model}/tokenizer_config.json: chat_template, its line 3"
    with pytest.raises(ThunderError) as caught:
        tokens.prepare({"train": rows, "valid": rows}, model, 128, "refuse", tmp_path)
    assert str(caught.value) == f"{place}: the chat template refuses train.jsonl:7: {why}"
    assert caught.value.cause == "model"


@pytest.mark.parametrize("own", [True, False])
def test_a_template_that_begins_with_a_byte_order_mark_is_refused(
    tiny: Tiny, tmp_path: Path, own: bool
) -> None:
    source = (tiny.model / "chat_template.jinja").read_text()
    model = _with_template(tiny, tmp_path, "\ufeff" + source, own=own)
    with pytest.raises(ThunderError, match="begins with a byte order mark") as caught:
        tokens.prepare({"train": [], "valid": []}, model, 128, "refuse", tmp_path)
    name = "chat_template.jinja" if own else "tokenizer_config.json: chat_template"
    assert str(caught.value).startswith(f"{model}/{name}: ")
    assert caught.value.cause == "model"


@pytest.mark.parametrize(
    "loop",
    [
        "{% for a in range(100000000) %}{% endfor %}",
        "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
    ],
)
def test_a_template_without_end_is_a_fault_of_the_model(
    tiny: Tiny, tmp_path: Path, loop: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(template, "ROW_SECONDS", 0.2)
    model = _with_template(tiny, tmp_path, f"{{{{ bos_token }}}}\n{loop}", own=True)
    rows = {"train": [row("ߊ", "ߋ")], "valid": [row("ߊ", "ߋ")]}
    with pytest.raises(ThunderError) as caught:
        tokens.prepare(rows, model, 128, "refuse", tmp_path / "tokens")
    named = f"{model}/chat_template.jinja:2: the chat template refuses train.jsonl:1: "
    assert str(caught.value).startswith(named)
    assert caught.value.cause == "model"


def _half(whole: bytes) -> bytes:
    return whole[: len(whole) // 2]


@pytest.mark.parametrize(
    ("name", "broken", "why"),
    [
        ("tokenizer.json", _half, "Expecting"),
        ("tokenizer.json", lambda _: b"", "Expecting value: line 1 column 1"),
        ("tokenizer.json", lambda _: b"[]", "a JSON object is needed"),
        ("tokenizer.json", lambda _: b"{}", "Model missing"),
        ("tokenizer.json", lambda whole: whole.replace(b'"BPE"', b'"EPB"'), "data did not match"),
        ("tokenizer.json", lambda whole: b"\xff" + whole, "'utf-8' codec can't decode byte 0xff"),
        ("tokenizer_config.json", _half, ""),
        ("special_tokens_map.json", lambda _: b"[" * 99_999, "nested too deep"),
        ("chat_template.jinja", lambda whole: whole + b"\xff", "not UTF-8: 'utf-8' codec"),
    ],
)
def test_a_broken_file_of_a_tokenizer_is_named(
    tiny: Tiny, tmp_path: Path, name: str, broken: Callable[[bytes], bytes], why: str
) -> None:
    model = tmp_path / "model"
    shutil.copytree(tiny.model, model)
    whole = (model / name).read_bytes() if (model / name).is_file() else b""
    (model / name).write_bytes(broken(whole))
    with pytest.raises(ThunderError) as caught:
        tokens.prepare({"train": [], "valid": []}, model, 128, "refuse", tmp_path)
    assert str(caught.value).startswith(f"{model / name}: ")
    assert why in str(caught.value)
    assert caught.value.cause == "model"


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
