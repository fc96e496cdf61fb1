"""What must hold before training starts: each check measured, a failed one named by its cause."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from thunder.ground import folders
from thunder.ground.errors import ThunderError
from thunder.lanes.adapter import input_checks, machine, strategy
from thunder.lanes.adapter.context import Context
from thunder.lanes.adapter.data import supervision, tokens
from thunder.lanes.adapter.input_checks import DATA_ROWS, MODEL_COMPLETE
from thunder.lanes.adapter.model import split_plan, vocabulary
from thunder.lanes.adapter.training import crew, ranks, state
from thunder.training import checkpoints, events, host_checks, host_links, placement
from thunder.training.events import Emit
from thunder.training.placement import Slot
from thunder.training.preflight import Checks, Skip, megabytes

# Checks that others need, or that the report has a place for.
DATA_NONTRIVIAL = "data set nontrivial"
ROWS_FIT = "rows fit the window"
VOCABULARY = "token ids of the model"
LORA_FITS = "LoRA fits the model"
SPLIT = "split over the ranks"
EARLIER_CHECKPOINT = "earlier checkpoint"


def run(
    context: Context,
    checks: Checks,
    blas: Mapping[str, Any],
    emit: Emit = lambda event: None,
) -> None:
    """Check everything that is there, also on the hosts of the ranks, and tokenise the corpus.

    Digests, counts and warnings go into the context. The caller shows the rows and raises if one
    has failed: see `refuse`.
    """
    splits = _data(context, checks)
    _model(context, checks)
    _fit(context, checks, splits)
    ranks_here = context.config["train"]["ranks"] - len(host_checks.far_ranks(context.config))
    machine.versions(checks)
    machine.blas(checks, blas)
    machine.room(checks, context.folder)
    # One process reads the checkpoint again here, wherever it was trained.
    weights = context.counts.get("rank_bytes", context.counts.get("model_bytes", 0))
    machine.memory(checks, weights, max(1, ranks_here))
    _hosts(context, checks, emit)


def meet(context: Context, checks: Checks, slots: Sequence[Slot]) -> None:
    """Check what the ranks go on from, and that they form a ring at their places."""
    _checkpoint(context, checks)
    _ring(context, checks, slots)


def refuse(checks: Checks) -> None:
    """Raise Faults if a check has failed."""
    checks.refuse("the preflight failed; nothing was trained:")


def _data(context: Context, checks: Checks) -> dict[str, Any]:
    source = context.config["data"]["source"]
    found: dict[str, Any] = {}
    splits = input_checks.data(checks, context.inputs.data, source, found)
    _keep(context, found)
    with checks.check(DATA_NONTRIVIAL, "data") as measured:
        checks.needs(DATA_ROWS)
        measured(_nontrivial(splits, context.config["train"]))
    return splits


def _model(context: Context, checks: Checks) -> None:
    deep, place = context.config["runtime"]["deep"], context.inputs.model
    found: dict[str, Any] = {}
    source = context.config["model"]["source"]
    facts = input_checks.model(checks, place, source, found, deep=deep)
    _keep(context, found)
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
    if strategy.splits_model(context.config["train"]):
        _split(context, checks)
    input_checks.rehashed(checks, facts, deep=deep)


def _split(context: Context, checks: Checks) -> None:
    place, world = context.inputs.model, context.config["train"]["ranks"]
    with checks.check(SPLIT, "user") as measured:
        checks.needs(LORA_FITS)
        plan = split_plan.of_job(place, context.config)
        context.counts["rank_bytes"] = plan.per_rank(world)
        measured(f"{megabytes(plan.split)} over {world} ranks, {megabytes(plan.whole)} on each")


def _keep(context: Context, found: Mapping[str, Any]) -> None:
    """Keep what was found out of the inputs: digests apart from counts."""
    for name, value in found.items():
        (context.digests if name in ("data", "model") else context.counts)[name] = value


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


def _hosts(context: Context, checks: Checks, emit: Emit) -> None:
    """Check the hosts behind ssh that ranks run on, by what was found here."""
    here = {"data": context.inputs.data, "model": context.inputs.model}
    if host_checks.far_ranks(context.config):
        emit(events.phase("preflight", "the hosts of the ranks"))
        host_checks.run(context.config, here, checks, emit)
        return
    with checks.check(host_links.HOSTS_REACH, "ranks"):
        raise Skip("all ranks are on this host")


def _ring(context: Context, checks: Checks, slots: Sequence[Slot]) -> None:
    world, cache = len(slots), Path(context.config["runtime"]["outputs"]) / folders.CACHE
    if placement.is_far(slots):
        hosts = [slot.host for slot in placement.by_host(slots)]
        checks = replace(checks, host=", ".join(hosts))
    with checks.check("ring smoke", "ranks") as measured:
        if world == 1:
            raise Skip("one rank needs no ring")
        results = ranks.ring_smoke(world, cache, crew=crew.of(slots))
        latency = max(result["latency_ms"] for result in results)
        measured(f"size {world} on all {world} ranks, all-sum right, {latency:.2f} ms")


def _nontrivial(splits: Mapping[str, Any], train: Mapping[str, Any]) -> str:
    answers = {row["messages"][-1]["content"] for row in splits["train"]}
    per_step = train["batch_size"] * sum(strategy.turns(train))
    rows = len(splits["train"])
    if rows < per_step or len(answers) < 2:
        raise ThunderError(
            f"train has {rows} rows with {len(answers)} different answers; "
            f"at least {per_step} rows (one step) and 2 answers are needed"
        )
    return f"{len(answers)} different answers in {rows} training rows"


def _rule_text(rule: str) -> str:
    return "dropped" if rule == "drop" else "(they would be refused)"
