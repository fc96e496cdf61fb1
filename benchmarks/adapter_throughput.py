"""Useful tokens per CPU-second: the adapter lane's loop against `mlx_lm.lora`.

Both have the same model, rows and BLAS. Each side trains one and two epochs in fresh processes; the
difference is one epoch without any start-up.
Run: `python benchmarks/adapter_throughput.py [--rows 320] [--repeats 3] [--corpus FOLDER]`.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from thunder.backends.mlx import blas
from thunder.corpora import build
from thunder.ground import files
from thunder.lanes.adapter.data import tokens
from thunder.lanes.adapter.model import standin
from thunder.lanes.adapter.training import ranks

BATCH_ROWS = 4
LENGTH = 256
ADAPTER = {"layers": 4, "rank": 8, "scale": 20.0, "dropout": 0.0}
SOURCE = {
    "recipe": "tiny_gemma4",
    "hidden": 64,
    "layers": 4,
    "vocabulary": 512,
    "seed": 0,
    "pretrain_steps": 0,
    "bits": 0,
    "learning_rate_factor": 1.0,
}
MLX_LM = """
import sys
from pathlib import Path
from thunder.backends.mlx import blas
blas.load(Path(sys.argv.pop(1)))
from mlx_lm.lora import main
main()
"""


def main() -> None:
    """Measure both sides and print the ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=320, help="training rows, a multiple of 4")
    parser.add_argument("--repeats", type=int, default=3, help="the median of so many counts")
    parser.add_argument(
        "--corpus", type=Path, help="train.jsonl and valid.jsonl of chats, not sentences made here"
    )
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        print("blas:", blas.load(folder / "cache")["name"])
        useful = _prepare(folder, asked.corpus or _made(folder, asked.rows), asked.rows)
        steps = asked.rows // BATCH_ROWS
        # In turn, so that what else the machine does falls on both.
        pairs = [
            (_pace(_ours, folder, steps, useful), _pace(_theirs, folder, steps, useful))
            for _ in range(asked.repeats)
        ]
    ours, theirs = zip(*pairs, strict=True)
    print(f"thunder      {median(ours):8.0f} useful tokens per CPU-second")
    print(f"mlx_lm.lora  {median(theirs):8.0f} useful tokens per CPU-second")
    print(f"ratio        {median(mine / other for mine, other in pairs):8.2f}")


def _made(folder: Path, rows: int) -> Path:
    """Build a corpus of sentences, with some to spare."""
    source = {"recipe": "sentences", "rows": 3 * rows, "seed": 0, "script": "nko"}
    build.build_recipe(source, folder / "corpus")
    return folder / "corpus"


def _prepare(folder: Path, source: Path, rows: int) -> int:
    """Build the model and the data of both sides, and return the tokens of the training rows."""
    found = {name: list(files.read_jsonl(source / f"{name}.jsonl")) for name in ("train", "valid")}
    texts = [message["content"] for row in found["train"] for message in row["messages"]]
    standin.build(SOURCE, texts, folder / "model")
    found["train"] = _fitting(folder, found["train"])[:rows]
    if len(found["train"]) < rows:
        raise SystemExit(f"only {len(found['train'])} rows of {LENGTH} tokens or fewer")
    for name, chosen in found.items():
        files.write_jsonl(
            folder / "data" / f"{name}.jsonl", ({"messages": r["messages"]} for r in chosen)
        )
    counts = tokens.prepare(found, folder / "model", LENGTH, "drop", folder / "tokens")
    count = counts["train"]
    print(f"{rows} rows, {count['tokens']} tokens, {count['supervised_tokens']} supervised")
    return count["tokens"]


def _fitting(folder: Path, rows: list[Any]) -> list[Any]:
    encoded = tokens.encode("train", rows, tokens._tokenizer(folder / "model"))
    return [row for row, (ids, _) in zip(rows, encoded, strict=True) if len(ids) < LENGTH]


def _pace(train: Callable[[Path, int], None], folder: Path, steps: int, useful: int) -> float:
    """Return the useful tokens per CPU-second of the second epoch."""
    one, two = (_cpu_seconds(train, folder, steps * epochs) for epochs in (1, 2))
    print(f"  {train.__name__}: one epoch {one:.2f} CPU-s, two {two:.2f} CPU-s", file=sys.stderr)
    return useful / (two - one)


def _cpu_seconds(train: Callable[[Path, int], None], folder: Path, steps: int) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    train(folder, steps)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _ours(folder: Path, steps: int) -> None:
    with tempfile.TemporaryDirectory(dir=folder) as run:
        config = {
            "seed": 0,
            "model": {"name": "tiny", "source": SOURCE},
            "adapter": ADAPTER,
            "train": {
                "steps": steps,
                "strategy": "data",
                "ranks": 1,
                "rank_weights": [1],
                "batch_size": BATCH_ROWS,
                "learning_rate": 1e-4,
                "warmup_fraction": 0.1,
                "weight_decay": 0.01,
                "clip_norm": 1.0,
                "valid_rows": BATCH_ROWS,
            },
            "runtime": {
                "outputs": str(folder),
                "eval_every": steps,
                "save_every": steps,
                "stall_seconds": 60.0,
                "start_seconds": 60.0,
            },
        }
        inputs = {"model": "0" * 64, "data": "0" * 64}
        paths = str(folder / "model"), str(folder / "tokens")
        request = ranks.Request(config, run, "benchmark", steps, *paths, inputs, True)
        ranks.train_window(request, lambda event: None)


def _theirs(folder: Path, steps: int) -> None:
    with tempfile.TemporaryDirectory(dir=folder) as run:
        settings = {
            "model": str(folder / "model"),
            "data": str(folder / "data"),
            "train": True,
            "mask_prompt": True,
            "seed": 0,
            "num_layers": ADAPTER["layers"],
            "lora_parameters": {name: ADAPTER[name] for name in ("rank", "scale", "dropout")},
            "optimizer": "adamw",
            "learning_rate": 1e-4,
            "batch_size": BATCH_ROWS,
            "iters": steps,
            "max_seq_length": LENGTH,
            "val_batches": 1,
            "steps_per_eval": steps,
            "steps_per_report": 10,
            "save_every": steps,
            "adapter_path": str(Path(run) / "adapter"),
        }
        path = Path(run) / "settings.yaml"
        path.write_text(json.dumps(settings), encoding="utf-8")
        command = [sys.executable, "-c", MLX_LM, str(folder / "cache"), "--config", str(path)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


if __name__ == "__main__":
    main()
