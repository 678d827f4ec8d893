"""The state machine of one episode: who speaks next, and how it ends."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dialog_rl.conversation import Conversation, Limits, UserReply
from dialog_rl.episode import Change, Message, Role, StopReason, ToolCall

SYSTEM = Message(role=Role.SYSTEM, text="be kind")


class Parrot:
    """A user who says hello, repeats what they hear, and leaves at "bye"."""

    def __init__(self, leaves_at_once: bool = False) -> None:
        self._leaves_at_once = leaves_at_once

    def open(self) -> UserReply:
        return UserReply(message=Message(role=Role.USER, text="hello"), leaves=self._leaves_at_once)

    def reply(self, message: Message) -> UserReply:
        if message.text == "boom":
            raise RuntimeError("out of crackers")
        return UserReply(message=Message(role=Role.USER, text=f"{message.text}?"), leaves=message.text == "bye")


class Shelf:
    """Tools: `put` changes something, `end` ends the conversation unless it is told `fail`."""

    def __init__(self) -> None:
        self.calls: list[ToolCall] = []

    def call(self, call: ToolCall) -> Message:
        self.calls.append(call)
        return Message(role=Role.TOOL, text=f"did {call.name}", error="fail" in call.arguments)

    def journal(self) -> tuple[Change, ...]:
        return tuple(Change(path=f"shelf/{n}", before=None, after=c.name) for n, c in enumerate(self.calls))

    def ends_conversation(self, call: ToolCall) -> bool:
        return call.name == "end"


def converse(limits: Limits = Limits(), user: Parrot | None = None, tools: Shelf | None = None) -> Conversation:
    return Conversation(
        episode_id="e1", pack="retail", scenario={"id": "s1"}, seed=5, system=SYSTEM,
        user=user or Parrot(), tools=tools or Shelf(), limits=limits,
    )  # fmt: skip


def says(text: str) -> Message:
    return Message(role=Role.ASSISTANT, text=text)


def calls(name: str, **arguments: str) -> Message:
    return Message(role=Role.ASSISTANT, text=name, tool_call=ToolCall(name=name, arguments=arguments))


def texts(messages: tuple[Message, ...]) -> list[str]:
    return [m.text for m in messages]


def test_at_first_the_policy_has_seen_neither_the_brief_nor_the_opening() -> None:
    assert texts(converse().unobserved()) == ["be kind", "hello"]


def test_a_reply_is_answered_by_the_user() -> None:
    conversation = converse()
    conversation.act(says("hi"))
    assert texts(conversation.unobserved()) == ["hi?"]


def test_a_call_is_answered_by_the_tools() -> None:
    conversation = converse()
    conversation.act(calls("put"))
    assert texts(conversation.unobserved()) == ["did put"]


def test_what_cannot_be_read_as_a_call_is_answered_with_what_was_wrong_and_not_run() -> None:
    tools = Shelf()
    conversation = converse(tools=tools)
    conversation.act(replace(calls("put"), malformed="the call is not JSON"))
    (answer,) = conversation.unobserved()
    assert answer.error and answer.text == "error: the call is not JSON" and not tools.calls


def test_each_message_is_unobserved_once() -> None:
    conversation = converse()
    seen = texts(conversation.unobserved())
    for message in (calls("put"), says("hi"), says("bye")):
        conversation.act(message)
        seen += texts(conversation.unobserved())
    assert seen == ["be kind", "hello", "did put", "hi?"]


def test_the_user_leaves_after_their_last_word() -> None:
    conversation = converse()
    conversation.act(says("bye"))
    episode = conversation.episode()
    assert episode.stop is StopReason.USER_LEFT and not conversation.unobserved()
    assert texts(tuple(episode.messages())) == ["be kind", "hello", "bye", "bye?"]


def test_a_user_may_leave_at_once() -> None:
    conversation = converse(user=Parrot(leaves_at_once=True))
    assert conversation.stopped is StopReason.USER_LEFT
    assert texts(tuple(conversation.episode().messages())) == ["be kind", "hello"]


def test_nobody_acts_after_the_end() -> None:
    conversation = converse()
    conversation.act(says("bye"))
    with pytest.raises(ValueError, match="has ended"):
        conversation.act(says("wait"))


def test_there_is_no_episode_before_the_end() -> None:
    with pytest.raises(ValueError, match="has not ended"):
        converse().episode()


def test_a_tool_may_end_the_conversation() -> None:
    conversation = converse()
    conversation.act(calls("end"))
    assert conversation.stopped is StopReason.AGENT_DONE


def test_a_refused_ending_ends_nothing() -> None:
    conversation = converse()
    conversation.act(calls("end", fail="yes"))
    assert conversation.stopped is None and texts(conversation.unobserved()) == ["did end"]


def test_the_agent_answers_so_many_messages_and_no_more() -> None:
    conversation = converse(Limits(turns=2))
    conversation.act(says("one"))
    assert conversation.stopped is None
    conversation.act(says("two"))
    assert conversation.stopped is StopReason.MAX_TURNS


def test_calls_within_a_turn_are_limited_and_counted_anew_in_the_next() -> None:
    conversation = converse(Limits(calls=2))
    for message in (calls("put"), says("hi"), calls("put")):
        conversation.act(message)
    assert conversation.stopped is None
    conversation.act(calls("put"))
    assert conversation.stopped is StopReason.MAX_TURNS


def test_a_broken_simulator_is_data_with_its_reason() -> None:
    conversation = converse()
    conversation.act(says("boom"))
    episode = conversation.episode()
    assert episode.stop is StopReason.USER_ERROR
    assert episode.note == "the user simulator failed: RuntimeError: out of crackers"


def test_what_was_said_before_the_simulator_broke_is_kept() -> None:
    conversation = converse()
    conversation.act(calls("put"))
    conversation.act(says("boom"))
    assert texts(tuple(conversation.episode().messages())) == ["be kind", "hello", "put", "did put", "boom"]


def test_a_driver_may_stop_it_once() -> None:
    conversation = converse()
    conversation.stop(StopReason.CONTEXT_FULL)
    conversation.stop(StopReason.ABORTED)
    assert conversation.episode().stop is StopReason.CONTEXT_FULL


def test_an_unfinished_turn_keeps_its_calls() -> None:
    conversation = converse()
    conversation.act(calls("put"))
    conversation.stop(StopReason.ABORTED)
    (turn,) = conversation.episode().turns
    assert [s.message.text for s in turn.steps] == ["put"] and turn.reply == ""


def test_the_ids_that_were_sampled_are_kept_as_they_came() -> None:
    conversation = converse()
    conversation.act(says("bye"), observation_ids=(1, 2), action_ids=(3,), logprobs=(-0.25,), policy_version="v7")
    (step,) = conversation.episode().steps
    assert (step.observation_ids, step.action_ids, step.logprobs, step.policy_version) == ((1, 2), (3,), (-0.25,), "v7")


def test_the_episode_tells_what_was_changed_and_from_what_it_was_made() -> None:
    conversation = converse()
    conversation.act(calls("put"))
    conversation.act(says("bye"))
    episode = conversation.episode()
    assert [c.after for c in episode.journal] == ["put"]
    assert (episode.episode_id, episode.pack, episode.scenario, episode.seed) == ("e1", "retail", {"id": "s1"}, 5)
