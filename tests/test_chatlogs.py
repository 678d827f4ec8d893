"""Chats from elsewhere, in the forms in which they lie about, become the same episodes."""

from __future__ import annotations

import json

import pytest

from dialog_rl.chatlogs import Brought, Chat, brought, parse_chats
from dialog_rl.episode import Role, episode_from_json, to_json
from dialog_rl.errors import EpisodeLogError

CALL = {"id": "c1", "type": "function", "function": {"name": "cancel_order", "arguments": '{"order_id": "4471"}'}}
MESSAGES = [
    {"role": "system", "content": "You are a shop."},
    {"role": "assistant", "content": "Hello, how can I help?"},
    {"role": "user", "content": "I am Ines Drashert."},
    {"role": "user", "content": "Please cancel order 4471."},
    {"role": "assistant", "content": None, "tool_calls": [CALL]},
    {"role": "tool", "tool_call_id": "c1", "content": '{"done":"cancelled","refund":"35.20"}'},
    {"role": "assistant", "content": "It is cancelled, Ines Drashert."},
    {"role": "assistant", "content": "35.20 goes back to you."},
    {"role": "user", "content": "Thanks!"},
]


def chats(text: str, kind: str) -> list[Chat]:
    return list(parse_chats(text, kind, "chats"))


def as_episode(messages: list[dict[str, object]], **options: object) -> Brought:
    (chat,) = chats(json.dumps({"messages": messages}), ".jsonl")
    found = brought(chat, pack="retail", **options)  # pyright: ignore[reportArgumentType]
    assert found is not None
    return found


def test_a_chat_with_calls_becomes_an_episode() -> None:
    episode = as_episode(MESSAGES, redact=False).episode
    opening, last = episode.turns
    assert opening.user.text == "I am Ines Drashert.\nPlease cancel order 4471."
    call, reply = opening.steps
    assert call.message.tool_call is not None and call.message.tool_call.arguments == {"order_id": "4471"}
    assert call.result is not None and "35.20" in call.result.text and not call.result.error
    assert reply.message.text == "It is cancelled, Ines Drashert.\n35.20 goes back to you."
    assert (last.user.text, last.steps, episode.system.role) == ("Thanks!", (), Role.SYSTEM)
    assert episode_from_json(json.loads(json.dumps(to_json(episode)))) == episode


def test_personal_details_are_taken_out_unless_they_are_wanted() -> None:
    found = as_episode(MESSAGES)
    assert "Ines" not in json.dumps(to_json(found.episode)) and found.redacted == {"name": 2}
    assert "It is cancelled, [name 1]." in found.episode.turns[0].reply


def test_the_same_chat_is_the_same_episode() -> None:
    assert as_episode(MESSAGES).episode.episode_id == as_episode(MESSAGES).episode.episode_id
    assert as_episode(MESSAGES[:-1]).episode.episode_id != as_episode(MESSAGES).episode.episode_id


def test_a_message_a_line_and_a_message_a_row_are_grouped_by_chat() -> None:
    rows = [("a", "customer", "hi"), ("b", "customer", "hello"), ("a", "agent", "yes?"), ("b", "agent", "no")]
    lines = "\n".join(json.dumps(dict(zip(("chat_id", "role", "text"), row, strict=True))) for row in rows)
    table = "Ticket ID;Speaker;Message\n" + "\n".join(";".join(row) for row in rows)
    for found in (chats(lines, ".jsonl"), chats(table, ".csv")):
        assert [(c.name, [m["content"] for m in c.messages]) for c in found] == [
            ("a", ["hi", "yes?"]),
            ("b", ["hello", "no"]),
        ]


def test_a_list_of_chats_in_one_document_is_read() -> None:
    found = chats(json.dumps([{"id": "x", "messages": MESSAGES}, MESSAGES]), ".json")
    assert [chat.name for chat in found] == ["x", "chats, chat 2"]


def test_nobody_who_says_anything_is_no_episode() -> None:
    (chat,) = chats(json.dumps([MESSAGES[:2]]), ".json")
    assert brought(chat, pack="retail") is None


@pytest.mark.parametrize(
    ("text", "kind", "said"),
    [
        ("{", ".jsonl", "chats, line 1: not JSON"),
        ("[" * 100_000, ".jsonl", "chats, line 1: not JSON"),
        ('{"messages": 5}', ".jsonl", "line 1: no chat"),
        ('[[{"role": "user", "content": "a"}], 7]', ".json", "chat 2: no chat"),
        ("a,b\n1,2\n", ".csv", "no column for chat: conversation_id"),
        ("x", ".txt", "chats are read from .jsonl, .json and .csv"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(text: str, kind: str, said: str) -> None:
    with pytest.raises(EpisodeLogError, match=said):
        chats(text, kind)


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ({"role": "boss", "content": "x"}, "'boss' is no role"),
        ({"role": "assistant", "tool_calls": 3}, "'tool_calls' is a list"),
        ({"role": "assistant", "tool_calls": [{}]}, "without 'function.name'"),
        ({"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "[1]"}}]}, "are no object"),
        ({"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "{"}}]}, "not JSON"),
    ],
)
def test_a_message_of_a_wrong_shape_is_refused(message: dict[str, object], said: str) -> None:
    with pytest.raises(EpisodeLogError, match=said):
        as_episode([{"role": "user", "content": "hi"}, message])
