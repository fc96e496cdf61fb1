"""What lies where of a run: by host, with digests, as it was last seen."""

from pathlib import Path

from thunder.ground import files
from thunder.runs import manifest, mirror

ID = "0" * 12


def test_what_hosts_have_is_told_file_by_file_beside_what_lies_here(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one")
    assert mirror.table(tmp_path) == []
    manifest.write(tmp_path, ID, leave_out=manifest.NOT_LISTED)
    one = manifest.artifact(tmp_path, "a.txt")
    mirror.note(tmp_path, "mac4", "/far", [one, {**one, "path": "old.txt", "sha256": "1" * 64}])
    written = (tmp_path / "mirror.json").read_bytes()
    mirror.note(tmp_path, "mac4", "/far", mirror.read(tmp_path)["mac4"]["artifacts"])
    assert (tmp_path / "mirror.json").read_bytes() == written  # known, and not written anew
    *_, first, second = mirror.table(tmp_path)
    assert first == f"| a.txt | {one['sha256']} | {one['sha256']} |"
    assert second == f"| old.txt | – | {'1' * 64} |"
    assert manifest.faults(tmp_path, ID, leave_out=manifest.NOT_LISTED) == []
    mirror.forget(tmp_path, "mac4")
    assert files.read_json(tmp_path / "mirror.json") == {"hosts": {}}


def test_what_a_run_reads_on_hosts_is_told_apart_from_its_files_and_stays(tmp_path: Path) -> None:
    data = {"input": "data", "path": "/far/rows", "sha256": "1" * 64, "commit": None}
    model = {"input": "model", "path": "/far/hub", "sha256": "2" * 64, "commit": "c0ffee"}
    mirror.note_inputs(tmp_path, "mac5", [data, model])
    assert mirror.read(tmp_path) == {}
    told = [f"- mac5: data, /far/rows, sha256 {'1' * 64}", "- mac5: model, /far/hub, commit c0ffee"]
    assert mirror.table(tmp_path) == ["", "## Where it lies", "", *told]
    (tmp_path / "a.txt").write_text("one")
    one = manifest.artifact(tmp_path, "a.txt")
    mirror.note(tmp_path, "mac5", "/far", [one])
    written = (tmp_path / "mirror.json").read_bytes()
    mirror.note_inputs(tmp_path, "mac5", [data, model])
    assert (tmp_path / "mirror.json").read_bytes() == written
    assert mirror.table(tmp_path)[4:6] == told
    assert mirror.table(tmp_path)[-1] == f"| a.txt | – | {one['sha256']} |"
    mirror.forget(tmp_path, "mac5")
    assert (mirror.read(tmp_path), mirror.inputs(tmp_path)) == ({}, {"mac5": [data, model]})
