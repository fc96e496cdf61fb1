"""JSON Lines that people bring: other forms of JSON are one message, a byte order mark is none."""

import json
from pathlib import Path

import pytest

from thunder.ground import files, json_lines

ROWS = [{"a": number, "text": "ߒߞߏ"} for number in range(482)]


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("mark", [b"", json_lines.MARK])
def test_one_json_list_is_one_fault(indent: int | None, mark: bytes) -> None:
    rows, faults = json_lines.rows(mark + json.dumps(ROWS, indent=indent).encode())
    assert rows == {}
    message = "this is one JSON list; JSON Lines is needed, one object on each line"
    assert faults == {1: message}


def test_one_json_object_over_several_lines_is_one_fault() -> None:
    rows, faults = json_lines.rows(json.dumps({"rows": ROWS}, indent=2).encode())
    assert (rows, list(faults)) == ({}, [1])
    assert "one JSON object over several lines" in faults[1]


def test_a_list_further_down_is_a_fault_of_its_line() -> None:
    rows, faults = json_lines.rows(b'{"a": 1}\n[1]\n{"a": 2}\n')
    assert (list(rows), list(faults)) == ([1, 3], [2])


def test_a_byte_order_mark_is_read_over() -> None:
    data = json_lines.MARK + files.render_jsonl(ROWS).encode()
    assert list(json_lines.rows(data)[0].values()) == ROWS


def test_json_with_a_mark_is_read(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(json_lines.MARK + b'{"a": 1}')
    assert files.read_json(path) == {"a": 1}


def test_json_that_is_nested_too_deep_is_no_json() -> None:
    with pytest.raises(ValueError, match="nested too deep"):
        files.parse_json("[" * 100_000)
