"""Demonstrations made harder: other names and spellings everywhere alike, rougher words where no sense hangs."""

from __future__ import annotations

import random

from dialog_rl.episode import Message, Role, ToolCall
from dialog_rl.lm import augmentation as a
from dialog_rl.lm.demonstrations import Demonstration, row_of
from tests.lm.test_demonstrations import ARGUMENTS, DEMONSTRATION, MESSAGES, RENDERER


def conversation(said: str, call: ToolCall | None = None, answer: str = "Good.") -> Demonstration:
    messages = [Message(role=Role.USER, text=said)]
    if call is not None:
        messages += [Message(role=Role.ASSISTANT, text="", tool_call=call), Message(role=Role.TOOL, text="{}")]
    return Demonstration(messages=(*messages, Message(role=Role.ASSISTANT, text=answer)), episode_return=1.0)


def test_a_respelled_row_says_the_same_in_other_pieces_alike_everywhere() -> None:
    row = row_of(DEMONSTRATION, RENDERER, find_copies=True)
    said = RENDERER.tokenizer.decode(row.ids)
    changed = 0
    for n in range(20):
        other = a.respell(row, RENDERER.tokenizer, random.Random(n), share=0.7)
        assert RENDERER.tokenizer.decode(other.ids) == said
        acted = [i for i, is_action in zip(other.ids, other.action_mask, strict=True) if is_action]
        assert RENDERER.tokenizer.decode(acted) == RENDERER.tokenizer.decode(
            [i for i, is_action in zip(row.ids, row.action_mask, strict=True) if is_action]
        )
        changed += other.ids != row.ids
        smith = [i for i in RENDERER.tokenizer.encode("smith") if i not in other.ids]
        assert all(i not in acted for i in smith)
    assert changed > 10
    assert a.respell(row, RENDERER.tokenizer, random.Random(0), share=0.0).ids == row.ids


def test_repeated_words_become_the_same_made_up_word_everywhere() -> None:
    other = a.rename(DEMONSTRATION, random.Random(1), share=1.0)
    call = other.messages[2].tool_call
    assert call is not None
    first, last = call.arguments["name"].split()
    assert first != "Anna" and last != "Smith" and first.istitle() and last.istitle()
    assert other.messages[1].text == f"I am {first.upper()} {last}. Where is 4821? My zip is 02139."
    assert {k: v for k, v in call.arguments.items() if k != "name"} == {
        k: v for k, v in ARGUMENTS.items() if k != "name"
    }
    assert other.messages[3:] == MESSAGES[3:] and other.episode_return == DEMONSTRATION.episode_return
    assert a.rename(DEMONSTRATION, random.Random(1), share=0.0) == DEMONSTRATION


def test_a_chinese_name_becomes_another_one_wherever_it_stands() -> None:
    call = ToolCall(name="find_customer", arguments={"name": "王小明", "zip": "10998"})
    given = conversation("姓名王小明，邮编是10998", call, "王小明您好")
    assert a.rename(given, random.Random(0), share=1.0) == given, "without pieces there is nothing to spell one from"
    other = a.rename(given, random.Random(0), share=1.0, pieces=a.Pieces(han=("安", "平", "天")))
    assert other.messages[1].tool_call is not None
    name = other.messages[1].tool_call.arguments["name"]
    assert name != "王小明" and other.messages[0].text == f"姓名{name}，邮编是10998"
    assert other.messages[3].text == f"{name}您好"


def test_roughening_loses_words_but_none_that_matters() -> None:
    call = ToolCall(name="cancel_order", arguments={"order_id": "4821", "reason": "unwanted"})
    said = "Hello there, I would really not like to keep order 4821 any longer because it is unwanted"
    given = conversation(said, call)
    seen = [a.roughen(given, random.Random(n), share=1.0) for n in range(200)]
    words = [message.split() for message in (one.messages[0].text for one in seen)]
    assert all({"not", "4821", "unwanted"} <= set(message) for message in words)
    assert any(len(message) < len(said.split()) for message in words)
    assert all(set(message) <= set(said.split()) for message in words)
    assert sum(len(message) for message in words) > 0.8 * len(said.split()) * len(words)
    assert all(one.messages[1:] == given.messages[1:] for one in seen)


def test_roughening_leaves_short_messages_and_the_agents_words_alone() -> None:
    short, long_answer = conversation("Cancel it please"), "I can do this for you if you tell me the number"
    for n in range(50):
        assert a.roughen(short, random.Random(n), share=1.0) == short
        rough = a.roughen(conversation("one two three four five six seven eight", answer=long_answer),
                          random.Random(n), share=1.0)  # fmt: skip
        assert rough.messages[-1].text == long_answer


def test_a_share_of_none_changes_nothing() -> None:
    given = conversation("Hello there, I would like to know where my order is right now")
    assert a.roughen(given, random.Random(0), share=0.0) == given


def test_chinese_is_roughened_by_characters_and_stays_readable() -> None:
    said = "你好我想知道我的快递什么时候能送到家里来谢谢"
    seen = {a.roughen(conversation(said), random.Random(n), share=1.0).messages[0].text for n in range(50)}
    assert len(seen) > 25 and all(0.6 * len(said) < len(text) <= len(said) for text in seen)


def test_chinese_names_mix_characters_that_have_a_piece_with_any_others() -> None:
    call = ToolCall(name="find_customer", arguments={"name": "王小明", "zip": "10998"})
    given = conversation("姓名王小明，邮编是10998", call, "王小明您好")
    names = []
    for n in range(100):
        renamed = a.rename(given, random.Random(n), share=1.0, pieces=a.Pieces(han=("安", "平", "天"))).messages[1]
        assert renamed.tool_call is not None
        names.append({character in "安平天" for character in renamed.tool_call.arguments["name"]})
    assert all(some in names for some in ({True}, {False}, {True, False}))


def test_every_piece_of_a_vocabulary_gets_its_turn_in_names() -> None:
    pieces = a.Pieces.of(RENDERER.tokenizer)
    assert pieces.latin and all(piece.isalpha() and piece.islower() for piece in pieces.latin)
    only = a.Pieces(latin=("qux", "zork"), han=("猫",))
    names = set()
    for n in range(100):
        call = a.rename(DEMONSTRATION, random.Random(n), share=1.0, pieces=only).messages[2].tool_call
        assert call is not None
        names |= set(call.arguments["name"].lower().split())
    assert sum(not name.replace("qux", "").replace("zork", "") for name in names) > 10
