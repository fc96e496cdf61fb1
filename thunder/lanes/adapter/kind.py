"""What the rest of thunder must know of adapter jobs."""

from collections.abc import Iterator

from thunder.ground.kind import Config, Fault, Kind
from thunder.lanes.adapter import strategy
from thunder.lanes.adapter.artifacts import REPORT


def _rules(config: Config) -> Iterator[Fault]:
    yield from strategy.faults(config["train"])
    ranks = config["train"]["ranks"]
    hosts = [host["name"] for host in config["runtime"]["site"]["ranks_on"]]
    if ranks % len(hosts):
        named = f"{len(hosts)} hosts ({', '.join(hosts)})"
        yield ("train", "ranks"), f"{ranks} ranks over {named}: use a multiple of {len(hosts)}"


KINDS = {
    "adapter": Kind(
        "thunder.lanes.adapter.job:run",
        1,
        report=REPORT,
        backend="thunder.backends.mlx.describe",
        speed="thunder.backends.mlx.speed",
        metrics=(
            "valid_loss", "valid_loss_start", "valid_loss_drop", "valid_tokens", "train_loss",
            "tokens_seen", "tokens_per_second", "grad_norm_max", "trainable_parameters",
            "train_seconds", "loss", "learning_rate", "grad_norm", "tokens", "seconds",
            "peak_memory_bytes",
        ),
        alike=("data", "model"),
        timed_by=(("model", "data", "train"), ("model", "data")),
        rules=_rules,
        room="thunder.lanes.adapter.room:of",
        reads={"data": "thunder.corpora.corpus:names"},
        lacks={
            "data": "thunder.corpora.corpus:lacks",
            "model": "thunder.lanes.adapter.input_checks:model_lacks",
        },
        there="thunder.lanes.adapter.there",
        recipes={
            "sentences": "thunder.corpora.build:builder_digest",
            "tiny_gemma4": "thunder.lanes.adapter.model.standin:builder_digest",
        },
        claims="thunder.lanes.adapter.results.claims:SUPPORT",
    ),
}  # fmt: skip
