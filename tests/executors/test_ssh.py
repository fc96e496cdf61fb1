"""A whole run on a host: begun there, watched from here, home when it is over."""

from pathlib import Path

import pytest
import running
from far_runs import Away, quiet
from lab import Lab

from thunder.runs import claim, store

pytestmark = pytest.mark.slow


@pytest.fixture
def away(lab: Lab, tmp_path: Path) -> Away:
    return Away(lab, tmp_path, "mac4")


def test_a_run_lives_on_a_host_and_is_here_when_it_is_over(lab: Lab, away: Away) -> None:
    ended = running.thunder(*away.words("+profile=dry"))
    assert (ended.returncode, ended.stderr) == (0, "")
    run = away.run()
    record = run.record()
    assert record["status"] == "done"
    assert record["attempts"][0]["provenance"]["host"]["name"] == "mac4"
    assert store.verify(run) == []
    assert run.metrics()["value"] == 1.0
    assert (away.there(lab["mac4"]) / "manifest.json").is_file()
    assert claim.read(run.folder) is None
    assert quiet(lab["mac4"]) == []
    again = running.thunder(*away.words("+profile=dry"))
    assert (again.returncode, running.attempts(away.outputs)) == (0, 1)
