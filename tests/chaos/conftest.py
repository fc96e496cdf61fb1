"""How much chaos there is, and how much there was."""

from collections import Counter

import pytest
from chaos import Chaos

_TALLY = pytest.StashKey[Counter[str]]()


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
