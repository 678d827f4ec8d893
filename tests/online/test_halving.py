"""The worse half is given up, and the rest is trained twice as long."""

from __future__ import annotations

import pytest

from dialog_rl.online.halving import rungs, survivors


@pytest.mark.parametrize(
    ("candidates", "updates", "expected"),
    [(1, 8, (8,)), (2, 8, (4, 8)), (4, 8, (2, 4, 8)), (5, 8, (1, 2, 4, 8)), (8, 4, (1, 2, 4)), (3, 1, (1,))],
)
def test_each_rung_has_twice_the_updates(candidates: int, updates: int, expected: tuple[int, ...]) -> None:
    assert rungs(candidates, updates) == expected


def test_the_better_half_goes_on() -> None:
    assert survivors({"a": 0.1, "b": 0.4, "c": 0.3, "d": 0.2}) == ("b", "c")
    assert survivors({"a": 0.1, "b": 0.4, "c": 0.3}) == ("b", "c")
    assert survivors({"a": 0.1}) == ("a",)


def test_of_equals_the_first_named_goes_on() -> None:
    assert survivors({"a": 0.5, "b": 0.5}) == ("a",)
