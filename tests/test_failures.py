"""Why conversations failed, and what is doubtful about a benchmark's score: each name stands for one thing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from dialog_rl import failures
from dialog_rl.episode import Change, Episode, StopReason
from dialog_rl.testing.episodes import called, garbled, make_episode

PATCH = [{"path": "orders/1/status", "before": "pending", "after": "cancelled"}]
WANTED = {"success": {"db": {"patch": PATCH}, "communicate": [{"any_of": ["54.04"]}]}}
DONE = (Change(path="orders/1/status", before="pending", after="cancelled"),)
TOLD = ("cancel it", "It is cancelled, you get 54.04 back.")


def failed(*turns: Any, **facts: Any) -> tuple[str, ...]:
    return failures.reasons(make_episode(*turns, **{"scenario": WANTED, "journal": DONE, **facts}))


def test_a_success_has_no_reasons_and_a_chat_about_nothing_has_none_either() -> None:
    assert failed(TOLD) == ()
    assert failed(("hello", "Hello."), scenario={}) == ()


@pytest.mark.parametrize(
    ("turns", "facts", "why"),
    [
        ([TOLD], {"journal": ()}, failures.UNDONE),
        ([TOLD], {"journal": (*DONE, Change(path="orders/2/status", before="a", after="b"))}, failures.MISDONE),
        ([("cancel it", "It is cancelled.")], {}, failures.UNTOLD),
        ([TOLD], {"stop": StopReason.CONTEXT_FULL}, failures.CONTEXT),
        ([TOLD], {"stop": StopReason.MAX_TURNS}, failures.TURNS),
    ],
)
def test_each_thing_that_went_wrong_is_named(turns: list[Any], facts: Mapping[str, Any], why: str) -> None:
    assert failed(*turns, **facts) == (why,)


def test_a_tool_that_is_not_there_is_another_reason_than_one_that_refuses_or_a_call_nobody_can_read() -> None:
    unknown = called("get_order", "error: no tool get_order", error=True)
    assert failed(("cancel it", unknown, "Done.")) == (failures.UNKNOWN_TOOL, failures.UNTOLD)
    assert failed(("cancel it", garbled("<call>{"), "Done.")) == (failures.UNREADABLE, failures.UNTOLD)


def by_benchmark(*turns: Any, benchmark: Mapping[str, Any], **facts: Any) -> tuple[str, ...]:
    episode: Episode = make_episode(*turns, **{"scenario": {**WANTED, "benchmark": benchmark}, **facts})
    return failures.holes(episode)


def test_a_benchmark_that_asks_for_nothing_pays_for_doing_nothing_and_we_do_not_count_it() -> None:
    found = by_benchmark(("cancel it", "..."), benchmark={"gate": ["db"], "db": {"patch": []}})
    assert found == (failures.IDLE, failures.NOT_OURS)


def test_a_score_that_was_earned_has_no_holes_and_what_is_not_paid_has_none() -> None:
    assert by_benchmark(TOLD, benchmark={"gate": ["db"], "db": {"patch": PATCH}}, journal=DONE) == ()
    assert by_benchmark(TOLD, benchmark={"gate": ["db"], "db": {"patch": PATCH}}) == ()


def test_a_judge_that_is_not_there_is_named() -> None:
    benchmark = {"gate": ["db"], "db": {"patch": PATCH}, "unjudged": ["NL_ASSERTION"]}
    assert by_benchmark(TOLD, benchmark=benchmark, journal=DONE) == (failures.UNJUDGED,)
