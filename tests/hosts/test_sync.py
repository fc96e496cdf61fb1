"""What a job reads is brought to a host: what it lacks, whole, and nothing there gives way."""

import os
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import host_inputs
import pytest
from lab import Lab, Machine

from thunder.ground import digest
from thunder.ground.errors import Faults, ThunderError
from thunder.hosts import connection, host, inputs, sync
from thunder.hosts.connection import Connection, Lost
from thunder.hosts.inputs import Input, Place
from thunder.jobs import inputs as bound

HUB = ".cache/huggingface/hub/models--org--tiny"
DATA = "sets/rows"


@dataclass
class Job:
    """A job here, and the host mac4 that its inputs are to be on."""

    config: dict[str, Any]
    way: Connection
    home: Path

    @property
    def data(self) -> Input:
        return inputs.of_job(self.config)[0]

    @property
    def model(self) -> Input:
        return inputs.of_job(self.config)[1]

    def place(self, item: Input) -> Place:
        return inputs.place(self.way, item, self.config["runtime"]["site"])

    def bring(self, item: Input, **more: Any) -> sync.State:
        return sync.bring(self.way, item, self.place(item), **more)

    def state(self, item: Input) -> sync.State:
        return sync.state(self.way, item, self.place(item))


@pytest.fixture
def job(lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Job]:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    host_inputs.write_data(tmp_path / "home" / DATA)
    host_inputs.write_model(tmp_path / "home" / Path(HUB).parent)
    site = lab.site(
        data={"rows": {"folder": f"~/{DATA}"}},
        models={"tiny": {"hub": host_inputs.REPOSITORY, "commit": "main"}},
    )
    home = lab["mac4"].home
    for name in (".cache", "sets", "thunder", "own"):
        shutil.rmtree(home / name, ignore_errors=True)
    with connection.opened(host.of_site(site)["mac4"]) as way:
        yield Job(host_inputs.job(site, tmp_path / "outputs"), way, home)


def names(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def hub_here() -> Path:
    return Path(os.environ["HOME"]) / HUB


def test_a_data_set_is_brought_once_and_no_more_of_its_folder_than_is_read(job: Job) -> None:
    (Path(os.environ["HOME"]) / DATA / "notes.txt").write_text("not read")
    assert job.bring(job.data).bytes > 0
    assert names(job.home / DATA) == ["manifest.json", "test.jsonl", "train.jsonl", "valid.jsonl"]
    again = job.bring(job.data)
    assert again.is_whole
    assert names(job.home / "sets") == [
        "rows",
        *(f"rows/{name}" for name in names(job.home / DATA)),
    ]


def test_what_is_brought_is_what_names_an_input(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    for name in ("config.json", "model.safetensors", "README.md", ".hidden"):
        (folder / name).write_text(name)
    named = bound.folder_digest(folder, tmp_path / "cache", None)
    item = Input("model", "tiny", {"digest": named}, folder, None, None)
    assert [*item.files()] == ["config.json", "model.safetensors"]
    assert item.digest == digest.of_folder(folder, item.files())


def test_a_cache_of_the_hub_keeps_its_layout(job: Job) -> None:
    assert not job.state(job.model).is_whole
    job.bring(job.model)
    assert names(job.home / HUB) == names(hub_here())
    snapshot = job.home / HUB / "snapshots" / host_inputs.COMMIT
    here = hub_here() / "snapshots" / host_inputs.COMMIT
    for path in here.iterdir():
        assert os.readlink(snapshot / path.name) == os.readlink(path)
        assert (snapshot / path.name).read_bytes() == path.read_bytes()
    assert job.state(job.model).is_whole


def test_a_partial_cache_gets_what_it_lacks_and_keeps_what_it_has(job: Job) -> None:
    root = job.home / HUB
    shutil.copytree(hub_here(), root, symlinks=True)
    weights = host_inputs.weights_of(root / "snapshots" / host_inputs.COMMIT)
    weights.rename(weights.with_name(f"{weights.name}.1234abcd.incomplete"))
    (root / "snapshots" / host_inputs.COMMIT / "model.safetensors").unlink()
    stamps = {path: path.stat().st_mtime_ns for path in (root / "blobs").iterdir()}
    before = job.bring(job.model)
    assert sorted(before.lacking) == [
        f"blobs/{weights.name}", f"snapshots/{host_inputs.COMMIT}/model.safetensors",
    ]  # fmt: skip
    assert before.bytes == weights.stat().st_size
    (note,) = before.notes
    assert ".incomplete: left of a download that stopped, 1.0 MB; it stays" in note
    assert {path: path.stat().st_mtime_ns for path in stamps} == stamps
    assert job.state(job.model).is_whole


def test_half_a_data_set_gets_the_other_half(job: Job) -> None:
    shutil.copytree(Path(os.environ["HOME"]) / DATA, job.home / DATA)
    (job.home / DATA / "valid.jsonl").unlink()
    assert job.bring(job.data).lacking == ["valid.jsonl"]
    assert job.state(job.data).is_whole


def test_a_file_that_is_another_one_is_named_and_stays(job: Job) -> None:
    shutil.copytree(Path(os.environ["HOME"]) / DATA, job.home / DATA)
    (job.home / DATA / "valid.jsonl").write_text("mine\n")
    (job.home / DATA / "test.jsonl").unlink()
    with pytest.raises(Faults, match=r"(?s)nothing is overwritten.*valid.jsonl.*ssh mac4 ") as told:
        job.bring(job.data)
    assert told.value.cause == "data"
    assert (job.home / DATA / "valid.jsonl").read_text() == "mine\n"
    assert not (job.home / DATA / "test.jsonl").exists()
    subprocess.run(told.value.faults[-1].partition("away: ")[2], shell=True, check=True)
    assert (job.home / DATA / "valid.jsonl.old").read_text() == "mine\n"
    job.bring(job.data)
    assert job.state(job.data).is_whole


@pytest.mark.parametrize("fault", ["truncated", "flipped"])
def test_weights_that_are_broken_there_are_named_and_stay(job: Job, fault: str) -> None:
    job.bring(job.model)
    blob = host_inputs.weights_of(job.home / HUB / "snapshots" / host_inputs.COMMIT)
    data = blob.read_bytes()
    broken = data[:1000] if fault == "truncated" else data[:-1] + bytes([data[-1] ^ 1])
    blob.write_bytes(broken)
    with pytest.raises(Faults, match=f"blobs/{blob.name}") as told:
        job.bring(job.model)
    assert told.value.cause == "model"
    assert blob.read_bytes() == broken


def test_a_link_to_nothing_leads_to_what_it_should_again(job: Job) -> None:
    job.bring(job.model)
    blob = host_inputs.weights_of(job.home / HUB / "snapshots" / host_inputs.COMMIT)
    blob.unlink()
    assert job.bring(job.model).lacking == [f"blobs/{blob.name}"]
    assert job.state(job.model).is_whole


def test_a_branch_that_stands_for_another_commit_there_stays(job: Job) -> None:
    reference = job.home / HUB / "refs/main"
    reference.parent.mkdir(parents=True)
    reference.write_text("d" * 40)
    before = job.bring(job.model)
    assert before.notes == ["refs/main: another one is there, and stays"]
    assert reference.read_text() == "d" * 40
    assert job.state(job.model).is_whole


def test_a_blob_whose_bytes_are_not_those_of_its_name_is_brought_nowhere(job: Job) -> None:
    blob = host_inputs.weights_of(hub_here() / "snapshots" / host_inputs.COMMIT)
    data = blob.read_bytes()
    blob.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(Faults, match="nothing was put there"):
        job.bring(job.model)
    assert not (job.home / HUB).exists()
    assert names((job.home / HUB).parent) == []


def test_what_is_not_whole_here_is_not_brought(job: Job) -> None:
    (Path(os.environ["HOME"]) / DATA / "test.jsonl").unlink()
    with pytest.raises(Faults, match=r"(?s)not whole on this machine.*test.jsonl: missing"):
        job.bring(job.data)


def test_a_hub_model_has_a_plain_folder_where_the_host_says_so(job: Job) -> None:
    site = job.config["runtime"]["site"]
    site["hosts"]["mac4"] = {"models": {"tiny": "~/own/model"}}
    with connection.opened(host.of_site(site)["mac4"]) as way:
        item = job.model
        place = inputs.place(way, item, site)
        assert place == Place("~/own/model")
        sync.bring(way, item, place)
        assert sync.state(way, item, place).is_whole
    own, here = job.home / "own/model", hub_here() / "snapshots" / host_inputs.COMMIT
    assert names(own) == names(here)
    assert all((own / name).read_bytes() == (here / name).read_bytes() for name in names(own))
    assert not any((own / name).is_symlink() for name in names(own))


def test_what_no_site_binds_lies_in_thunders_own_folder_there(job: Job, tmp_path: Path) -> None:
    site = job.config["runtime"]["site"]
    other = host_inputs.write_data(tmp_path / "other", rows=9)
    unbound = {**site, "data": {"rows": {"folder": str(other)}}}
    item = inputs.of_job(host_inputs.job(unbound, tmp_path / "outputs"))[0]
    place = inputs.place(job.way, item, site)  # the site's own is another folder
    assert place == Place(f"~/thunder/inputs/{item.source['digest'][:12]}", is_ours=True)
    sync.bring(job.way, item, place)
    assert len(names(job.home / place.path[2:])) == 4


def test_a_place_that_no_file_can_be_brought_to_is_named(job: Job, tmp_path: Path) -> None:
    site = job.config["runtime"]["site"]
    site["hosts"]["mac4"] |= {"data": {"rows": "/Volumes/My Disk/rows"}}
    with (
        connection.opened(host.of_site(site)["mac4"]) as way,
        pytest.raises(ThunderError, match=r"'/Volumes/My Disk/rows'.*hosts\.mac4\.data\.rows"),
    ):
        inputs.place(way, job.data, site)


def test_a_sync_that_is_cut_goes_on_from_where_it_was(lab: Lab, job: Job, tmp_path: Path) -> None:
    shutil.rmtree(hub_here())
    host_inputs.write_model(hub_here().parent, weight_bytes=8 << 20)
    seen: list[tuple[int, int]] = []
    killer = threading.Timer(2.0, lab["mac4"].run, ["pkill", "rsync"])
    with lab["mac4"].slow(megabits=16):
        killer.start()
        with pytest.raises(Lost, match="host mac4"):
            job.bring(job.model, show=lambda done, of: seen.append((done, of)))
        killer.join()
    assert not (job.home / HUB).exists()
    beside = (job.home / HUB).parent / f".incoming-{Path(HUB).name}"
    kept = sum(path.stat().st_size for path in beside.rglob("*") if path.is_file())
    assert 1 << 20 < kept < 8 << 20
    again: list[int] = []
    job.bring(job.model, show=lambda done, _: again.append(done))
    assert again[0] >= kept
    assert job.state(job.model).is_whole
    assert not beside.exists()
    of = seen[0][1]
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert again[-1] == of > 8 << 20


def test_a_sync_is_stopped_when_asked(lab: Lab, job: Job) -> None:
    shutil.rmtree(hub_here())
    host_inputs.write_model(hub_here().parent, weight_bytes=8 << 20)
    begun = time.monotonic()
    with lab["mac4"].slow(megabits=16), pytest.raises(ThunderError, match="stopped") as told:
        job.bring(job.model, stop=lambda: time.monotonic() - begun > 1)
    assert told.value.cause == "stopped"
    assert time.monotonic() - begun < 10


def test_a_disk_without_room_is_told_before_anything_is_sent(lab: Lab, job: Job) -> None:
    machine: Machine = lab["mac4"]
    (job.home / "sets").mkdir()
    machine.run("mount", "-t", "tmpfs", "-o", "size=32m", "none", str(job.home / "sets"))
    try:
        with pytest.raises(ThunderError, match=r"host mac4: .*MB free; make room") as told:
            job.bring(job.data)
    finally:
        machine.run("umount", str(job.home / "sets"))
    assert told.value.cause == "write"
