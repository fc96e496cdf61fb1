"""What the agent says of processes: who owns a lock, and who merely asks."""

import fcntl
from pathlib import Path

import pytest

from thunder.hosts.far import processes


@pytest.mark.parametrize(("kind", "is_owned"), [(fcntl.LOCK_SH, False), (fcntl.LOCK_EX, True)])
def test_who_owns_a_lock_is_seen_and_who_asks_is_not(
    tmp_path: Path, kind: int, is_owned: bool
) -> None:
    path = tmp_path / "lock"
    assert not processes.is_locked(str(path))
    with path.open("w") as held:
        fcntl.flock(held, kind)
        assert processes.is_locked(str(path)) is is_owned
    assert not processes.is_locked(str(path))
