"""Which step is asked for: the target, or else the window, or else all; never more than all."""

from typing import Any

import pytest

from thunder.ground import steps


@pytest.mark.parametrize(
    ("window", "target", "goal"),
    [(None, None, 80), (10, None, 10), (10, 30, 30), (None, 30, 30), (10, 90, 80), (90, None, 80)],
)
def test_the_goal_is_the_target_or_the_window_or_all(
    window: int | None, target: int | None, goal: int
) -> None:
    config = {"train": {"steps": 80}, "runtime": {"window": window, "target": target}}
    assert (steps.goal(config), steps.total(config)) == (goal, 80)


@pytest.mark.parametrize("sections", [{}, {"train": {"epochs": 3}}])
def test_a_kind_without_steps_has_no_goal(sections: dict[str, Any]) -> None:
    config = {**sections, "runtime": {"window": None, "target": None}}
    assert (steps.goal(config), steps.total(config)) == (None, None)
