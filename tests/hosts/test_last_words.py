"""What is told of a process that has ended."""

from pathlib import Path

from thunder.hosts.last_words import exit_text, last_lines


def test_every_end_of_a_process_has_words() -> None:
    assert exit_text(3) == "ended with exit code 3"
    assert "SIGKILL" in exit_text(-9)
    assert "signal 37" in exit_text(-37)


def test_the_last_lines_of_a_log_are_its_end(tmp_path: Path) -> None:
    log = tmp_path / "run.log"
    assert last_lines(log) == []
    log.write_text("".join(f"line {number}\n" for number in range(5000)))
    assert last_lines(log) == [f"line {number}" for number in range(4980, 5000)]
