"""In the agent's place: the customer who called then answers what is said now, and the tools do what they are told."""

from __future__ import annotations

import pytest

from dialog_rl import metrics
from dialog_rl.browsing.standing_in import BY_HAND, NotDone, StandIn, read_call
from dialog_rl.episode import Episode, StopReason
from dialog_rl.errors import ConfigError
from tests.browsing.places import placed, served

TOOLS = {"find_order": {"order_id": "string", "count": "number"}, "end": {}}


@pytest.fixture
def logged() -> Episode:
    return served()


def written(stand_in: StandIn, logged: Episode) -> None:
    """Do by hand what was done then."""
    for turn in logged.turns[stand_in.turn :]:
        for step in turn.steps:
            call = step.message.tool_call
            if call is None:
                stand_in.say(step.message.text)
            else:
                given = " ".join(f"{name}='{value}'" for name, value in call.arguments.items())
                stand_in.call(f"{call.name} {given}")


def test_what_was_done_then_done_by_hand_leads_to_the_same_end(logged: Episode) -> None:
    stand_in = placed(1)
    assert [number for number, _ in stand_in.lines()][-1] == 1 and not stand_in.ended and stand_in.verdict() == []
    written(stand_in, logged)
    made = stand_in.episode("ann")
    assert stand_in.ended and metrics.success(made).reached and made.journal == logged.journal
    assert [step.result for step in made.steps] == [step.result for step in logged.steps]
    assert {step.policy_version for turn in made.turns[1:] for step in turn.steps} == {BY_HAND}
    assert made.episode_id != logged.episode_id and "turn 1, with ann in the agent's place" in made.note


def test_the_customer_answers_what_is_said_now(logged: Episode) -> None:
    stand_in = placed(0)
    stand_in.say("I would rather not tell you. Good bye.")
    assert [line.who for _, line in stand_in.lines()] == ["customer", "agent", "customer"]
    made = stand_in.episode("ann")
    assert made.stop is StopReason.ABORTED and not metrics.success(made).reached


def test_what_cannot_be_done_is_said_and_changes_nothing(logged: Episode) -> None:
    stand_in = placed(0)
    before = list(stand_in.lines())
    for deed, wrong in (
        (lambda: stand_in.say("  "), "empty"), (lambda: stand_in.call("fnd_order x=1"), "there is no tool"),
        (lambda: stand_in.call("find_order colour"), "write /find_order"), (lambda: stand_in.call("'"), "quotation"),
    ):  # fmt: skip
        with pytest.raises(NotDone, match=wrong):
            deed()
    assert list(stand_in.lines()) == before


@pytest.mark.parametrize("turn", [-1, 99])
def test_a_turn_that_is_not_there_is_named(logged: Episode, turn: int) -> None:
    with pytest.raises(ConfigError, match="there is no turn"):
        placed(turn)


def test_nobody_takes_a_place_in_a_turn_that_nobody_answered(logged: Episode) -> None:
    assert not logged.turns[-1].steps
    with pytest.raises(ConfigError, match="hung up"):
        placed(len(logged.turns) - 1)


def test_numbers_are_numbers_where_the_tool_wants_them() -> None:
    assert read_call("find_order order_id=33 count=2", TOOLS).arguments == {"order_id": "33", "count": 2}
    assert read_call("find_order order_id='a b' count=many", TOOLS).arguments == {"order_id": "a b", "count": "many"}
    assert read_call("end", TOOLS).arguments == {}


def test_who_takes_over_after_it_reads_every_step_with_ids(logged: Episode) -> None:
    stand_in = placed(1)
    stand_in.say("One moment.")
    history = stand_in.history(lambda seen: [len(list(seen))], lambda message: [len(message.text)])
    assert history[:-1] == tuple(step for turn in logged.turns[:1] for step in turn.steps)
    assert history[-1].action_ids == (len("One moment."),) and history[-1].observation_ids == (1,)
    stand_in.hand_back("v7", lambda conversation: conversation.stop(StopReason.USER_LEFT))
    assert stand_in.ended and "then handed back to v7" in stand_in.episode("ann").note
