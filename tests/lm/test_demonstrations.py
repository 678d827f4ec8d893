"""Demonstrations as rows: the ids that driving the conversation would make, and where copied values stand in them."""

from __future__ import annotations

import itertools
import operator
import random

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


def test_texts_are_those_the_tokenizer_has_to_spell() -> None:
    assert list(d.texts_of([DEMONSTRATION]))[2] == call_text(CALL)


def test_a_drill_says_the_observed_words_again_and_asks_for_no_first_piece() -> None:
    row = d.drill(RENDERER.tokenizer, random.Random(0), words=6)
    start = row.action_mask.index(True) - 1
    observed, said = row.ids[1 : start - 2], row.ids[start:-1]
    assert sorted(observed) == sorted(said) and observed != said
    pairs = set(itertools.pairwise(observed))
    acted = row.action_mask[start:-1]
    assert all(pair in pairs for pair, follows in zip(itertools.pairwise(said), acted[1:], strict=True) if follows)
    assert acted.count(False) == 6 and row.action_mask[-1]
    assert row.episode_return is None


@pytest.mark.parametrize("processes", [1, 2])
def test_processes_keep_the_order_of_an_endless_supply(processes: int) -> None:
    made = d.in_processes(operator.neg, itertools.count(), processes=processes, chunk=3)  # type: ignore[arg-type]
    assert list(itertools.islice(made, 10)) == [-n for n in range(10)]
    made.close()


def test_a_respelled_row_says_the_same_in_other_pieces_alike_everywhere() -> None:
    row = d.row_of(DEMONSTRATION, RENDERER, find_copies=True)
    said = RENDERER.tokenizer.decode(row.ids)
    changed = 0
    for n in range(20):
        other = d.respell(row, RENDERER.tokenizer, random.Random(n), share=0.7)
        assert RENDERER.tokenizer.decode(other.ids) == said
        acted = [i for i, is_action in zip(other.ids, other.action_mask, strict=True) if is_action]
        assert RENDERER.tokenizer.decode(acted) == RENDERER.tokenizer.decode(
            [i for i, is_action in zip(row.ids, row.action_mask, strict=True) if is_action]
        )
        changed += other.ids != row.ids
        smith = [i for i in RENDERER.tokenizer.encode("smith") if i not in other.ids]
        assert all(i not in acted for i in smith)
    assert changed > 10
    assert d.respell(row, RENDERER.tokenizer, random.Random(0), share=0.0).ids == row.ids


def test_repeated_words_become_the_same_made_up_word_everywhere() -> None:
    other = d.rename(DEMONSTRATION, random.Random(1), share=1.0)
    call = other.messages[2].tool_call
    assert call is not None
    first, last = call.arguments["name"].split()
    assert first != "Anna" and last != "Smith" and first.istitle() and last.istitle()
    assert other.messages[1].text == f"I am {first.upper()} {last}. Where is 4821? My zip is 02139."
    assert {k: v for k, v in call.arguments.items() if k != "name"} == {
        k: v for k, v in ARGUMENTS.items() if k != "name"
    }
    assert other.messages[3:] == MESSAGES[3:] and other.episode_return == DEMONSTRATION.episode_return
    assert d.rename(DEMONSTRATION, random.Random(1), share=0.0) == DEMONSTRATION
