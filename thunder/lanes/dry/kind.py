"""What the rest of thunder must know of the kind that computes next to nothing."""

from thunder.ground.kind import Kind

KINDS = {
    "dry": Kind(
        "thunder.lanes.dry.job:run",
        1,
        metrics=("value", "value_squared", "seed"),
        timed_by=(("dry",),),
        stands_for_any=True,
    ),
}
