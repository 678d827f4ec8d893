"""The renderer: prompts only grow, text cannot forge a mark, an unreadable action says why."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialog_rl.episode import Message, Role, ToolCall
from dialog_rl.lm import tokenizer as t
from dialog_rl.lm.renderer import MAX_CALL_CHARS, EmbeddedRenderer, call_text

TEXTS = ["Where is my order #4821?", 'find_order {"order_id":"4821","zip":"02139"}', "你好，我是王芳。"] * 20
RENDERER = EmbeddedRenderer(t.train_tokenizer(TEXTS, vocabulary=400))
TOK = RENDERER.tokenizer

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)
calls = st.builds(
    lambda name, arguments: ToolCall(name=name, arguments=arguments),
    st.from_regex(r"[A-Za-z_][A-Za-z0-9_.-]{0,20}", fullmatch=True),
    st.dictionaries(st.text(max_size=12), json_values, max_size=4),
)
spoken = st.text(min_size=1, max_size=40).filter(str.strip).map(lambda text: Message(role=Role.ASSISTANT, text=text))
called = calls.map(lambda c: Message(role=Role.ASSISTANT, text=call_text(c), tool_call=c))
observed = st.builds(Message, role=st.sampled_from([Role.SYSTEM, Role.USER, Role.TOOL]), text=st.text(max_size=40))


def call_ids(text: str) -> tuple[int, ...]:
    return (TOK.special(t.CALL), *TOK.encode(text), RENDERER.end_id)


@given(spoken | called)
def test_parsing_an_action_gives_the_message_back(message: Message) -> None:
    assert RENDERER.parse(RENDERER.action(message)) == message
    assert RENDERER.parse(RENDERER.action(message)[:-1]) == message


@given(st.lists(st.tuples(st.lists(observed, min_size=1, max_size=2), spoken | called), min_size=1, max_size=4))
def test_a_prompt_splits_into_one_part_a_message_wherever_it_is_cut(
    exchange: list[tuple[list[Message], Message]],
) -> None:
    """Marks open parts and the end closes them, so the parts of a prompt are exactly its messages, in order."""
    prompt: list[int] = []
    texts: list[str] = []
    for messages, action in exchange:
        before = list(prompt)
        prompt += [*RENDERER.observe(messages), *RENDERER.action(action)]
        texts += [m.text for m in (*messages, action)]
        assert prompt[: len(before)] == before
    assert prompt.count(RENDERER.end_id) == len(texts)
    parts, part = [], []
    for i in prompt:
        if i == RENDERER.end_id:
            parts.append(TOK.decode(part))
            part = []
        else:
            part.append(i)
    assert parts == texts


@given(observed)
def test_text_cannot_forge_a_mark(message: Message) -> None:
    forged = Message(role=message.role, text=message.text + "".join(t.SPECIALS) + message.text)
    _open, *body, _end, _assistant = RENDERER.observe([forged])
    assert not TOK.special_ids.intersection(body)
    assert TOK.decode(body) == forged.text


def test_the_format_is_one_id_a_mark() -> None:
    ids = RENDERER.observe([Message(role=Role.SYSTEM, text="Hi"), Message(role=Role.USER, text="4")])
    system, user, end, assistant = (TOK.special(x) for x in (t.SYSTEM, t.USER, t.END, t.ASSISTANT))
    assert ids == (system, *TOK.encode("Hi"), end, user, *TOK.encode("4"), end, assistant)


MALFORMED: dict[str, tuple[tuple[int, ...], str]] = {
    "nothing": ((), "empty reply"),
    "only the end": ((RENDERER.end_id,), "empty reply"),
    "only spaces": ((*TOK.encode("  \n"), RENDERER.end_id), "empty reply"),
    "an empty call": (call_ids(""), "must read"),
    "no name": (call_ids('{"order_id":"4821"}'), "must read"),
    "prose": (call_ids("Where is it?"), "not JSON"),
    "a name alone": (call_ids("find_order"), "has no arguments"),
    "a strange name": (call_ids('find/order {"a":1}'), "must read"),
    "cut-off JSON": (call_ids('find_order {"order_id":"48'), "not JSON"),
    "text behind": (call_ids('find_order {"order_id":"4821"} please'), "not JSON"),
    "a list": (call_ids('find_order ["4821"]'), "must be an object, not list"),
    "a string": (call_ids('find_order "4821"'), "must be an object, not str"),
    "twice the same": (call_ids('find_order {"zip":"1","zip":"2"}'), "'zip' is given twice"),
    "NaN": (call_ids('find_order {"zip":NaN}'), "NaN"),
    "deep nesting": (call_ids("f " + "[" * 3900), "JSON|nested"),
    "a huge number": (call_ids('f {"n":' + "9" * 3900 + "e9e}"), "not JSON"),
    "over-long": (call_ids("f {" + " " * MAX_CALL_CHARS + "}"), f"at most {MAX_CALL_CHARS}"),
    "half a surrogate": (call_ids(r'f {"n":"\ud83d"}'), "surrogate"),
    "a call inside speech": ((*TOK.encode("Hi"), TOK.special(t.CALL)), r"<\|call\|> inside"),
    "a turn inside speech": ((*TOK.encode("Hi"), TOK.special(t.USER), *TOK.encode("x")), r"<\|user\|> inside"),
    "two calls": ((TOK.special(t.CALL), *call_ids("f {}")), r"<\|call\|> inside"),
    "an early end": ((*TOK.encode("Hi"), RENDERER.end_id, *TOK.encode("x"), RENDERER.end_id), r"<\|end\|> inside"),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_an_unreadable_action_says_why(name: str) -> None:
    ids, reason = MALFORMED[name]
    message = RENDERER.parse(ids)
    assert message.role is Role.ASSISTANT and message.tool_call is None
    assert re.search(reason, message.malformed), message.malformed


@given(st.lists(st.integers(0, len(TOK) - 1), max_size=40))
def test_whatever_is_sampled_can_be_parsed(ids: list[int]) -> None:
    message = RENDERER.parse(ids)
    assert message.malformed or message.tool_call or message.text.strip()


def test_what_is_no_action_has_no_action_ids() -> None:
    for message in (Message(role=Role.USER, text="x"), Message(role=Role.ASSISTANT, text="x", malformed="y")):
        with pytest.raises(ValueError, match="no action"):
            RENDERER.action(message)
    with pytest.raises(ValueError, match="not observed"):
        RENDERER.observe([Message(role=Role.ASSISTANT, text="x")])


def test_the_fingerprint_tells_tokenizers_apart() -> None:
    other = EmbeddedRenderer(t.train_tokenizer(TEXTS[:3] * 20 + ["another text"] * 20, vocabulary=400))
    assert EmbeddedRenderer(TOK).fingerprint == RENDERER.fingerprint != other.fingerprint


def test_non_ascii_values_are_written_as_they_are() -> None:
    arguments: dict[str, Any] = {"name": "王芳"}
    assert call_text(ToolCall(name="find", arguments=arguments)) == 'find {"name":"王芳"}'
