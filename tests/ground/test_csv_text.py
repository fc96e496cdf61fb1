"""CSV that is opened in a spreadsheet calls no formula."""

import csv
import io

import pytest

from thunder.ground import csv_text


@pytest.mark.parametrize(
    "text", ["=1+1", "+cmd|' /C calc'!A0", "-a", "@SUM(A1)", "\tx", "\rx", "-"]
)
def test_a_text_that_looks_like_a_formula_is_made_harmless(text: str) -> None:
    rendered = csv_text.render([["name", text]])
    rows = list(csv.reader(io.StringIO(rendered, newline="")))
    assert rows == [["name", "'" + text.replace("\r", "\n")]]


def test_the_line_end_of_windows_is_one_line_end() -> None:
    assert csv_text.render([["a\r\nb", "c\rd"]]) == '"a\nb","c\nd"\n'


@pytest.mark.parametrize(
    "value", [-0.5, 1, 1e-7, -3, "-0.5", "+1e5", "1=2", "a-b", "–", "", "ߒߞߏ", True]
)
def test_a_number_stays_a_number_and_a_text_a_text(value: object) -> None:
    assert csv_text.render([[value, 1]]) == f"{value},1\n"
