"""Figures that change over a run."""

from __future__ import annotations

import math

import pytest

from dialog_rl.rl.schedules import Schedule, between, factor


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        (Schedule.CONSTANT, [1, 1, 1, 1]),
        (Schedule.LINEAR, [1, 0.75, 0.5, 0.25]),
        (Schedule.COSINE, [(1 + math.cos(math.pi * k / 4)) / 2 for k in range(4)]),
    ],
)
def test_the_factor_follows_its_curve(schedule: Schedule, expected: list[float]) -> None:
    assert [factor(schedule, update, 4) for update in range(4)] == pytest.approx(expected)


def test_a_warmup_rises_in_equal_steps_and_the_curve_begins_after_it() -> None:
    assert [factor(Schedule.LINEAR, update, 4, warmup=2) for update in range(4)] == pytest.approx(
        [1 / 3, 2 / 3, 1, 0.5]
    )


def test_a_line_goes_from_the_first_to_the_last() -> None:
    assert [between(1.2, 0.8, update, 3) for update in range(3)] == pytest.approx([1.2, 1.0, 0.8])
    assert between(1.2, 0.8, 0, 1) == 1.2
