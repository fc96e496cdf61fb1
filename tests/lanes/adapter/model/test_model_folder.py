import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from thunder.lanes.adapter.model import model_folder, standin

COMMIT = "c0ffee" + "0" * 34
WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
SOURCE = {
    "recipe": "tiny_gemma4",
    "hidden": 32,
    "layers": 2,
    "vocabulary": 300,
    "seed": 0,
    "pretrain_steps": 0,
    "bits": 0,
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "standin"
    standin.build(SOURCE, ["ߋ ߓߐ ߓߏ"], folder)
    return folder


@pytest.fixture
def plain(tmp_path: Path, whole: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "plain"))


@pytest.fixture
def snapshot(tmp_path: Path, whole: Path) -> Path:
    """Lay the model out as the hub's client does, with its list of the commit's files."""
    root = tmp_path / "hub" / "models--org--tiny"
    folder = root / "snapshots" / COMMIT
    for place in (folder, root / "blobs", root / "refs", root / "trees"):
        place.mkdir(parents=True)
    (root / "refs" / "main").write_text(COMMIT)
    listed = {}
    for path in whole.iterdir():
        data = path.read_bytes()
        entry = {
            "size": len(data),
            "blob_id": hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest(),
        }
        if path.suffix == ".safetensors":
            entry |= {"lfs_sha256": hashlib.sha256(data).hexdigest(), "lfs_size": len(data)}
        blob = str(entry.get("lfs_sha256", entry["blob_id"]))
        (root / "blobs" / blob).write_bytes(data)
        (folder / path.name).symlink_to(f"../../blobs/{blob}")
        listed[path.name] = entry
    tree = {"format_version": 1, "files": listed}
    (root / "trees" / f"{COMMIT}.json").write_text(json.dumps(tree))
    return folder


def _faults(folder: Path, deep: bool = False) -> str:
    return "\n".join(model_folder.check(folder, deep=deep)[0])


def _edit(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    value = json.loads(path.read_text(encoding="utf-8"))
    change(value)
    path.write_text(json.dumps(value), encoding="utf-8")


def _truncate(path: Path, size: int) -> None:
    with path.open("r+b") as stream:
        stream.truncate(size)


def _forget_tree(snapshot: Path) -> None:
    # As the clients did before they kept the list.
    shutil.rmtree(snapshot.parents[1] / "trees")


def test_whole_folder_has_no_fault(plain: Path) -> None:
    size = sum(path.stat().st_size for path in plain.iterdir())
    facts = {"files": 6, "bytes": size, "commit": None, "deep": False}
    assert model_folder.check(plain, deep=True) == ([], facts)


def test_whole_snapshot_has_no_fault(snapshot: Path, whole: Path) -> None:
    size = sum(path.stat().st_size for path in whole.iterdir())
    facts = {"files": 6, "bytes": size, "commit": COMMIT, "deep": True}
    assert model_folder.check(snapshot, deep=True) == ([], facts)


def test_no_folder_is_one_fault(tmp_path: Path) -> None:
    assert _faults(tmp_path / "gone") == "no such folder"


@pytest.mark.parametrize(
    "name", ["config.json", "tokenizer_config.json", "tokenizer.json", WEIGHTS]
)
def test_missing_file_is_named(plain: Path, name: str) -> None:
    (plain / name).unlink()
    faults = model_folder.check(plain)[0]
    assert len(faults) == 1
    assert faults[0].startswith(name)
    assert "missing" in faults[0]


def test_folder_without_any_weights_is_named(plain: Path) -> None:
    (plain / WEIGHTS).unlink()
    (plain / INDEX).unlink()
    assert _faults(plain) == "model*.safetensors: missing, there are no weights"


@pytest.mark.parametrize("name", ["config.json", INDEX])
def test_half_a_json_file_is_named(plain: Path, name: str) -> None:
    _truncate(plain / name, 20)
    assert f"{name}: cannot be read" in _faults(plain)


@pytest.mark.parametrize("name", ["config.json", "tokenizer_config.json"])
@pytest.mark.parametrize(
    ("text", "why"),
    [("[]", "a JSON object is needed"), ("3", "a JSON object is needed"),
     ("[" * 100_000, "nested too deep")],
    ids=["list", "number", "deep"],
)  # fmt: skip
def test_settings_that_are_no_object_are_named(plain: Path, name: str, text: str, why: str) -> None:
    (plain / name).write_text(text)
    assert _faults(plain) == f"{name}: cannot be read, {len(text)} bytes: {why}"


def test_half_a_tokenizer_is_found_by_deep(plain: Path) -> None:
    _truncate(plain / "tokenizer.json", 2000)
    assert "tokenizer.json: cannot be read, 2000 bytes" in _faults(plain, deep=True)


def test_truncated_weights_give_the_share_that_came(plain: Path) -> None:
    size = (plain / WEIGHTS).stat().st_size
    _truncate(plain / WEIGHTS, size // 10)
    faults = _faults(plain)
    assert f"has {size // 10} bytes, its header promises {size} (10.0 %)" in faults


def test_weights_cut_inside_their_header_are_found(plain: Path) -> None:
    _truncate(plain / WEIGHTS, 100)
    assert "ends inside its header, after 100 of" in _faults(plain)


@pytest.mark.parametrize("data", [b"", b"\0" * 4096, b"<html>not found</html>"])
def test_weights_that_are_something_else_are_found(plain: Path, data: bytes) -> None:
    (plain / WEIGHTS).write_bytes(data)
    assert f"no safetensors header in its {len(data)} bytes" in _faults(plain)


@pytest.mark.parametrize(
    "text", ["{oops", "[1, 2]", "[" * 99_999, '{"a": {}}', '{"a": {"data_offsets": [1]}}']
)
def test_broken_header_is_found(plain: Path, text: str) -> None:
    data = text.encode()
    (plain / WEIGHTS).write_bytes(len(data).to_bytes(8, "little") + data)
    assert f"{WEIGHTS}: broken weights" in _faults(plain)


def test_shard_of_the_index_that_is_missing_is_named(plain: Path) -> None:
    second = "model-00002-of-00002.safetensors"
    _edit(plain / INDEX, lambda index: index["weight_map"].update({"other.weight": second}))
    assert _faults(plain) == f"{second}: missing, though {INDEX} names it"


def test_tensor_of_the_index_that_no_shard_holds_is_named(plain: Path) -> None:
    _edit(plain / INDEX, lambda index: index["weight_map"].update({"other.weight": WEIGHTS}))
    assert "tensors are not in the shard it names, the first is 'other.weight'" in _faults(plain)


def test_total_size_must_be_that_of_the_tensors(plain: Path) -> None:
    _edit(plain / INDEX, lambda index: index["metadata"].update(total_size=12))
    assert f"{INDEX}: total_size is 12, the shards hold" in _faults(plain)


def test_index_of_another_shape_is_a_fault_and_no_crash(plain: Path) -> None:
    for text in ("[]", '{"weight_map": 3}', '{"weight_map": {"a": []}}'):
        (plain / INDEX).write_text(text)
        assert f"{INDEX}: cannot be read" in _faults(plain)


def _write_weights(path: Path, **sizes: int) -> None:
    """Write a file of weights that holds tensors of so many bytes, all zero."""
    entries, end = {}, 0
    for name, size in sizes.items():
        offsets = [end, end + size]
        entries[name] = {"dtype": "U8", "shape": [size], "data_offsets": offsets}
        end += size
    header = json.dumps(entries).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header + b"\0" * end)


def _shard(plain: Path, number: int, **sizes: int) -> str:
    name = f"model-{number:05}-of-00002.safetensors"
    _write_weights(plain / name, **sizes)
    return name


@pytest.fixture
def sharded(plain: Path) -> Path:
    """Lay a model out in two shards, with their index."""
    (plain / WEIGHTS).unlink()
    shards = {"a": _shard(plain, 1, a=4), "b": _shard(plain, 2, b=6)}
    index = {"metadata": {"total_size": 10}, "weight_map": shards}
    (plain / INDEX).write_text(json.dumps(index))
    return plain


def test_whole_shards_have_no_fault(sharded: Path) -> None:
    assert _faults(sharded) == ""
    (sharded / INDEX).unlink()
    assert _faults(sharded) == ""


def test_weights_that_the_index_does_not_name_are_refused_by_name(sharded: Path) -> None:
    _write_weights(sharded / WEIGHTS, a=4)
    stray = f"{INDEX} does not name it, but it would be loaded: move it away"
    assert _faults(sharded) == f"{WEIGHTS}: {stray}"


def test_stray_shard_beside_a_whole_model_is_refused_by_name(plain: Path) -> None:
    name = _shard(plain, 1, a=4)
    assert (
        _faults(plain) == f"{name}: {INDEX} does not name it, but it would be loaded: move it away"
    )


@pytest.mark.parametrize("name", ["weights.safetensors", "old/model.safetensors"])
def test_weights_that_the_index_names_and_nobody_loads_are_refused(
    sharded: Path, name: str
) -> None:
    (sharded / name).parent.mkdir(exist_ok=True)
    _write_weights(sharded / name, c=2)
    _edit(sharded / INDEX, lambda index: index["weight_map"].update(c=name))
    assert f"{name}: {INDEX} names it, but only model*.safetensors is loaded" in _faults(sharded)


@pytest.mark.parametrize("has_index", [True, False])
def test_tensor_in_two_files_is_refused_with_both(sharded: Path, has_index: bool) -> None:
    _shard(sharded, 2, a=4, b=6)
    _edit(sharded / INDEX, lambda index: index["metadata"].clear())
    if not has_index:
        (sharded / INDEX).unlink()
    first, second = (f"model-0000{n}-of-00002.safetensors" for n in (1, 2))
    expected = f"{first} and {second}: all hold 'a'; which of them is loaded is chance"
    assert _faults(sharded) == expected


def test_tensor_that_the_index_does_not_name_is_refused(sharded: Path) -> None:
    name = _shard(sharded, 2, b=6, c=1, d=1)
    _edit(sharded / INDEX, lambda index: index["metadata"].clear())
    assert _faults(sharded) == f"{name}: holds 'c' and 1 more, not in {INDEX}"


def test_shard_that_is_missing_is_named_without_an_index(sharded: Path) -> None:
    (sharded / INDEX).unlink()
    gone = sharded / "model-00002-of-00002.safetensors"
    gone.unlink()
    first = "model-00001-of-00002.safetensors"
    assert _faults(sharded) == f"{gone.name}: missing, {first} is one of several"


@pytest.mark.parametrize(
    "name", ["adapters.safetensors", "old/model.safetensors", ".model.safetensors"]
)
def test_weights_that_nobody_loads_may_lie_beside(plain: Path, name: str) -> None:
    (plain / name).parent.mkdir(exist_ok=True)
    (plain / name).write_bytes(b"anything")
    assert _faults(plain) == ""


@pytest.mark.slow
def test_what_is_checked_is_what_mlx_lm_loads(
    sharded: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import mlx.core as mx
    import mlx_lm.utils

    _write_weights(sharded / "adapters.safetensors", c=1)
    loaded: list[str] = []

    def load(path: str) -> dict[str, Any]:
        loaded.append(Path(path).name)
        return {}

    monkeypatch.setattr(mx, "load", load)
    mlx_lm.utils.load_model(sharded, lazy=True, strict=False)
    assert sorted(loaded) == model_folder._loaded(model_folder._present(sharded))


def test_dangling_link_is_named(snapshot: Path) -> None:
    (snapshot / WEIGHTS).resolve().unlink()
    faults = _faults(snapshot)
    assert f"{WEIGHTS}: links to '../../blobs/" in faults
    assert "which is missing" in faults


def test_interrupted_download_is_named_with_what_came(snapshot: Path) -> None:
    blob = (snapshot / WEIGHTS).resolve()
    size = blob.stat().st_size
    (snapshot / WEIGHTS).unlink()
    blob.rename(blob.with_name(f"{blob.name}.0a1b2c3d.incomplete"))
    _truncate(blob.with_name(f"{blob.name}.0a1b2c3d.incomplete"), 1234)
    faults = _faults(snapshot)
    assert f"an interrupted download, 1234 of {size} bytes came" in faults
    assert f"{WEIGHTS}: missing, on the hub it has {size} bytes" in faults
    _forget_tree(snapshot)
    assert "an interrupted download, 1234 bytes came" in _faults(snapshot)


def test_leftover_of_a_download_that_was_done_again_is_no_fault(snapshot: Path) -> None:
    blob = (snapshot / WEIGHTS).resolve()
    blob.with_name(f"{blob.name}.0a1b2c3d.incomplete").write_bytes(b"half")
    assert _faults(snapshot, deep=True) == ""


def test_interrupted_download_into_a_plain_folder_is_named(plain: Path) -> None:
    place = plain / ".cache" / "huggingface" / "download"
    place.mkdir(parents=True)
    (place / "model.abc.incomplete").write_bytes(b"half")
    assert "model.abc.incomplete: an interrupted download, 4 bytes came" in _faults(plain)


def test_file_of_another_size_than_on_the_hub_is_named(snapshot: Path) -> None:
    blob = (snapshot / "chat_template.jinja").resolve()
    size = blob.stat().st_size
    blob.write_bytes(blob.read_bytes() + b"x")
    expected = f"chat_template.jinja: has {size + 1} bytes, on the hub it has {size}"
    assert _faults(snapshot) == expected


def test_readme_that_was_not_downloaded_is_no_fault(snapshot: Path) -> None:
    tree = snapshot.parents[1] / "trees" / f"{COMMIT}.json"
    _edit(tree, lambda listed: listed["files"].update({"README.md": {"size": 9, "blob_id": "0"}}))
    assert _faults(snapshot) == ""


def test_broken_list_of_the_hub_is_left_aside(snapshot: Path) -> None:
    (snapshot.parents[1] / "trees" / f"{COMMIT}.json").write_text("{")
    assert _faults(snapshot, deep=True) == ""


@pytest.mark.parametrize("name", [WEIGHTS, "chat_template.jinja"])
@pytest.mark.parametrize("has_tree", [True, False])
def test_changed_byte_is_found_by_deep_alone(snapshot: Path, name: str, has_tree: bool) -> None:
    blob = (snapshot / name).resolve()
    data = bytearray(blob.read_bytes())
    data[-1] ^= 1
    blob.write_bytes(data)
    if not has_tree:
        _forget_tree(snapshot)
    assert _faults(snapshot) == ""
    faults = model_folder.check(snapshot, deep=True)[0]
    assert len(faults) == 1
    assert faults[0].startswith(f"{name}: its bytes hash to ")
    assert faults[0].endswith(f"on the hub to {blob.name}")


def test_snapshot_without_links_is_hashed_against_the_list(snapshot: Path) -> None:
    config = snapshot / "config.json"
    text = config.read_text()
    config.unlink()
    config.write_text(text.replace("32", "23", 1))
    assert "config.json: its bytes hash to" in _faults(snapshot, deep=True)


def test_digest_is_of_the_content_wherever_it_lies(plain: Path, snapshot: Path) -> None:
    assert model_folder.digest(plain) == model_folder.digest(snapshot)


def test_digest_leaves_out_what_no_model_is_made_of(plain: Path) -> None:
    before = model_folder.digest(plain)
    (plain / "README.md").write_text("words")
    (plain / ".gitattributes").write_text("words")
    assert model_folder.digest(plain) == before


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "chat_template.jinja", WEIGHTS])
def test_digest_covers_each_file_that_is_loaded(plain: Path, name: str) -> None:
    before = model_folder.digest(plain)
    with (plain / name).open("ab") as stream:
        stream.write(b" ")
    assert model_folder.digest(plain) != before


@pytest.mark.parametrize(("broken", "status"), [(False, 0), (True, 1)])
def test_file_alone_checks_a_folder_when_piped_to_python(
    plain: Path, broken: bool, status: int
) -> None:
    if broken:
        (plain / "config.json").unlink()
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-", str(plain)],
        input=Path(model_folder.__file__).read_text(encoding="utf-8"),
        capture_output=True,
        text=True,
        cwd=plain,
    )
    assert done.returncode == status, done.stderr
    assert json.loads(done.stdout)["faults"] == ["config.json: missing"] * status
