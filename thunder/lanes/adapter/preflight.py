"""What must hold before training starts: each check measured, a failed one named by its cause."""

import importlib.metadata
import platform
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from thunder.corpora import corpus
from thunder.ground import digest, files
from thunder.ground.errors import Faults, ThunderError
from thunder.lanes.adapter.data import tokens
from thunder.lanes.adapter.inputs import Inputs
from thunder.lanes.adapter.model import model_folder
from thunder.lanes.adapter.training import ranks, state
from thunder.training import checkpoints

OLDEST = {"mlx": (0, 32, 1), "mlx-lm": (0, 32, 0)}
FREE_BYTES = 256 << 20
SPLITS = ("train", "valid", "test")


@dataclass
class Preflight:
    """The checks of a run so far, and what they found out on the way.

    Args:
        tokens: the folder that the tokenised rows go to.
        beat: says that the lane is at work, before each check.
        rows: one per check: check, host, status, measured, reason.
        causes: the cause class of each failed check.
        digests: of the content of model and data.
        counts: rows by split, the model's bytes, what was tokenised.
    """

    config: Mapping[str, Any]
    folder: Path
    inputs: Inputs
    tokens: Path
    beat: Callable[[], None] = lambda: None
    rows: list[dict[str, Any]] = field(default_factory=list)
    causes: list[str] = field(default_factory=list)
    digests: dict[str, str] = field(default_factory=dict)
    counts: dict[str, Any] = field(default_factory=dict)

    @property
    def host(self) -> str:
        """The name of the host that is checked."""
        return str(self.config["runtime"]["site"]["hosts"][0]["name"])

    @contextmanager
    def check(self, name: str, cause: str) -> Iterator[Callable[[str], None]]:
        """Run one check; the block reports what it measured, or raises what is wrong."""
        measured: list[str] = []
        self.beat()
        try:
            yield measured.append
        except _Skip as skip:
            self._add(name, "SKIPPED", "", str(skip))
        except ThunderError as error:
            self._add(name, "FAIL", " ".join(measured), str(error))
            self.causes.append(cause if error.cause == "user" else error.cause)
        else:
            self._add(name, "PASS", " ".join(measured), "")

    def _add(self, name: str, status: str, measured: str, reason: str) -> None:
        row = {"check": name, "host": self.host, "status": status}
        self.rows.append({**row, "measured": measured, "reason": reason})

    def passed(self, name: str) -> bool:
        """Say whether a check was run and passed."""
        return any(row["check"] == name and row["status"] == "PASS" for row in self.rows)


class _Skip(Exception):
    """A check that does not apply, with the reason; never to be taken for a pass."""


def run(found: Preflight, blas: Mapping[str, Any]) -> Preflight:
    """Check everything and tokenise the corpus; returns what was found.

    The caller shows the rows and raises if one has failed: see `refuse`.
    """
    splits = _data(found)
    _model(found)
    _fit(found, splits)
    _machine(found, blas)
    _checkpoint(found)
    _ring(found)
    return found


def refuse(found: Preflight) -> None:
    """Raise Faults if a check has failed; the cause class is that of the first one."""
    failed = [row for row in found.rows if row["status"] == "FAIL"]
    if failed:
        faults = [f"{row['check']} ({row['host']}): {row['reason']}" for row in failed]
        raise Faults("the preflight failed; nothing was trained:", faults, found.causes[0])


def _data(found: Preflight) -> dict[str, Any]:
    place = found.inputs.data
    splits: dict[str, Any] = {}
    with found.check("data set present", "data") as measured:
        corpus.check_is_complete(place)
        size = sum((place / name).stat().st_size for name in corpus.NAMES)
        measured(f"{place} ({_megabytes(size)})")
    with found.check("data set rows and digests", "data") as measured:
        _needs(found, "data set present")
        splits.update(corpus.load(place))
        content = corpus.digest(place)
        _same_digest(found.config["data"]["source"], content, place)
        found.digests["data"] = content
        found.counts["rows"] = {split: len(splits[split]) for split in SPLITS}
        counts = ", ".join(f"{len(splits[split])} {split}" for split in SPLITS)
        measured(f"{counts}; sha256 {content[:12]}")
    with found.check("data set nontrivial", "data") as measured:
        _needs(found, "data set rows and digests")
        measured(_nontrivial(splits, found.config["train"]))
    return splits


def _model(found: Preflight) -> None:
    deep, place = found.config["runtime"]["deep"], found.inputs.model
    with found.check("model complete", "model") as measured:
        faults, facts = model_folder.check(place, deep=deep)
        found.counts["model_bytes"] = facts.get("bytes", 0)
        measured(f"{facts.get('files', 0)} files, {_megabytes(facts.get('bytes', 0))}")
        if faults:
            raise Faults(f"{place}:", faults, "model")
        found.digests["model"] = _model_digest(found.config["model"]["source"], place)
    with found.check("LoRA fits the model", "user") as measured:
        _needs(found, "model complete")
        depth, wanted = _depth(place), found.config["adapter"]["layers"]
        if depth is None:
            raise _Skip("the model's config does not say how many layers it has")
        measured(f"the last {wanted} of {depth} layers")
        if wanted > depth:
            name = found.config["model"]["name"]
            raise ThunderError(f"adapter.layers is {wanted}, {name} has {depth}; choose fewer")
    with found.check("model bytes re-hashed", "model") as measured:
        if not deep:
            raise _Skip("deep=true re-hashes every byte of a hub snapshot")
        if not facts["deep"]:
            raise _Skip("a plain folder has no digests to compare with")
        _needs(found, "model complete")
        measured("every hash is the hub's")


def _depth(place: Path) -> int | None:
    """Return how many layers the config of a model names, None when it does not say."""
    config = files.read_json(place / "config.json")
    count = (config.get("text_config") or config).get("num_hidden_layers")
    return None if count is None else int(count)


def _model_digest(source: Mapping[str, Any], place: Path) -> str:
    """Return the digest of the model's content, or what names it without reading gigabytes."""
    if "digest" in source:
        return str(source["digest"])
    if "hub" in source:
        return digest.of_value({"hub": source["hub"], "commit": source["commit"]})
    return model_folder.digest(place)


def _fit(found: Preflight, splits: Mapping[str, Any]) -> None:
    with found.check("rows fit the window", "data") as measured:
        _needs(found, "data set nontrivial")
        _needs(found, "model complete")
        length = found.config["train"]["sequence_length"]
        rule = found.config["data"]["too_long"]
        counts = tokens.prepare(splits, found.inputs.model, length, rule, found.tokens)
        found.counts["tokens"] = counts
        dropped = sum(count["dropped_too_long"] for count in counts.values())
        rows = ", ".join(f"{count['rows']} {split}" for split, count in counts.items())
        measured(f"{rows}; {dropped} longer than {length} tokens {_rule_text(rule)}")


def _machine(found: Preflight, blas: Mapping[str, Any]) -> None:
    with found.check("versions", "environment") as measured:
        measured(_versions())
    with found.check("BLAS", "environment") as measured:
        measured(f"{blas['name']} {blas['version'] or ''}".strip())
    with found.check("free disk", "environment") as measured:
        room = shutil.disk_usage(found.folder).free
        measured(_megabytes(room))
        if room < FREE_BYTES:
            raise ThunderError(f"{found.folder} needs {_megabytes(FREE_BYTES)} free; make room")
    with found.check("free memory", "environment") as measured:
        free, need = _free_memory(), _memory_need(found)
        if free is None:
            raise _Skip(f"free memory is not measured on {sys.platform}")
        measured(f"{_megabytes(free)}, about {_megabytes(need)} needed")
        if free < need:
            raise ThunderError("not enough memory for the ranks; use fewer, or a smaller model")


def _checkpoint(found: Preflight) -> None:
    with found.check("earlier checkpoint", "verification") as measured:
        if not checkpoints.steps(found.folder):
            raise _Skip("the run begins here")
        newest, warnings = checkpoints.latest(found.folder, state.LAYOUT)
        measured("; ".join([f"step {newest.step if newest else 0}", *warnings]))


def _ring(found: Preflight) -> None:
    world = found.config["train"]["ranks"]
    with found.check("ring smoke", "ranks") as measured:
        if world == 1:
            raise _Skip("one rank needs no ring")
        results = ranks.ring_smoke(world, Path(found.config["runtime"]["outputs"]) / "cache")
        latency = max(result["latency_ms"] for result in results)
        measured(f"size {world} on all {world} ranks, all-sum right, {latency:.2f} ms")
    with found.check("hosts reach each other", "ranks"):
        raise _Skip("all ranks are on this host")


def _needs(found: Preflight, name: str) -> None:
    if not found.passed(name):
        raise _Skip(f"needs: {name}")


def _same_digest(source: Mapping[str, Any], content: str, place: Path) -> None:
    if "digest" in source and source["digest"] != content:
        raise ThunderError(
            f"{place}: the content changed since the job was named: "
            f"sha256 {content[:12]}, the job has {source['digest'][:12]}",
            "data",
        )


def _nontrivial(splits: Mapping[str, Any], train: Mapping[str, Any]) -> str:
    answers = {row["messages"][-1]["content"] for row in splits["train"]}
    per_step = train["batch_size"] * sum(train["rank_weights"])
    rows = len(splits["train"])
    if rows < per_step or len(answers) < 2:
        raise ThunderError(
            f"train has {rows} rows with {len(answers)} different answers; "
            f"at least {per_step} rows (one step) and 2 answers are needed"
        )
    return f"{len(answers)} different answers in {rows} training rows"


def _versions() -> str:
    have = {name: importlib.metadata.version(name) for name in OLDEST}
    old = [
        f"{name} {have[name]} is older than {'.'.join(map(str, least))}"
        for name, least in OLDEST.items()
        if _numbers(have[name]) < least
    ]
    if old:
        raise ThunderError(f"{'; '.join(old)}; install the versions of constraints.txt")
    names = ", ".join(f"{name} {version}" for name, version in have.items())
    return f"python {platform.python_version()}, {names}"


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:3] if part.isdigit())


def _free_memory() -> int | None:
    """Return the bytes that new processes can have, None where the system does not say."""
    if sys.platform != "linux":
        return None
    for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return None


def _memory_need(found: Preflight) -> int:
    """Estimate: weights once per rank, and room for Python, activations and gradients."""
    weights = found.counts.get("model_bytes", 0)
    return int(found.config["train"]["ranks"] * (1.2 * weights + (300 << 20)))


def _rule_text(rule: str) -> str:
    return "dropped" if rule == "drop" else "(they would be refused)"


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB" if size < 1e9 else f"{size / 1e9:,.2f} GB"
