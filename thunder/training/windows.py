"""Bounded slices of training: at which absolute steps a walk stops."""


def stops(start: int, goal: int, window: int | None) -> list[int]:
    """Return the absolute steps at which windows end, from the step after `start` to the goal.

    Windows end at multiples of their length whatever the start, so that a run that was cut short
    falls back into step: from 7 with a window of 10 to 30 they end at 10, 20 and 30.
    """
    if goal <= start:
        return []
    if window is None:
        return [goal]
    first = (start // window + 1) * window
    return [*range(first, goal, window), goal]
