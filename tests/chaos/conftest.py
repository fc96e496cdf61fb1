"""How much chaos there is, and how much there was."""

from collections import Counter
from pathlib import Path

import pytest
from chaos import Chaos

_TALLY = pytest.StashKey[Counter[str]]()
_LONG = ("test_kills_in_trainings.py",)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave out what only a long run has time for."""
    is_left_out = collection_path.name in _LONG and config.getoption("--chaos") != "long"
    return is_left_out or None  # None: others may say


@pytest.fixture
def chaos(pytestconfig: pytest.Config) -> Chaos:
    """The worst that is done: a little of everything, or with `--chaos=long` much more."""
    tally = pytestconfig.stash.setdefault(_TALLY, Counter())
    return Chaos(pytestconfig.getoption("--chaos") == "long", tally)


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Say what was done, for benchmarks/README.md."""
    done = config.stash.get(_TALLY, Counter())
    if done:
        said = ", ".join(f"{count:,} {what}" for what, count in sorted(done.items()))
        terminalreporter.write_line(f"chaos: {said}")
