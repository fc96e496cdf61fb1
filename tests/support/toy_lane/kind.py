"""What the rest of thunder must know of toy jobs."""

from collections.abc import Iterator

from thunder.ground.kind import Config, Fault, Kind


def _rules(config: Config) -> Iterator[Fault]:
    if config["train"]["steps"] % 2:
        yield ("train", "steps"), "odd; a toy counts in twos"


KINDS = {
    "toy": Kind(
        "toy_lane.job:run",
        1,
        artifacts=("counted.json",),
        metrics=("counted",),
        headline="counted",
        told_by=("seed",),
        timed_by=(("train",),),
        rules=_rules,
        tables="toy_lane.tables",
        claims="toy_lane.claims:SUPPORT",
    )
}
