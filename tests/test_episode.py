"""The facts of a conversation, and JSON both ways."""

from __future__ import annotations

import json
from dataclasses import FrozenInstanceError
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dialog_rl.episode import (
    Act,
    Change,
    Episode,
    Message,
    Role,
    Step,
    StopReason,
    ToolCall,
    Turn,
    episode_from_json,
    short,
    to_json,
)
from dialog_rl.testing.episodes import called, garbled, make_episode
from tests.talk import PACKS, served

TEXT = st.text(max_size=20)
VALUES = TEXT | st.integers(-(2**53), 2**53) | st.booleans() | st.none()
MAPPINGS = st.dictionaries(TEXT, VALUES, max_size=3)
ACTS = st.builds(Act, kind=TEXT, slot=TEXT, value=TEXT)
CALLS = st.none() | st.builds(ToolCall, name=TEXT, arguments=MAPPINGS)
MESSAGES = st.builds(
    Message, role=st.sampled_from(Role), text=TEXT, tool_call=CALLS, malformed=TEXT, error=st.booleans(),
    acts=st.lists(ACTS, max_size=2).map(tuple), facts=MAPPINGS,
)  # fmt: skip
FLOATS = st.floats(allow_nan=False, allow_infinity=False)


@st.composite
def steps(draw: st.DrawFn) -> Step:
    actions = draw(st.lists(st.tuples(st.integers(0, 4000), FLOATS), max_size=4))
    return Step(
        message=draw(MESSAGES), result=draw(st.none() | MESSAGES), policy_version=draw(TEXT),
        observation_ids=tuple(draw(st.lists(st.integers(0, 4000), max_size=4))),
        action_ids=tuple(i for i, _ in actions), logprobs=tuple(p for _, p in actions),
    )  # fmt: skip


TURNS = st.builds(Turn, user=MESSAGES, steps=st.lists(steps(), max_size=3).map(tuple))
CHANGES = st.builds(Change, path=TEXT, before=VALUES, after=VALUES)
EPISODES = st.builds(
    Episode, episode_id=TEXT, pack=TEXT, scenario=MAPPINGS, seed=st.integers(0, 2**63), system=MESSAGES,
    turns=st.lists(TURNS, max_size=3).map(tuple), stop=st.sampled_from(StopReason), simulator=TEXT, tokenizer=TEXT,
    journal=st.lists(CHANGES, max_size=3).map(tuple), temperature=FLOATS, started_at=FLOATS, note=TEXT,
    schema_version=st.just(1),
)  # fmt: skip


@settings(max_examples=40)
@given(EPISODES)
def test_an_episode_comes_back_from_json_as_it_was(episode: Episode) -> None:
    assert episode_from_json(json.loads(json.dumps(to_json(episode)))) == episode


@pytest.mark.parametrize("name", PACKS)
def test_a_simulated_episode_comes_back_from_json_as_it_was(name: str) -> None:
    episode = served(name, 4)
    document = json.loads(json.dumps(to_json(episode)))
    assert to_json(episode_from_json(document)) == document


@pytest.mark.parametrize(
    ("version", "shown"),
    [
        ("ceef229f4aab5a70", "ceef229f"), ("ceef229f4aab5a70+12", "ceef229f+12"), ("learn/update:3", "learn+3"),
        ("expert", "expert"), ("", ""),
    ],
)  # fmt: skip
def test_a_version_is_shown_by_what_tells_it_from_others(version: str, shown: str) -> None:
    assert short(version) == shown


def test_what_is_at_its_default_takes_no_room() -> None:
    assert to_json(Message(role=Role.USER, text="hi")) == {"role": "user", "text": "hi"}


def test_the_version_of_the_schema_is_always_written() -> None:
    assert to_json(make_episode(("hi",)))["schema_version"] == 1


@pytest.mark.parametrize("version", [None, 0, 2, "1"])
def test_an_episode_of_another_schema_is_refused_with_both_versions(version: object) -> None:
    document: dict[str, Any] = to_json(make_episode(("hi",))) | {"schema_version": version}
    with pytest.raises(ValueError, match=f"version {version!r}; this program reads 1"):
        episode_from_json(document)


def test_an_unknown_stop_reason_is_refused() -> None:
    with pytest.raises(ValueError, match="bored"):
        episode_from_json(to_json(make_episode(("hi",))) | {"stop": "bored"})


def test_every_sampled_id_has_its_probability() -> None:
    with pytest.raises(ValueError, match="2 action ids but 1 log-probs"):
        Step(message=Message(role=Role.ASSISTANT, text="hi"), action_ids=(1, 2), logprobs=(-1.0,))


def test_facts_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        make_episode(("hi",)).seed = 2  # type: ignore[misc]


def test_messages_come_in_the_order_they_were_said() -> None:
    episode = make_episode(("hi", called("find", "7"), "It is 7."), ("thanks", "bye"), system="brief")
    assert [m.text for m in episode.messages()] == ["brief", "hi", "find {}", "7", "It is 7.", "thanks", "bye"]


def test_a_turns_reply_is_what_was_said_aloud_at_its_end() -> None:
    said, silent, broken = make_episode(
        ("hi", called("find"), "Here."), ("and?", called("find")), ("so?", garbled("find {"))
    ).turns
    assert (said.reply, silent.reply, broken.reply) == ("Here.", "", "")


def test_policy_versions_are_listed_once_in_order() -> None:
    def by(version: str) -> Step:
        return Step(message=Message(role=Role.ASSISTANT, text="x"), policy_version=version)

    assert make_episode(("a", by("v2")), ("b", by("v1")), ("c", by("v2"))).policy_versions == ("v2", "v1")


def test_an_episode_is_terminated_or_truncated_or_not_trained_on() -> None:
    kinds = {reason: (reason.terminated, reason.truncated) for reason in StopReason}
    assert all(not (terminated and truncated) for terminated, truncated in kinds.values())
    assert {r for r in StopReason if not r.trainable} == {StopReason.USER_ERROR, StopReason.ABORTED}
