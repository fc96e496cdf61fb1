"""How far a run is: what cannot be read is no proof, and nobody waits for it."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import running

from thunder.commands import tasks, views
from thunder.ground import files, run_files
from thunder.ground.errors import ThunderError
from thunder.runs import reading
from thunder.runs.run import Run

DEEP = "[" * 100_000 + "]" * 100_000
BROKEN = ["garbage", "", "[]", "{}", '"x"', '{"a":1e999}', DEEP, "\ud800"]


@pytest.fixture
def done(tmp_path: Path) -> Run:
    """Return a dry run that is done."""
    assert running.here("+profile=dry", f"outputs={tmp_path}") == 0
    return running.only_run(tmp_path)


def bars(run: Run, path: Path) -> bool:
    """Say whether a run is unreadable for its file, to every command that asks."""
    standing = reading.of(run, None)
    assert standing.has_result == standing.is_reached == (standing.status != "unreadable")
    assert views.verified(run)["result"] == ("PASS" if standing.has_result else "FAIL")
    return standing.fault is not None and standing.fault.startswith(f"{path}: ")


@pytest.mark.parametrize("content", BROKEN, ids=range(len(BROKEN)))
def test_a_manifest_that_cannot_be_read_is_no_proof(done: Run, content: str) -> None:
    path = done.folder / run_files.MANIFEST
    path.write_bytes(content.encode(errors="surrogatepass"))
    assert bars(done, path)
    assert running.here("+profile=dry", f"outputs={done.folder.parent.parent}") == 1
    assert path.read_bytes() == content.encode(errors="surrogatepass")


def test_a_manifest_of_another_run_is_no_proof(done: Run) -> None:
    path = done.folder / run_files.MANIFEST
    files.write_json(path, {**files.read_json(path), "id": "0" * 12})
    assert bars(done, path)


@pytest.mark.parametrize("content", BROKEN, ids=range(len(BROKEN)))
def test_nor_is_that_of_a_run_that_is_paused_at_a_verified_step(done: Run, content: str) -> None:
    record = files.read_json(done.folder / run_files.RECORD)
    paused = {**record, "status": "paused", "step": 2, "total": 4}
    files.write_json(done.folder / run_files.RECORD, paused)
    assert reading.of(done, 2).has_result
    path = done.folder / run_files.MANIFEST
    path.write_bytes(content.encode(errors="surrogatepass"))
    assert reading.of(done, 4).status == "unreadable"
    assert not reading.of(done, 2).has_result


# Files that are none -----------------------------------------------------------------------------


def pipe(path: Path) -> None:
    """Put a pipe there that nobody will ever write to."""
    os.mkfifo(path)


def device(path: Path) -> None:
    """Put a link there to what never ends."""
    path.symlink_to("/dev/zero")


def huge(path: Path) -> None:
    """Put more there than is read whole, of which the disk has nothing."""
    with path.open("wb") as stream:
        stream.truncate(files.LARGEST_BYTES + 1)


@pytest.mark.parametrize("put", [pipe, device, huge])
@pytest.mark.parametrize("name", [run_files.RECORD, run_files.CONFIG, run_files.MANIFEST])
def test_what_is_no_regular_file_is_refused_and_not_waited_for(
    done: Run,
    name: str,
    put: Callable[[Path], None],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert running.here("+profile=dry", "seed=7", f"outputs={tmp_path}") == 0
    path = done.folder / name
    path.unlink()
    put(path)
    assert views.verified(done)["result"] == "FAIL"
    capsys.readouterr()
    assert tasks.main(["status", "--json", "--outputs", str(tmp_path)]) == 0
    by_name = {row["run"]: row["status"] for row in json.loads(capsys.readouterr().out)}
    assert by_name.pop(done.folder.name) == "unreadable"
    assert [*by_name.values()] == ["done"]
    assert running.here("+profile=dry", f"outputs={tmp_path}") == 1
    assert f"{path}: cannot be read: " in capsys.readouterr().out


@pytest.mark.parametrize("put", [pipe, device])
def test_rows_that_are_no_regular_file_are_refused(done: Run, put: Callable[[Path], None]) -> None:
    put(done.folder / run_files.ROWS)
    with pytest.raises(ThunderError, match="cannot be read: no regular file"):
        done.rows()
