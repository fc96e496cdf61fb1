"""What the rest of thunder must know of the kind that computes next to nothing."""

from thunder.ground.kind import Kind

KINDS = {
    "dry": Kind(
        "thunder.lanes.dry.job:run",
        1,
        timed_by=(("dry",),),
        stands_for_any=True,
    ),
}
