"""Seconds to score a test split of 29,060 rows: three variants, two error rates, intervals.

Beside it, in the same run: rows scored one by one in plain Python, as published scripts do it (the
textbook's dynamic programme), on some of the rows and scaled up by their number.
Run: `python benchmarks/asr_scoring.py [--rows 29060] [--script nko]`.
"""

import argparse
import resource
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from random import Random

from thunder.ground import draws as draw
from thunder.ground import files
from thunder.language import bridge, sentences, spelling
from thunder.scoring import documents, dumps
from thunder.scoring.score import VARIANTS

SAMPLE = 300
ERRORS = 0.2  # of characters, about the rate of the published anchor
KINDS = 4000  # different sentences; more would only take longer to make
PARTITIONS = ("stable", "boundary", "uncertain", "novelty")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=29_060, help="rows to score")
    parser.add_argument("--script", default="nko", choices=["nko", "latin"])
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        paths = _write(Path(name), asked.rows, asked.script)
        begun = time.perf_counter()
        dump = dumps.read(*paths)
        read = time.perf_counter()
        found = documents.of_dump(dump)
        done = time.perf_counter()
    ours, plain = done - read, _plain(dump) * asked.rows / SAMPLE
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    rate = found["all"]["norm"]["cer_micro"]
    print(f"{asked.rows:,} rows of {asked.script}, CER {rate:.1%}, peak memory {peak:.0f} MB")
    print(f"read both dumps                            {read - begun:8.2f} s")
    print(f"score, 3 variants, all subsets, intervals  {ours:8.2f} s")
    print(f"plain Python, no subsets, no intervals     {plain:8.2f} s (from {SAMPLE} rows)")
    print(f"plain / ours                               {plain / ours:8.1f}")


def _write(folder: Path, rows: int, script: str) -> tuple[Path, Path]:
    """Write the dumps of a made-up run, telemetry included, for it has to be read past."""
    texts = [_spelt(text, script) for text in sentences.generate(KINDS, 0, "latin")]
    rng = draw.stream("asr_scoring", script)
    letters = sorted({char for text in texts for char in text})
    predictions, references = [], []
    for i in range(rows):
        text, name = texts[i % KINDS], f"row_{i:06d}"
        heard = _misheard(text, letters, rng)
        both = {"feat_id": name, "script": script, "reference_text": text}
        partition = PARTITIONS[i % len(PARTITIONS)]
        telemetry = {"char_conf": [round(rng.random(), 4) for _ in heard], "n_frames": 50}
        predictions.append({**both, "asr_text": heard, "partition": partition, **telemetry})
        marks = {"origin": f"source {i % 2}", "text_disjoint": i % 10 == 0}
        references.append({**both, **marks})
    paths = folder / "predictions.jsonl", folder / "references.jsonl"
    files.write_jsonl(paths[0], predictions)
    files.write_jsonl(paths[1], references)
    return paths


def _spelt(text: str, script: str) -> str:
    return bridge.to_nko(text, bridge.V2_STANDARD) if script == "nko" else text


def _misheard(text: str, letters: Sequence[str], rng: Random) -> str:
    """Drop, change and add characters, a third of the errors each."""
    found = []
    for char in text:
        chance = rng.random() / ERRORS
        if chance > 1 / 3:
            found.append(char if chance > 2 / 3 else draw.pick(rng, letters))
        if 2 / 3 < chance < 1:
            found.append(draw.pick(rng, letters))
    return "".join(found)


def _plain(dump: dumps.Dump) -> float:
    begun = time.perf_counter()
    for variant in VARIANTS:
        for row in range(SAMPLE):
            reference, hypothesis = (
                spelling.scored(text, dump.script, variant)
                for text in (dump.references[row], dump.hypotheses[row])
            )
            _levenshtein(reference, hypothesis)
            _levenshtein(reference.split(), hypothesis.split())
    return time.perf_counter() - begun


def _levenshtein(first: Sequence[str], second: Sequence[str]) -> int:
    row = list(range(len(second) + 1))
    for i, one in enumerate(first, 1):
        before, row[0] = row[0], i
        for j, other in enumerate(second, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (one != other))
    return row[-1]


if __name__ == "__main__":
    main()
