"""Whose a run is that lives on a host: until when, and what a record says of it."""

import time
from dataclasses import replace
from pathlib import Path

import pytest

from thunder.ground.errors import ThunderError
from thunder.runs import claim as claims
from thunder.runs.claim import Claim

CLAIM = Claim("a-b", {"name": "mac4"}, "boot", "/far", 2, 17, time.time() + 6000)


def test_a_claim_is_found_as_it_was_written_until_it_is_dropped(tmp_path: Path) -> None:
    assert claims.read(tmp_path) is None
    claims.write(tmp_path, CLAIM)
    assert claims.read(tmp_path) == CLAIM
    claims.drop(tmp_path)
    claims.drop(tmp_path)
    assert claims.read(tmp_path) is None


def test_a_claim_is_of_the_attempt_that_runs_alone(tmp_path: Path) -> None:
    claims.write(tmp_path, CLAIM)
    two = {"status": "running", "attempts": [{}, {}]}
    assert claims.of_record(tmp_path, two) == CLAIM
    assert claims.of_record(tmp_path, {**two, "status": "failed"}) is None
    assert claims.of_record(tmp_path, {**two, "attempts": [{}]}) is None


def test_a_claim_is_void_after_its_deadline() -> None:
    assert not CLAIM.is_void
    assert replace(CLAIM, deadline=time.time() - 1).is_void


@pytest.mark.parametrize("content", ["{", "[]", '{"owner": "a"}'])
def test_a_claim_that_cannot_be_read_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / ".away.json").write_text(content)
    with pytest.raises(ThunderError, match=r"\.away\.json: cannot be read: .*; remove it"):
        claims.read(tmp_path)
