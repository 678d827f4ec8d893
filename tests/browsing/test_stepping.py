"""An episode turn by turn: who said what, and where somebody who looks for mistakes would stop."""

from __future__ import annotations

from dataclasses import replace

from dialog_rl.browsing.closely import Closely, StepClosely
from dialog_rl.browsing.stepping import opened
from dialog_rl.episode import Message, Role, Step, ToolCall
from tests.browsing.made import TROUBLED, episode, rated, said, turn


def test_turns_tell_who_said_what_in_order() -> None:
    first = opened(episode(1, *TROUBLED)).turns[0]
    assert [(line.who, line.text, line.bad) for line in first.lines] == [
        ("customer", "cancel order 7", False), ("call", "cancel {}", True), ("answer", "error: who are you?", True),
        ("agent", "Who are you?", False),
    ]  # fmt: skip


def test_points_are_where_something_went_wrong() -> None:
    found = opened(episode(1, *TROUBLED), [rated("e1", -1.0, 2), rated("e1", 1.0, 0)])
    assert [(point.turn, point.why.partition(":")[0]) for point in found.points] == [
        (0, "tool error"), (1, "the customer did not understand the reply before"), (2, "rated -1"),
    ]  # fmt: skip


def test_what_could_not_be_read_as_a_call_is_a_point() -> None:
    broken = Step(message=Message(role=Role.ASSISTANT, text="cancel {", malformed="no end"), result=None)
    (point,) = opened(episode(1, turn("x", broken, said("y")))).points
    assert point.why == "not a call: no end"


def test_a_conversation_without_mistakes_has_no_points() -> None:
    assert opened(episode()).points == ()


def test_the_verdict_says_how_it_ended_and_what_people_thought() -> None:
    verdict = opened(episode(), [rated("e1", 0.5, None, comment="quick")]).verdict
    assert verdict[0] == "ended: user_left" and verdict[1].startswith("success: yes")
    assert verdict[-1] == "rated +0.5 by ann (the whole) quick"


def test_a_reply_that_was_compared_and_not_rated_is_said_to_be() -> None:
    compared = replace(rated("e1", 0.0, 0), value=None, extra={"pair": {}})
    assert opened(episode(), [compared]).turns[0].opinions == ("compared by ann (turn 0)",)


def test_a_broken_rule_names_the_call_that_broke_it() -> None:
    call = ToolCall(name="cancel", arguments={"order": "7"})
    hasty = Step(
        message=Message(role=Role.ASSISTANT, text='{"name":"cancel"}', tool_call=call),
        result=Message(role=Role.TOOL, text="ok", facts={"kind": "write"}),
    )
    one = episode(1, turn("cancel it", hasty, said("done")))
    success = {**one.scenario["success"], "policy": [{"id": "confirm_before_writing"}]}
    verdict = opened(replace(one, scenario={**one.scenario, "success": success})).verdict
    assert "rule broken in turn 0: confirm before writing: cancel 7" in verdict


def test_a_turn_that_cost_something_is_a_drop() -> None:
    steps = [(StepClosely(text="a", tokens=(), reward=r),) for r in (0.5, -0.25, None)]
    (drop,) = Closely(turns=tuple(steps), told="").drops
    assert drop.turn == 1 and drop.why == "reward -0.25"
