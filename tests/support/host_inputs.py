"""Inputs as hosts have them: a corpus, a model in the hub's cache, and a job that reads them."""

import hashlib
import json
import random
from pathlib import Path
from typing import Any

from thunder.corpora import corpus
from thunder.ground import files
from thunder.jobs import inputs as bound

COMMIT = "c0ffee" + "0" * 34
REPOSITORY = "org/tiny"
WEIGHT_BYTES = 1 << 20


def write_data(folder: Path, rows: int = 8) -> Path:
    for split in corpus.SPLITS:
        files.write_jsonl(folder / f"{split}.jsonl", [_row(split, n) for n in range(rows)])
    files.write_json(folder / "manifest.json", {})
    return folder


def _row(split: str, number: int) -> dict[str, Any]:
    answer = {"role": "assistant", "content": f"ߒ {split} {number}"}
    return {"messages": [{"role": "user", "content": "x"}, answer]}


def write_model(cache: Path, weight_bytes: int = WEIGHT_BYTES) -> Path:
    """Write what a complete model is made of as the hub's client does; returns the snapshot."""
    root = cache / "models--org--tiny"
    snapshot = root / "snapshots" / COMMIT
    for place in (snapshot, root / "blobs", root / "refs", root / "trees"):
        place.mkdir(parents=True)
    (root / "refs/main").write_text(COMMIT)
    listed = {}
    for name, data in _model(weight_bytes).items():
        git = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
        entry: dict[str, Any] = {"size": len(data), "blob_id": git}
        if name.endswith(".safetensors"):
            entry["lfs_sha256"] = hashlib.sha256(data).hexdigest()
        blob = str(entry.get("lfs_sha256", git))
        (root / "blobs" / blob).write_bytes(data)
        (snapshot / name).symlink_to(f"../../blobs/{blob}")
        listed[name] = entry
    tree = {"format_version": 1, "files": listed}
    (root / "trees" / f"{COMMIT}.json").write_text(json.dumps(tree))
    return snapshot


def _model(weight_bytes: int) -> dict[str, bytes]:
    tensor = {"dtype": "U8", "shape": [weight_bytes], "data_offsets": [0, weight_bytes]}
    header = json.dumps({"model.embed_tokens.weight": tensor}).encode()
    weights = len(header).to_bytes(8, "little") + header + random.Random(0).randbytes(weight_bytes)
    config = {"text_config": {"num_hidden_layers": 4, "vocab_size": 8}}
    return {
        "config.json": json.dumps(config).encode(),
        "tokenizer.json": b"{}",
        "tokenizer_config.json": b'{"a": 1}',
        "model.safetensors": weights,
    }


def weights_of(snapshot: Path) -> Path:
    """The blob that holds the weights."""
    return (snapshot / "model.safetensors").resolve()


def job(site: dict[str, Any], outputs: Path, **runtime: Any) -> dict[str, Any]:
    """The config of a job of a site, bound to what is on this machine."""
    settings = {"outputs": str(outputs), "paths": {}, "deep": False, "start_seconds": 60.0}
    config = {
        "kind": "adapter",
        "data": {"name": "rows", "source": site["data"]["rows"]},
        "model": {"name": "tiny", "source": site["models"]["tiny"]},
        "train": {"ranks": 2, "rank_weights": [1, 1], "strategy": "data"},
        "runtime": {**settings, "site": site, **runtime},
    }
    return bound.bind(config)
