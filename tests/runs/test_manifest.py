"""The manifest: every artifact with its size and digest."""

from pathlib import Path

import pytest

from thunder.ground import files, run_files
from thunder.ground.errors import ThunderError
from thunder.runs import manifest

ID = "0123456789ab"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with two artifacts and their manifest."""
    (tmp_path / "metrics.json").write_text('{"value": 1.0}\n')
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "ߒߞߏ.bin").write_bytes(b"\0\1")
    manifest.write(tmp_path, ID, leave_out=("run.json",))
    return tmp_path


def faults(folder: Path) -> list[str]:
    """Return what the manifest finds."""
    return manifest.faults(folder, ID, leave_out=("run.json",))


def test_an_untouched_folder_has_no_faults(folder: Path) -> None:
    assert faults(folder) == []


def test_it_lists_path_size_and_digest_in_order(folder: Path) -> None:
    listed = files.read_json(folder / run_files.MANIFEST)
    assert [row["path"] for row in listed["artifacts"]] == ["deep/ߒߞߏ.bin", "metrics.json"]
    assert [row["bytes"] for row in listed["artifacts"]] == [2, 15]


def test_a_changed_byte_is_found(folder: Path) -> None:
    (folder / "deep" / "ߒߞߏ.bin").write_bytes(b"\0\2")
    assert faults(folder) == ["deep/ߒߞߏ.bin: its bytes are not those of the manifest "
                              "(sha256 differs)"]  # fmt: skip


def test_a_changed_size_is_found(folder: Path) -> None:
    (folder / "deep" / "ߒߞߏ.bin").write_bytes(b"\0")
    assert faults(folder) == ["deep/ߒߞߏ.bin: 1 bytes, the manifest has 2"]


def test_a_missing_artifact_is_found(folder: Path) -> None:
    (folder / "metrics.json").unlink()
    assert faults(folder) == ["metrics.json: missing"]


def test_an_extra_artifact_is_found(folder: Path) -> None:
    (folder / "deep" / "more").touch()
    assert faults(folder) == ["deep/more: not in the manifest"]


def test_hidden_files_and_the_record_are_no_artifacts(folder: Path) -> None:
    (folder / ".lock").touch()
    (folder / "run.json").touch()
    assert faults(folder) == []


def test_all_faults_are_told_at_once(folder: Path) -> None:
    (folder / "metrics.json").unlink()
    (folder / "more").touch()
    assert len(faults(folder)) == 2


@pytest.mark.parametrize("text", ["", "{", "[]", '{"id": "x"}'])
def test_a_broken_manifest_is_a_fault_and_not_a_crash(folder: Path, text: str) -> None:
    (folder / run_files.MANIFEST).write_text(text)
    assert len(faults(folder)) == 1


def test_a_manifest_of_another_run_is_a_fault(folder: Path) -> None:
    assert manifest.faults(folder, "ba9876543210", leave_out=()) == [
        f"{folder / run_files.MANIFEST}: it is of run {ID}"
    ]


def test_numbers_that_the_manifest_does_not_list_are_a_fault(folder: Path) -> None:
    (folder / "metrics.jsonl").write_text("{}\n")
    assert manifest.faults_of(folder, ID, ("metrics.json", "metrics.jsonl")) == [
        "metrics.jsonl: not in the manifest"
    ]


def test_rows_may_be_added_but_not_changed(tmp_path: Path) -> None:
    rows = tmp_path / "metrics.jsonl"
    rows.write_text('{"step": 1}\n')
    manifest.write(tmp_path, ID, leave_out=())
    rows.write_text('{"step": 1}\n{"step": 2}\n')
    assert manifest.faults_of(tmp_path, ID, ("metrics.jsonl",)) == []
    rows.write_text('{"step": 9}\n{"step": 2}\n')
    assert len(manifest.faults_of(tmp_path, ID, ("metrics.jsonl",))) == 1


def test_kept_entries_stay_as_they_were(folder: Path) -> None:
    (folder / "metrics.json").write_text("tampered")
    (folder / "run.log").write_text("more")
    manifest.write(folder, ID, leave_out=("run.json",), keep=("metrics.json",))
    assert faults(folder) == ["metrics.json: 8 bytes, the manifest has 15"]


def test_a_broken_manifest_is_not_replaced_by_one_that_keeps_what_it_cannot_know(
    folder: Path,
) -> None:
    (folder / "metrics.json").write_text("tampered")
    (folder / run_files.MANIFEST).write_text("{")
    with pytest.raises(ThunderError, match=r"manifest\.json: cannot be read"):
        manifest.write(folder, ID, leave_out=("run.json",), keep=("metrics.json",))
    assert (folder / run_files.MANIFEST).read_text() == "{"
