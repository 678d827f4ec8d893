"""Slots on the command line: a report by class, before and after the reward."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Run = Callable[..., Any]
FEW = ("--examples", "40", "--practice", "40", "--held-out", "40", "--epochs", "4")


def test_the_report_has_a_row_for_each_slot_and_one_for_all(run: Run) -> None:
    done = run("slots", *FEW)
    assert done.code == 0
    assert "F1 after reward" in done.out
    assert "order_id" in done.out and "all" in done.out
