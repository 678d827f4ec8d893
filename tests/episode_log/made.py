"""Episodes made up for these tests, and strategies that make up any."""

from __future__ import annotations

import random

from hypothesis import strategies as st

from dialog_rl.episode import Act, Change, Episode, Message, Role, Step, StopReason, ToolCall, Turn


def user(text: str) -> Message:
    return Message(role=Role.USER, text=text)


def turn(text: str = "where is my parcel?", *, policy: str = "v1", seed: int = 0, ids: int = 12) -> Turn:
    chance = random.Random(seed)
    call = Message(
        role=Role.ASSISTANT, text='track {"id":"7"}', tool_call=ToolCall(name="track", arguments={"id": "7"})
    )
    steps = [
        (call, Message(role=Role.TOOL, text="on its way")),
        (Message(role=Role.ASSISTANT, text="On its way."), None),
    ]
    return Turn(
        user=user(text),
        steps=tuple(
            Step(
                message=message,
                result=result,
                observation_ids=tuple(chance.randrange(3072) for _ in range(ids)),
                action_ids=tuple(chance.randrange(3072) for _ in range(ids)),
                logprobs=tuple(-chance.expovariate(1.0) for _ in range(ids)),
                policy_version=policy,
            )
            for message, result in steps
        ),
    )


def episode(
    episode_id: str = "e1",
    *,
    pack: str = "retail",
    split: str = "train",
    policy: str = "v1",
    stop: StopReason = StopReason.USER_LEFT,
    turns: int = 2,
    seed: int = 0,
    ids: int = 12,
) -> Episode:
    return Episode(
        episode_id=episode_id,
        pack=pack,
        scenario={"split": split, "goal": {"items": [{"order": "#7", "total": 1.10}]}},
        seed=seed,
        system=Message(role=Role.SYSTEM, text="You answer customers."),
        turns=tuple(turn(f"message {n}", policy=policy, seed=seed + n, ids=ids) for n in range(turns)),
        stop=stop,
        journal=(Change(path="orders/7/status", before="open", after=None),),
    )


any_text = st.text(alphabet=st.characters(exclude_categories=()), max_size=40) | st.sampled_from(
    [
        "",
        "\x00",
        "\ud800",
        "a\udfffb",
        "\u202e",
        "e\u0301" * 50,
        "👩‍👩‍👧",
        "'; DROP TABLE events; --",
        "\x1b]52;c;x\x07",
    ]
)
"""Lone surrogates included."""
finite = st.floats(allow_nan=False, allow_infinity=False)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | finite | any_text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(any_text, inner, max_size=3),
    max_leaves=8,
)
calls = st.builds(ToolCall, name=any_text, arguments=st.dictionaries(any_text, json_values, max_size=3))
messages = st.builds(
    Message,
    role=st.sampled_from(Role),
    text=any_text,
    tool_call=st.none() | calls,
    malformed=any_text,
    error=st.booleans(),
    acts=st.lists(st.builds(Act, kind=any_text, slot=any_text, value=any_text), max_size=2).map(tuple),
)


@st.composite
def steps(draw: st.DrawFn) -> Step:
    sampled = draw(st.lists(st.tuples(st.integers(0, 2**31), finite), max_size=5))
    return Step(
        message=draw(messages),
        result=draw(st.none() | messages),
        observation_ids=tuple(draw(st.lists(st.integers(0, 2**63), max_size=5))),
        action_ids=tuple(i for i, _ in sampled),
        logprobs=tuple(p for _, p in sampled),
        policy_version=draw(st.sampled_from(["", "v1", "v2"])),
    )


turns = st.builds(Turn, user=messages, steps=st.lists(steps(), max_size=2).map(tuple))
episodes = st.builds(
    Episode,
    episode_id=st.just("e"),
    pack=st.sampled_from(["retail", "bank"]),
    scenario=st.dictionaries(any_text.filter(lambda key: key != "split"), json_values, max_size=3),
    seed=st.integers(0, 2**63 - 1),
    system=messages,
    turns=st.lists(turns, max_size=3).map(tuple),
    stop=st.sampled_from(StopReason),
    journal=st.lists(st.builds(Change, path=any_text, before=json_values, after=json_values), max_size=2).map(tuple),
    note=any_text,
    started_at=finite,
)
