"""What comes home gets its place whole, and nothing that an earlier pull left comes with it."""

from collections.abc import Callable
from pathlib import Path

import pytest
from lab import Lab

from thunder.executors import home
from thunder.ground import digest, files
from thunder.ground.errors import Faults, ThunderError
from thunder.hosts import connection, host
from thunder.runs import listing, manifest, mirror

ID = "0" * 12


@pytest.fixture
def far(lab: Lab, tmp_path: Path) -> Path:
    folder = tmp_path / "far" / ID
    files.write_text(folder / "checkpoints/step-1/weights", "one")
    files.write_text(folder / "rows.jsonl", "{}\n")
    listing.write(folder, ID, {})
    return folder


def bring(lab: Lab, far: Path, here: Path) -> list[str]:
    with connection.opened(host.of_site(lab.site())["mac4"]) as way:
        return home.bring(way, str(far), str(far / ".away/a"), here, {})


def test_what_the_manifest_lists_comes_home_and_nothing_else(
    lab: Lab, far: Path, tmp_path: Path
) -> None:
    here = tmp_path / "here"
    beside = here.parent / ".incoming-here"
    files.write_text(beside / "checkpoints/step-0/weights", "of an earlier pull")
    files.write_text(beside / "checkpoints/.part/weights", "half")
    with (far / "rows.jsonl").open("a") as stream:
        stream.write('{"added": "since"}\n')
    assert bring(lab, far, here) == ["checkpoints/step-1/weights", "rows.jsonl"]
    assert digest.visible_files(here) == ["checkpoints/step-1/weights", "mirror.json", "rows.jsonl"]
    assert (here / "rows.jsonl").read_text() == "{}\n"
    assert not beside.exists()
    assert bring(lab, far, here) == []


def test_what_was_removed_there_goes_here_and_what_is_ours_stays(
    lab: Lab, far: Path, tmp_path: Path
) -> None:
    here = tmp_path / "here"
    bring(lab, far, here)
    files.write_text(here / "metrics.json", "{}\n")
    (far / "checkpoints/step-1").rename(far / "checkpoints/step-2")
    listing.write(far, ID, {})
    assert bring(lab, far, here) == ["checkpoints/step-2/weights"]
    names = ["checkpoints/step-2/weights", "metrics.json", "mirror.json", "rows.jsonl"]
    assert digest.visible_files(here) == names
    assert not (here / "checkpoints/step-1").exists()
    listed = mirror.read(here)["mac4"]["artifacts"]
    assert listed == files.read_json(far / "manifest.json")["artifacts"]


def test_what_is_not_what_the_manifest_says_never_gets_a_name_here(
    lab: Lab, far: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(home, "_TRIES", 2)
    (far / "checkpoints/step-1/weights").write_text("two")
    with pytest.raises(Faults, match="weights: its sha256 differs"):
        bring(lab, far, tmp_path / "here")
    assert digest.visible_files(tmp_path / "here") == []


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda far: (far / "manifest.json").unlink(), "no manifest there"),
        (lambda far: listing.write(far, "1" * 12, {}), "it is of run 111111111111"),
    ],
    ids=["none", "of another run"],
)
def test_nothing_goes_here_unless_a_manifest_of_the_run_says_so(
    lab: Lab, far: Path, tmp_path: Path, spoil: Callable[[Path], object], why: str
) -> None:
    here = tmp_path / "here"
    bring(lab, far, here)
    before = digest.of_folder(here)
    (far / "rows.jsonl").unlink()
    spoil(far)
    with pytest.raises(Faults, match=why):
        bring(lab, far, here)
    assert digest.of_folder(here) == before


def test_what_a_link_leads_to_here_is_not_touched(
    lab: Lab, far: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(home, "_TRIES", 2)
    foreign = tmp_path / "foreign/rows.jsonl"
    files.write_text(foreign, "of one moment")
    (far / "linked.jsonl").symlink_to(foreign)
    listing.write(far, ID, {})
    foreign.write_text("of one moment, and longer since")
    with pytest.raises(Faults, match=r"linked\.jsonl: a link there"):
        bring(lab, far, tmp_path / "here")
    assert foreign.read_text() == "of one moment, and longer since"
    assert digest.visible_files(tmp_path / "here") == []


@pytest.mark.parametrize("path", ["../evil", "/tmp/evil", "a/../../evil", ".."])
def test_a_manifest_with_a_path_that_leads_out_of_its_folder_is_refused(
    lab: Lab, far: Path, tmp_path: Path, path: str
) -> None:
    files.write_text(far.parent / "evil", "evil")
    listed = files.read_json(far / "manifest.json")
    listed["artifacts"][0]["path"] = path
    files.write_json(far / "manifest.json", listed)
    with pytest.raises(ThunderError, match="path"):
        bring(lab, far, tmp_path / "deep/here")
    assert not (tmp_path / "deep").exists()


def test_a_listing_of_what_grows_is_of_one_moment(tmp_path: Path) -> None:
    known: listing.Digests = {}
    (tmp_path / "rows.jsonl").write_text("one\n")
    for name in ("run.json", "mirror.json"):
        (tmp_path / name).write_text("{}")
    listing.write(tmp_path, ID, known)
    assert manifest.faults(tmp_path, ID, leave_out=manifest.NOT_LISTED) == []
    (tmp_path / "rows.jsonl").write_text("one\ntwo\n")
    assert manifest.faults(tmp_path, ID, leave_out=manifest.NOT_LISTED, may_grow=True) == []
    listing.write(tmp_path, ID, known)
    assert manifest.faults(tmp_path, ID, leave_out=manifest.NOT_LISTED) == []
