"""What a run of an adapter takes of its machine is what its preflight there will ask for."""

from pathlib import Path
from typing import Any

from thunder.ground import files
from thunder.lanes.adapter import machine, room

WEIGHTS = 4_000_000


def config(model: Path | None, *ranks_on: str, ranks: int = 2) -> dict[str, Any]:
    hosts = [{"name": name, "address": "10.0.0.1"} for name in ranks_on]
    site = {"ranks_on": hosts, "hosts": {"mac5": {}}}
    paths = {} if model is None else {"model": str(model)}
    train = {"ranks": ranks, "strategy": "data"}
    return {"train": train, "runtime": {"site": site, "paths": paths}}


def write_model(folder: Path) -> Path:
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        files.write_json(folder / name, {})
    header = b'{"w":{"dtype":"F32","shape":[%d],"data_offsets":[0,%d]}}' % (WEIGHTS // 4, WEIGHTS)
    weights = len(header).to_bytes(8, "little") + header + bytes(WEIGHTS)
    files.write_bytes(folder / "model.safetensors", weights)
    return folder


def test_memory_is_that_of_the_ranks_that_are_there(tmp_path: Path) -> None:
    model = write_model(tmp_path / "model")
    size = sum(path.stat().st_size for path in model.iterdir())
    both = room.of(config(model, "localhost"))
    assert (both.memory, both.disk) == (machine.memory_need(size, 2), machine.FREE_BYTES)
    assert room.of(config(model, "localhost", "mac5")).memory == machine.memory_need(size, 1)


def test_what_cannot_be_known_before_is_none_with_the_reason(tmp_path: Path) -> None:
    unbuilt = room.of(config(None, "localhost"))
    assert (unbuilt.memory, unbuilt.disk) == (None, machine.FREE_BYTES)
    assert "a stand-in that is built when the run needs it" in unbuilt.unknown["memory"]
    partial = write_model(tmp_path / "model")
    (partial / "config.json").unlink()
    assert "is not whole on this machine" in room.of(config(partial, "localhost")).unknown["memory"]
