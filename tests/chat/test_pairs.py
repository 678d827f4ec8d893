"""Two answers to one message: spoken aside, compared blind, and the better one is gone on with."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from dialog_rl.chat.pairs import NoOtherAnswer, Pair, Vote, another_answer, settle
from dialog_rl.chat.session import ChatSession
from dialog_rl.episode import ToolCall, Turn, to_json, turn_from_json
from dialog_rl.episode_log.log import EpisodeLog
from tests.chat.scripted import Line, ScriptedVoices, db, setting

LOOK = ToolCall(name="search_help", arguments={"query": "returns"})


@pytest.fixture
def log(tmp_path: Path) -> Iterator[EpisodeLog]:
    with EpisodeLog.open(db(tmp_path)) as log:
        yield log


def talked(log: EpisodeLog, *lines: Line, said: tuple[str, ...] = ("a", "b")) -> tuple[ChatSession, ScriptedVoices]:
    voices = ScriptedVoices(*lines)
    session = ChatSession(log, voices, setting(), rater="ann")
    for text in said:
        session.say(text)
        list(session.answer())
    return session, voices


def compared(session: ChatSession, number: int = 1, *, said_first: bool = True, version: str = "") -> Pair:
    pair = another_answer(session, number, version=version, coin=lambda: said_first)
    assert pair is not None
    return pair


def test_another_answer_is_spoken_from_the_same_place_and_leaves_no_trace(log: EpisodeLog) -> None:
    session, voices = talked(log, "one", "two", LOOK, "other")
    before, turns = log.last_seq(), session.turns
    pair = compared(session)
    assert (pair.said.reply, pair.other.reply, pair.other.user) == ("two", "other", pair.said.user)
    assert len(pair.other.steps) == 2 and voices.made[-1] == ("v1", 1.0, session.turns[0].steps)
    assert log.last_seq() == before and session.turns == turns


def test_another_version_answers_as_it_would_have(log: EpisodeLog) -> None:
    session, voices = talked(log, "one", "two", "three")
    pair = compared(session, 0, version="v0")
    assert voices.made[-1] == ("v0", 0.0, ()) and pair.other.steps[-1].policy_version == "v0"


def test_the_coin_decides_which_is_shown_first(log: EpisodeLog) -> None:
    session, _ = talked(log, "one", "two", "three", "four")
    assert compared(session, said_first=True).first.reply == "two"
    assert compared(session, said_first=False).second.reply == "two"


def test_the_same_again_is_no_other_answer(log: EpisodeLog) -> None:
    session, _ = talked(log, "one", "two", "two", "two", "different")
    assert compared(session).other.reply == "different"
    session, _ = talked(log, "one", *["two"] * 9)
    with pytest.raises(NoOtherAnswer):
        another_answer(session, 1)


def test_a_stop_ends_it_without_a_pair(log: EpisodeLog) -> None:
    session, _ = talked(log, "one", "two", "three")
    assert another_answer(session, 1, cancelled=lambda: True) is None


def pair_of(log: EpisodeLog, session: ChatSession, turn: int = 1) -> tuple[str, Turn]:
    (rating,) = log.ratings(session.id)
    assert rating.turn == turn and rating.value is None
    return rating.extra["pair"]["chosen"], turn_from_json(rating.extra["pair"]["other"])


@pytest.mark.parametrize("said_first", [True, False])
def test_if_what_was_said_is_better_it_stays(log: EpisodeLog, said_first: bool) -> None:
    session, _ = talked(log, "one", "two", "three")
    pair = compared(session, said_first=said_first)
    after = settle(session, pair, Vote.FIRST if said_first else Vote.SECOND)
    assert after is session and pair_of(log, session) == ("said", pair.other)


@pytest.mark.parametrize("said_first", [True, False])
def test_if_the_other_is_better_the_conversation_goes_on_with_it(log: EpisodeLog, said_first: bool) -> None:
    session, _ = talked(log, "one", "two", "three", "four")
    pair = compared(session, said_first=said_first)
    after = settle(session, pair, Vote.SECOND if said_first else Vote.FIRST)
    assert after is not session and pair_of(log, after) == ("said", pair.said)
    after.say("c")
    list(after.answer())
    assert [turn.reply for turn in after.turns] == ["one", "three", "four"]


@pytest.mark.parametrize("vote", [Vote.TIE, Vote.BOTH_BAD])
def test_where_neither_is_better_it_is_said_so(log: EpisodeLog, vote: Vote) -> None:
    session, _ = talked(log, "one", "two", "three")
    pair = compared(session)
    assert settle(session, pair, vote) is session and pair_of(log, session) == (str(vote), pair.other)


def test_what_was_said_long_ago_stays_said_even_if_the_other_was_better(log: EpisodeLog) -> None:
    session, _ = talked(log, "one", "two", "three")
    pair = compared(session, 0)
    assert settle(session, pair, Vote.SECOND) is session
    assert pair_of(log, session, 0) == ("other", pair.other)


def test_an_opinion_given_before_stays_beside_the_pair(log: EpisodeLog) -> None:
    session, _ = talked(log, "one", "two", "three")
    session.opinions.change(1, value=-1.0, comment="no", extra={"seen": to_json(1)})
    settle(session, compared(session), Vote.TIE)
    rating = session.opinions.of(1)
    assert (rating.value, rating.comment, {*rating.extra}) == (-1.0, "no", {"seen", "pair"})
