"""A program that is run on a host is heard within its time, or refused in one form."""

import sys
from collections.abc import Iterator

import pytest
from lab import Lab

from thunder.hosts import connection, host, programs
from thunder.hosts.connection import Connection


@pytest.fixture(scope="module")
def mac4(lab: Lab) -> Iterator[Connection]:
    with connection.opened(host.of_site(lab.site())["mac4"]) as opened:
        yield opened


def test_what_a_program_prints_is_its_answer(mac4: Connection) -> None:
    words = ["env", "WORD=x", sys.executable, "-c"]
    script = "import json, os, sys; print(json.dumps([os.environ['WORD'], sys.stdin.read()]))"
    assert programs.answer(mac4, [*words, script], 30, "told") == ["x", "told"]
    assert programs.output(mac4, [*words, "print('a\\nb')"], 30) == "a\nb\n"


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ([sys.executable, "-c", "import sys; sys.exit('a\\nthe last')"], "the last"),
        ([sys.executable, "-c", "import sys; sys.exit(3)"], "it ended with 3 and said nothing"),
        ([sys.executable, "-c", "print('{')"], "its answer is not JSON: {"),
        ([sys.executable, "-c", "pass"], "its answer is not JSON: it said nothing"),
        (["sleep", "60"], "sleep: not ended after 2 s; killed"),
        (["/nowhere/python"], "/nowhere/python: No such file or directory"),
    ],
)
def test_a_refusal_names_the_host_the_command_and_the_last_line(
    mac4: Connection, words: list[str], reason: str
) -> None:
    with pytest.raises(programs.Failed) as refused:
        programs.answer(mac4, ["env", *words] if "-c" in words else words, 2)
    assert refused.value.reason == reason
    shown = sys.executable if "-c" in words else " ".join(words)
    assert str(refused.value) == f"host mac4: {shown}: {reason}"
    assert refused.value.cause == "environment"
