"""Demonstrations as rows: the ids that driving the conversation would make, and where copied values stand in them."""

from __future__ import annotations

import itertools
import operator
from typing import Any

import pytest

from dialog_rl.episode import Message, Role, ToolCall
from dialog_rl.lm import demonstrations as d
from dialog_rl.lm import tokenizer as t
from dialog_rl.lm.renderer import EmbeddedRenderer, call_text

ARGUMENTS = {
    "order_id": "4821",
    "zip": "02139",
    "name": "Anna Smith",
    "count": 12,
    "items": ["a", "b"],
    "note": 'say "4"',
}
CALL = ToolCall(name="find_order", arguments=ARGUMENTS)
MESSAGES = (
    Message(role=Role.SYSTEM, text="Be kind."),
    Message(role=Role.USER, text="I am ANNA Smith. Where is 4821? My zip is 02139."),
    Message(role=Role.ASSISTANT, text="as it was written", tool_call=CALL),
    Message(role=Role.TOOL, text='{"due":"2026-05-25","price":"281.87"}'),
    Message(role=Role.ASSISTANT, text="It comes on 2026-05-25 and costs 281.87 EUR."),
    Message(role=Role.USER, text="Thanks, bye"),
)
DEMONSTRATION = d.Demonstration(messages=MESSAGES, episode_return=0.7, pack="retail")
RENDERER = EmbeddedRenderer(t.train_tokenizer(list(d.texts_of([DEMONSTRATION])) * 20, vocabulary=450))


def test_a_row_is_what_driving_the_conversation_makes() -> None:
    row = d.row_of(DEMONSTRATION, RENDERER)
    system, user, call, tool, reply, _ = MESSAGES
    parts = [RENDERER.observe([system, user]), RENDERER.action(call), RENDERER.observe([tool]), RENDERER.action(reply)]
    assert row.ids == tuple(itertools.chain(*parts))
    assert row.action_mask == tuple(k % 2 == 1 for k, part in enumerate(parts) for _ in part)
    assert row.episode_return == 0.7


def test_every_argument_and_every_number_in_a_reply_is_found_where_it_stands() -> None:
    row = d.row_of(DEMONSTRATION, RENDERER, find_copies=True)
    found = [(copy.kind, RENDERER.tokenizer.decode(row.ids[copy.start : copy.stop])) for copy in row.copies]
    expected = [("order_id", "4821"), ("zip", "02139"), ("name", "Anna Smith"), ("count", "12")]
    assert found[:4] == expected
    assert [kind for kind, _ in found[4:]] == ["items", "note", "number", "number"]
    assert [text for _, text in found[-2:]] == ["2026-05-25", "281.87"]
    assert all(all(row.action_mask[copy.start : copy.stop]) for copy in row.copies)


def test_a_conversation_without_an_action_is_refused() -> None:
    with pytest.raises(ValueError, match="teaches nothing"):
        d.row_of(d.Demonstration(messages=MESSAGES[:2], episode_return=0.0), RENDERER)


def test_a_slip_is_seen_and_not_learned() -> None:
    row = d.row_of(d.Demonstration(messages=MESSAGES, episode_return=1.0), RENDERER, find_copies=True)
    slipped = d.Demonstration(messages=MESSAGES, episode_return=1.0, slips=frozenset({0}))
    other = d.row_of(slipped, RENDERER, find_copies=True)
    assert other.ids == row.ids
    learned = RENDERER.tokenizer.decode([i for i, acted in zip(other.ids, other.action_mask, strict=True) if acted])
    assert "find_order" not in learned and "It comes on" in learned
    assert {copy.kind for copy in other.copies} == {"number"}


def test_texts_are_those_the_tokenizer_has_to_spell() -> None:
    assert list(d.texts_of([DEMONSTRATION]))[2] == call_text(CALL)


@pytest.mark.parametrize("processes", [1, 2])
def test_processes_keep_the_order_of_an_endless_supply(processes: int) -> None:
    made: Any = d.in_processes(operator.neg, itertools.count(), processes=processes, chunk=3)  # type: ignore[arg-type]
    assert list(itertools.islice(made, 10)) == [-n for n in range(10)]
    made.close()
