"""Utterances per CPU-second: the ASR lane's loop against the same model trained the published way.

Both train and validate epochs on the stand-in speech, with the same model, batch size, optimizer
and one thread. The published way pads every row to the whole window, meets rows by chance, and
scores validation row by row in Python; `ways.py` has it, on frames that lie in memory.
Its window is 30 seconds; 8, the default here, is kinder to it and still holds every utterance.
Run: `python benchmarks/asr_throughput.py [--rows 320] [--seconds 8] [--repeats 3]`.
"""

import argparse
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import torch
from ways import Ours, Published, silent

from thunder.backends.torch import machine
from thunder.backends.torch.machine import Machine
from thunder.commands import requests
from thunder.ground import command
from thunder.lanes.asr import material
from thunder.lanes.asr.features import job
from thunder.lanes.asr.material import Material
from thunder.lanes.asr.speech import spoken

BATCH_ROWS = 32
ONE_THREAD = Machine(torch.device("cpu"), "float32", 1)


def main() -> None:
    """Measure both sides and print the ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=320, help="utterances, a tenth for validation")
    parser.add_argument("--seconds", type=float, default=8.0, help="the window of the padded side")
    parser.add_argument("--repeats", type=int, default=3, help="the median of so many epochs")
    asked = parser.parse_args()
    machine.prepare(ONE_THREAD)
    with tempfile.TemporaryDirectory() as name:
        found = _gathered(Path(name), asked.rows, asked.seconds)
        train = found.splits["train"]
        spread = f"{train.seconds.mean():.1f} s on average, {train.seconds.max():.1f} s at most"
        print(f"{len(train.ids)} utterances of {spread}; window {asked.seconds:g} s")
        ours, theirs = Ours(found, ONE_THREAD), Published(found, ONE_THREAD)
        # In turn, so that what else the machine does falls on both; the first epoch warms up.
        pairs = [(_pace(ours, n), _pace(theirs, n)) for n in range(1, asked.repeats + 2)][1:]
    mine, other = zip(*pairs, strict=True)
    print(f"thunder        {median(mine):8.1f} utterances per CPU-second")
    print(f"published way  {median(other):8.1f} utterances per CPU-second")
    print(f"ratio          {median(one / two for one, two in pairs):8.2f}")


def _pace(way: Ours | Published, number: int) -> float:
    """Train and validate one epoch; return utterances per CPU-second."""
    started = time.process_time()
    return way.epoch(number) / (time.process_time() - started)


def _gathered(folder: Path, rows: int, seconds: float) -> Material:
    """Build the speech and its features, and return them as a run reads them."""
    config = _config(folder, rows, seconds)
    spoken.build(config["data"]["source"], folder / "data")
    (folder / "features").mkdir()
    (folder / "run").mkdir()
    bound = {**config, "data": {**config["data"], "source": {"digest": "0" * 64}}}
    job.run({**bound, "kind": "asr_features"}, folder / "features", silent)
    return material.gather(bound, folder / "run", silent)


def _config(folder: Path, rows: int, seconds: float) -> dict[str, Any]:
    """Return the recommended recipe on the stand-in of speech."""
    words = (
        "+profile=asr_ctc", "site=local", "mode=baseline", f"outputs={command.spelt(str(folder))}",
        f"data.source.rows={rows}", f"features.seconds={seconds}", "features.source={log_mel: 80}",
        f"train.batch_size={BATCH_ROWS}", "train.epochs=10", "train.precision=float32",
    )  # fmt: skip
    config = requests.read(words).cells[0].job.config
    paths = {"data": str(folder / "data"), "asr_features": str(folder / "features")}
    return {**config, "runtime": {**config["runtime"], "paths": paths}}


if __name__ == "__main__":
    main()
