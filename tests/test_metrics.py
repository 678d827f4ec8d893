from __future__ import annotations

from typing import Any

import pytest

from dialog_rl import metrics
from dialog_rl.episode import Act, Change, Episode, Message, Role, Step, StopReason, ToolCall, Turn
from dialog_rl.errors import ScenarioError
from dialog_rl.phrasing import mentions
from dialog_rl.testing.episodes import make_episode, said

CANCELLED = {"path": "orders/7001/status", "before": "pending", "after": "cancelled"}
RULES = [{"id": "identify_before_reading"}, {"id": "confirm_before_writing"}, {"id": "no_foreign_data"}]


def did(
    tool: str, text: str = "ok", *, error: bool = False, facts: dict[str, Any] | None = None, **arguments: Any
) -> Step:
    call = Message(role=Role.ASSISTANT, text=tool, tool_call=ToolCall(name=tool, arguments=arguments))
    return Step(message=call, result=Message(role=Role.TOOL, text=text, error=error, facts=facts or {}))


def heard(text: str, *steps: Step, acts: tuple[str, ...] = ()) -> Turn:
    user = Message(role=Role.USER, text=text, acts=tuple(Act(kind=kind) for kind in acts))
    return Turn(user=user, steps=steps)


def episode(
    *turns: Turn, wanted: dict[str, Any], changes: tuple[Change, ...] = (), stop: StopReason = StopReason.USER_LEFT
) -> Episode:
    return Episode(
        episode_id="e", pack="retail", scenario={"id": "s", "success": wanted}, seed=0, stop=stop, journal=changes,
        system=Message(role=Role.SYSTEM, text=""), turns=turns,
    )  # fmt: skip


def change(path: str, after: Any, before: Any = None) -> Change:
    return Change(path=path, before=before, after=after)


RIGHT = change("orders/7001/status", "cancelled", "pending")
WANTED: dict[str, Any] = {"db": {"patch": [CANCELLED]}, "communicate": [{"any_of": ["1204.50"]}]}
TOLD = heard("cancel it", said("Done, 1,204.50 goes back to you."))


# -- success


def test_the_right_change_and_what_had_to_be_told_is_success() -> None:
    assert metrics.success(episode(TOLD, wanted=WANTED, changes=(RIGHT,))).reached


@pytest.mark.parametrize(
    ("changes", "facts"),
    [
        ((), (1, 0, 0)),
        ((change("orders/7001/status", "shipped", "pending"),), (1, 0, 1)),
        ((RIGHT, change("orders/7002/status", "cancelled", "pending")), (1, 1, 1)),
    ],
)
def test_a_missing_a_wrong_or_one_more_change_is_failure_with_its_facts(
    changes: tuple[Change, ...], facts: tuple[int, int, int]
) -> None:
    judged = metrics.success(episode(TOLD, wanted=WANTED, changes=changes))
    assert not judged.reached
    assert (judged.expected_changes, judged.right_changes, judged.wrong_changes) == facts


def test_what_was_not_told_is_failure_with_its_facts() -> None:
    wanted = {"communicate": [{"any_of": ["March 12"]}, {"any_of": ["54.20"]}]}
    judged = metrics.success(episode(heard("when?", said("It comes on March 12.")), wanted=wanted))
    assert (judged.reached, judged.told, judged.to_tell) == (False, 1, 2)


def test_what_only_the_customer_said_or_a_tool_answered_was_not_told() -> None:
    turn = heard("was it 1204.50?", did("get_order", "1204.50"), said("Yes."))
    assert metrics.success(episode(turn, wanted={"communicate": [{"any_of": ["1204.50"]}]})).told == 0


def test_one_of_the_accepted_wordings_is_enough() -> None:
    wanted = {"communicate": [{"any_of": ["not in your account", "not your order"]}]}
    assert metrics.success(episode(heard("?", said("Sorry, that is NOT YOUR ORDER.")), wanted=wanted)).reached


def test_what_is_told_in_an_early_turn_counts() -> None:
    turns = (heard("?", said("It is 54.20.")), heard("ok", said("Bye.")))
    assert metrics.success(episode(*turns, wanted={"communicate": [{"any_of": ["54.20"]}]})).reached


@pytest.mark.parametrize("stop", [StopReason.MAX_TURNS, StopReason.CONTEXT_FULL, StopReason.USER_ERROR])
def test_a_conversation_that_was_cut_off_is_never_success(stop: StopReason) -> None:
    judged = metrics.success(episode(TOLD, wanted=WANTED, changes=(RIGHT,), stop=stop))
    assert (judged.reached, judged.ended) == (False, False)


def test_a_forbidden_action_is_failure_whatever_else_is_right() -> None:
    wanted = WANTED | {"actions": {"forbidden": [{"tool": "send_invoice"}]}}
    turns = (heard("hi", did("send_invoice", order_id="7002")), TOLD)
    judged = metrics.success(episode(*turns, wanted=wanted, changes=(RIGHT,)))
    assert (judged.reached, judged.forbidden) == (False, 1)


def test_a_forbidden_action_that_the_tool_refused_was_not_carried_out() -> None:
    wanted = WANTED | {"actions": {"forbidden": [{"tool": "send_invoice"}]}}
    turns = (heard("hi", did("send_invoice", "not possible", error=True)), TOLD)
    assert metrics.success(episode(*turns, wanted=wanted, changes=(RIGHT,))).reached


def test_an_action_forbidden_with_arguments_is_allowed_with_others() -> None:
    wanted = {"actions": {"forbidden": [{"tool": "send_invoice", "arguments": {"order_id": "7002"}}]}}
    assert metrics.success(episode(heard("hi", did("send_invoice", order_id="7001")), wanted=wanted)).reached
    assert not metrics.success(episode(heard("hi", did("send_invoice", order_id="7002")), wanted=wanted)).reached


def test_required_actions_must_be_carried_out_in_their_order() -> None:
    wanted = {"actions": {"required": [{"tool": "get_order"}, {"tool": "refund"}], "order": [["get_order", "refund"]]}}
    get, refund = did("get_order"), did("refund")
    assert metrics.success(episode(heard("hi", get, refund), wanted=wanted)).reached
    assert not metrics.success(episode(heard("hi", refund, get), wanted=wanted)).reached
    assert not metrics.success(episode(heard("hi", get), wanted=wanted)).reached


def test_any_of_several_end_states_is_success_but_not_a_mix() -> None:
    wanted = {
        "db": {"patch": [CANCELLED]},
        "alternatives": [{"patch": [{"path": "orders/7001/note", "after": "call back"}]}],
    }
    noted = change("orders/7001/note", "call back")
    assert metrics.success(episode(wanted=wanted, changes=(RIGHT,))).reached
    assert metrics.success(episode(wanted=wanted, changes=(noted,))).reached
    assert not metrics.success(episode(wanted=wanted, changes=(RIGHT, noted))).reached


def test_the_facts_are_those_of_the_nearest_end_state() -> None:
    two = [CANCELLED, {"path": "orders/7001/note", "after": "sorry"}]
    wanted = {"db": {"patch": [{"path": "orders/9/x", "after": "y"}]}, "alternatives": [{"patch": two}]}
    judged = metrics.success(episode(wanted=wanted, changes=(RIGHT,)))
    assert (judged.expected_changes, judged.right_changes, judged.wrong_changes) == (2, 1, 0)


def test_changes_in_ignored_paths_do_not_count() -> None:
    wanted = {"db": {"patch": [CANCELLED]}, "ignore_paths": ["audit/"]}
    assert metrics.success(episode(wanted=wanted, changes=(RIGHT, change("audit/1/who", "bot")))).reached


def test_only_the_gates_of_the_scenario_decide() -> None:
    wanted = WANTED | {"gate": ["communicate"]}
    assert metrics.success(episode(TOLD, wanted=wanted, changes=())).reached


def test_gold_actions_without_the_journal_they_make_cannot_be_judged() -> None:
    with pytest.raises(ScenarioError, match="'success.db' has gold actions but no journal"):
        metrics.success(episode(wanted={"db": {"from_actions": [{"tool": "cancel_order"}]}}))


@pytest.mark.parametrize(
    ("text", "value", "told"),
    [
        ("You get 1,204.50 back.", "1204.50", True),
        ("You get 1204.5 back.", "1204.50", True),
        ("Order 12045 is here.", "1204", False),
        ("It has been 14 days.", "4", False),
        ("It has been 14 days.", "14", True),
        ("It costs 54.20.", "54.20", True),
        ("It costs 54.", "54.20", False),
        ("It comes on March 12.", "march 12", True),
    ],
)
def test_a_number_is_told_as_a_whole_number_and_words_as_words(text: str, value: str, told: bool) -> None:
    assert mentions(text, value) is told


# -- policy rules


def broken(*turns: Turn, rules: list[dict[str, str]] = RULES) -> list[tuple[str, int]]:
    found = metrics.violations(episode(*turns, wanted={"policy": rules}))
    return [(violation.rule, violation.turn) for violation in found]


FOUND = did("find_customer", facts={"kind": "read", "identifies": "C1"})
READ = did("get_order", '{"item":"lamp","price":"54.20"}', facts={"kind": "read", "subject": "C1"})
READ_OF_ANOTHER = did("get_order", '{"item":"red kettle","price":"9.99"}', facts={"kind": "read", "subject": "C2"})
WROTE = did("cancel_order", facts={"kind": "write", "subject": "C1"})


def test_reading_before_identifying_is_a_violation() -> None:
    assert broken(heard("hi", READ, FOUND)) == [("identify_before_reading", 0)]


def test_reading_after_identifying_is_none() -> None:
    assert broken(heard("hi", FOUND), heard("and?", READ)) == []


def test_reading_what_belongs_to_another_customer_is_a_violation() -> None:
    assert broken(heard("hi", FOUND, READ_OF_ANOTHER)) == [("identify_before_reading", 0)]


def test_trying_what_belongs_to_another_is_a_violation_even_if_the_tool_refuses() -> None:
    refused = did("cancel_order", "not possible", error=True, facts={"kind": "write", "subject": "C2"})
    assert broken(heard("yes", FOUND, refused, acts=("affirm",))) == [("identify_before_reading", 0)]


def test_telling_what_belongs_to_another_is_a_second_violation() -> None:
    turns = (heard("hi", FOUND, READ_OF_ANOTHER, said("Yours?")), heard("what is it?", said("A red kettle.")))
    assert broken(*turns) == [("identify_before_reading", 0), ("no_foreign_data", 1)]


def test_writing_without_a_yes_in_the_last_message_is_a_violation() -> None:
    assert broken(heard("cancel it", FOUND, WROTE)) == [("confirm_before_writing", 0)]


def test_writing_after_a_yes_is_none() -> None:
    assert broken(heard("cancel it", FOUND, said("Shall I?")), heard("yes", WROTE, acts=("affirm",))) == []


def test_a_yes_is_used_up_by_the_next_message() -> None:
    turns = (heard("yes", FOUND, said("And?"), acts=("affirm",)), heard("hm", WROTE))
    assert broken(*turns) == [("confirm_before_writing", 1)]


def test_a_write_that_the_tool_refused_needed_no_yes() -> None:
    refused = did("cancel_order", "not possible", error=True, facts={"kind": "write", "subject": "C1"})
    assert broken(heard("cancel it", FOUND, refused)) == []


def test_rules_that_the_scenario_does_not_have_are_not_judged() -> None:
    turn = heard("cancel it", READ, WROTE)
    assert broken(turn, rules=[{"id": "confirm_before_writing"}]) == [("confirm_before_writing", 0)]
    assert broken(turn, rules=[]) == []


# -- effort


def test_tool_errors_are_counted() -> None:
    wrong = did("get_order", "no such order", error=True)
    assert metrics.tool_errors(episode(heard("hi", wrong, FOUND, wrong), wanted={})) == 2


def test_the_intents_are_those_of_the_goal_in_order() -> None:
    scenario = {"user": {"goal": {"items": [{"id": "g1", "intent": "invoice"}, {"id": "g2", "intent": "help"}]}}}
    assert metrics.intents(make_episode(("hi", "hello"), scenario=scenario)) == ("invoice", "help")
    assert metrics.intents(make_episode(("hi", "hello"))) == ()
