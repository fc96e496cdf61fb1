"""What must hold before training starts: each check measured, a failed one named by its cause."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from thunder.corpora import corpus
from thunder.ground import digest, folders
from thunder.ground.errors import Faults, ThunderError
from thunder.lanes.adapter import machine
from thunder.lanes.adapter.context import Context
from thunder.lanes.adapter.data import supervision, tokens
from thunder.lanes.adapter.model import model_folder, vocabulary
from thunder.lanes.adapter.training import crew, ranks, state
from thunder.training import checkpoints, placement
from thunder.training.placement import Seat
from thunder.training.preflight import Checks, Skip, megabytes

SPLITS = ("train", "valid", "test")

# Checks that others need, or that the report has a place for.
DATA_PRESENT = "data set present"
DATA_ROWS = "data set rows and digests"
DATA_NONTRIVIAL = "data set nontrivial"
ROWS_FIT = "rows fit the window"
MODEL_COMPLETE = "model complete"
VOCABULARY = "token ids of the model"
LORA_FITS = "LoRA fits the model"
MODEL_REHASHED = "model bytes re-hashed"
EARLIER_CHECKPOINT = "earlier checkpoint"
HOSTS_REACH = "hosts reach each other"


def run(
    context: Context,
    checks: Checks,
    blas: Mapping[str, Any],
    seats: Sequence[Seat],
) -> None:
    """Check everything and tokenise the corpus; digests, counts and warnings go into the context.

    The caller shows the rows and raises if one has failed: see `refuse`.
    """
    splits = _data(context, checks)
    _model(context, checks)
    _fit(context, checks, splits)
    machine.check(context, checks, blas)
    _checkpoint(context, checks)
    _ring(context, checks, seats)


def refuse(checks: Checks) -> None:
    """Raise Faults if a check has failed."""
    checks.refuse("the preflight failed; nothing was trained:")


def _data(context: Context, checks: Checks) -> dict[str, Any]:
    place = context.inputs.data
    splits: dict[str, Any] = {}
    with checks.check(DATA_PRESENT, "data") as measured:
        corpus.check_is_complete(place)
        size = sum((place / name).stat().st_size for name in corpus.NAMES)
        measured(f"{place} ({megabytes(size)})")
    with checks.check(DATA_ROWS, "data") as measured:
        checks.needs(DATA_PRESENT)
        splits.update(corpus.load(place))
        content = corpus.digest(place)
        _same_digest(context.config["data"]["source"], content, place)
        context.digests["data"] = content
        context.counts["rows"] = {split: len(splits[split]) for split in SPLITS}
        counts = ", ".join(f"{len(splits[split])} {split}" for split in SPLITS)
        measured(f"{counts}; sha256 {content[:12]}")
    with checks.check(DATA_NONTRIVIAL, "data") as measured:
        checks.needs(DATA_ROWS)
        measured(_nontrivial(splits, context.config["train"]))
    return splits


def _model(context: Context, checks: Checks) -> None:
    deep, place = context.config["runtime"]["deep"], context.inputs.model
    with checks.check(MODEL_COMPLETE, "model") as measured:
        faults, facts = model_folder.check(place, deep=deep)
        context.counts["model_bytes"] = facts.get("bytes", 0)
        measured(f"{facts.get('files', 0)} files, {megabytes(facts.get('bytes', 0))}")
        if faults:
            raise Faults(f"{place}:", faults, "model")
        context.digests["model"] = _model_digest(context.config["model"]["source"], place)
    with checks.check(VOCABULARY, "model") as measured:
        checks.needs(MODEL_COMPLETE)
        known = vocabulary.of(place)
        if known is None:
            raise Skip("neither its weights nor its config say how many there are")
        measured(known.place)
    with checks.check(LORA_FITS, "user") as measured:
        checks.needs(MODEL_COMPLETE)
        depth = vocabulary.setting(place, "num_hidden_layers")
        wanted = context.config["adapter"]["layers"]
        if depth is None:
            raise Skip("the model's config does not say how many layers it has")
        measured(f"the last {wanted} of {depth} layers")
        if wanted > depth:
            name = context.config["model"]["name"]
            raise ThunderError(f"adapter.layers is {wanted}, {name} has {depth}; choose fewer")
    with checks.check(MODEL_REHASHED, "model") as measured:
        if not deep:
            raise Skip("deep=true re-hashes every byte of a hub snapshot")
        if not facts["deep"]:
            raise Skip("a plain folder has no digests to compare with")
        checks.needs(MODEL_COMPLETE)
        measured("every hash is the hub's")


def _model_digest(source: Mapping[str, Any], place: Path) -> str:
    """Return the digest of the model's content, or what names it without reading gigabytes."""
    if "digest" in source:
        return str(source["digest"])
    if "hub" in source:
        return digest.of_value({"hub": source["hub"], "commit": source["commit"]})
    return model_folder.digest(place)


def _fit(context: Context, checks: Checks, splits: Mapping[str, Any]) -> None:
    with checks.check(ROWS_FIT, "data") as measured:
        checks.needs(DATA_NONTRIVIAL)
        checks.needs(MODEL_COMPLETE)
        length = context.config["train"]["sequence_length"]
        rule = context.config["data"]["too_long"]
        counts = tokens.prepare(splits, context.inputs.model, length, rule, context.tokens)
        dropped = sum(count["dropped_too_long"] for count in counts.values())
        rows = ", ".join(f"{count['rows']} {split}" for split, count in counts.items())
        if warning := supervision.no_end_warning(counts):
            context.warnings.append(warning)
        long = f"{dropped} longer than {length} tokens {_rule_text(rule)}"
        measured("; ".join([rows, long, *context.warnings]))


def _checkpoint(context: Context, checks: Checks) -> None:
    with checks.check(EARLIER_CHECKPOINT, "verification") as measured:
        if not checkpoints.steps(context.folder):
            raise Skip("the run begins here")
        newest, warnings = checkpoints.latest(context.folder, state.LAYOUT)
        measured("; ".join([f"step {newest.step if newest else 0}", *warnings]))


def _ring(context: Context, checks: Checks, seats: Sequence[Seat]) -> None:
    world, cache = len(seats), Path(context.config["runtime"]["outputs"]) / folders.CACHE
    hosts = [seat.host for seat in placement.by_host(seats)]
    if placement.is_far(seats):
        checks = replace(checks, host=", ".join(hosts))
    with checks.check(HOSTS_REACH, "ranks") as measured:
        if len(hosts) == 1:
            raise Skip("all ranks are on this host")
        times = placement.latencies(seats)
        measured(", ".join(f"{way} {taken:.2f} ms" for way, taken in times.items()))
    with checks.check("ring smoke", "ranks") as measured:
        if world == 1:
            raise Skip("one rank needs no ring")
        if len(hosts) > 1:
            checks.needs(HOSTS_REACH)
        results = ranks.ring_smoke(world, cache, crew=crew.of(seats))
        latency = max(result["latency_ms"] for result in results)
        measured(f"size {world} on all {world} ranks, all-sum right, {latency:.2f} ms")


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


def _rule_text(rule: str) -> str:
    return "dropped" if rule == "drop" else "(they would be refused)"
