"""What ended a job has one cause class and one wording, whoever meets it."""

import ast
import errno
import os
import re
from pathlib import Path

import pytest

from thunder.ground import errors
from thunder.ground.errors import Stopped, ThunderError, cause_of, message_of


@pytest.mark.parametrize(
    ("numbers", "cause"),
    [
        ("ENOSPC EDQUOT EFBIG EROFS EACCES EPERM EIO", "write"),
        ("ENOENT ENOTDIR EISDIR", "data"),
        ("ENOMEM EAGAIN EMFILE ENFILE EADDRINUSE EADDRNOTAVAIL ECONNREFUSED", "environment"),
        ("EPIPE ECONNRESET EINVAL ESRCH", "crash"),
    ],
)
def test_what_the_system_refused_has_its_cause_by_number(numbers: str, cause: str) -> None:
    for name in numbers.split():
        number = getattr(errno, name)
        assert cause_of(OSError(number, os.strerror(number), "path")) == cause, name


def test_a_refusal_without_a_number_is_a_crash() -> None:
    assert cause_of(OSError("a library's own words")) == "crash"
    assert message_of(OSError("a library's own words")) == "a library's own words"


def test_an_error_for_the_user_brings_its_cause_along() -> None:
    assert cause_of(ThunderError("no such row", "data")) == "data"
    assert cause_of(Stopped()) == "stopped"
    assert message_of(ThunderError("no such row", "data")) == "no such row"


def test_anything_else_is_a_crash_with_the_name_of_its_type() -> None:
    assert cause_of(ZeroDivisionError("once")) == "crash"
    assert message_of(ZeroDivisionError("once")) == "ZeroDivisionError: once"


def test_a_refusal_is_told_with_its_path(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="missing") as caught:
        (tmp_path / "missing").read_text()
    assert message_of(caught.value) == f"{tmp_path / 'missing'}: No such file or directory"
    assert cause_of(caught.value) == "data"


def test_a_refusal_of_a_stream_is_told_with_the_path_that_was_asked_for() -> None:
    error = OSError(errno.EIO, "Input/output error")
    assert errors.of_os_error(error) == "Input/output error"
    assert errors.of_os_error(error, Path("rows.jsonl")) == "rows.jsonl: Input/output error"


@pytest.mark.parametrize(
    ("message", "line"),
    [("one\ntwo", "one"), ("\n one\n", "one"), ("", "ValueError"), (" \n", "ValueError")],
)
def test_an_error_has_a_first_line_whatever_it_says(message: str, line: str) -> None:
    assert errors.first_line(ValueError(message)) == line


def test_the_causes_are_those_of_the_contracts() -> None:
    source = Path(errors.__file__)
    tree = ast.parse(source.read_text(encoding="utf-8"))
    literals = [n for n in ast.walk(tree) if ast.unparse(n).startswith("Literal[")]
    contracts = source.parents[2] / "docs" / "contracts.md"
    table = contracts.read_text(encoding="utf-8").partition("\n## Cause classes\n")[2]
    rows = re.findall(r"^\| `(\w+)` \|", table.partition("\n## ")[0], re.MULTILINE)
    assert list(ast.literal_eval(ast.unparse(literals[0].slice))) == rows


def test_a_copy_that_finds_no_room_names_the_place_that_has_none() -> None:
    full = OSError(errno.ENOSPC, "No space left on device", "/from", None, "/to")
    assert errors.of_os_error(full) == "/to: No space left on device"
    gone = OSError(errno.ENOENT, "No such file or directory", "/from", None, "/to")
    assert errors.of_os_error(gone) == "/from: No such file or directory"
