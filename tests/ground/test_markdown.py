import pytest

from thunder.ground import markdown


@pytest.mark.parametrize(
    ("cell", "shown"),
    [("0.01", "0.01"), ("a|b", r"a\|b"), ("a:\n  b\r\nc", "a:   b c"), ("ߒߞߏ", "ߒߞߏ"), ("", "")],
)
def test_a_cell_is_one_cell_whatever_it_says(cell: str, shown: str) -> None:
    assert markdown.row([cell, "---:"]) == f"| {shown} | ---: |"
