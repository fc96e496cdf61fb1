"""What the rest of thunder must know of adapter jobs."""

from collections.abc import Iterator

from thunder.ground.kind import Config, Fault, Kind
from thunder.lanes.adapter.artifacts import REPORT


def _rules(config: Config) -> Iterator[Fault]:
    train = config["train"]
    weights, ranks = len(train["rank_weights"]), train["ranks"]
    if weights != ranks:
        yield ("train", "rank_weights"), f"{weights} weights for {ranks} ranks"


KINDS = {
    "adapter": Kind(
        "thunder.lanes.adapter.job:run",
        1,
        report=REPORT,
        backend="thunder.backends.mlx.describe",
        timed_by=(("model", "data", "train"), ("model", "data")),
        rules=_rules,
        recipes={
            "sentences": "thunder.corpora.build:builder_digest",
            "tiny_gemma4": "thunder.lanes.adapter.model.standin:builder_digest",
        },
        claims="thunder.lanes.adapter.results.claims:SUPPORT",
    ),
}
