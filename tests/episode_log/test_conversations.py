"""A conversation is in the log while it goes on, so that a killed one is found again with all that was said."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dialog_rl.episode import Episode, Rating, StopReason
from dialog_rl.episode_log.log import EpisodeLog
from dialog_rl.errors import EpisodeLogError

from . import made

OPENING = replace(made.episode("c1"), turns=(), journal=(), stop=StopReason.ABORTED)
WHOLE = made.episode("c1", turns=2)


def say(log: EpisodeLog, turn: int, *, answer: bool = True, whole: Episode = WHOLE) -> None:
    log.user_said("c1", turn, whole.turns[turn].user)
    if answer:
        log.answered("c1", turn, whole.turns[turn])


def test_an_open_conversation_is_found_with_its_turns_and_the_unanswered_message(log: EpisodeLog):
    log.append(made.episode("other"))
    log.begin(OPENING)
    (found,) = log.open_conversations()
    assert found.episode == OPENING and found.unanswered is None
    say(log, 0)
    say(log, 1, answer=False)
    (found,) = log.open_conversations()
    assert found.episode == replace(OPENING, turns=WHOLE.turns[:1])
    assert found.unanswered == WHOLE.turns[1].user
    log.answered("c1", 1, WHOLE.turns[1])
    (found,) = log.open_conversations()
    assert found.episode.turns == WHOLE.turns and found.unanswered is None
    assert "c1" not in log and log.count() == 1


def test_the_finished_episode_closes_the_conversation(log: EpisodeLog):
    log.begin(OPENING)
    say(log, 0)
    say(log, 1)
    log.append(WHOLE)
    assert not list(log.open_conversations())
    assert log.get("c1") == WHOLE
    for late in (
        lambda: log.user_said("c1", 2, made.user("still there?")),
        lambda: say(log, 1, whole=made.episode(seed=9)),
    ):
        with pytest.raises(EpisodeLogError):
            late()


def test_every_event_may_be_sent_twice(log: EpisodeLog):
    for _ in range(2):
        log.begin(OPENING)
        for _ in range(2):
            say(log, 0)
    log.append(WHOLE)
    log.begin(OPENING)
    say(log, 0)
    assert log.last_seq() == 4


def test_turns_come_in_order(log: EpisodeLog):
    with pytest.raises(EpisodeLogError, match="there is no begin:c1"):
        say(log, 0)
    log.begin(OPENING)
    with pytest.raises(EpisodeLogError, match="there is no turn:c1:0"):
        say(log, 1)
    with pytest.raises(EpisodeLogError, match="there is no user:c1:0"):
        log.answered("c1", 0, WHOLE.turns[0])
    say(log, 0)
    with pytest.raises(EpisodeLogError, match="another content"):
        log.user_said("c1", 0, made.user("something else"))


def test_a_conversation_does_not_begin_after_its_end(log: EpisodeLog):
    log.append(WHOLE)
    with pytest.raises(EpisodeLogError, match="the conversation has ended"):
        log.begin(OPENING)


def test_a_turn_can_be_rated_while_the_conversation_goes_on(log: EpisodeLog):
    log.begin(OPENING)
    log.rate(Rating(episode_id="c1", rater="ann", value=0.5))
    with pytest.raises(EpisodeLogError, match="there is no turn:c1:0"):
        log.rate(Rating(episode_id="c1", rater="ann", turn=0, value=1.0))
    say(log, 0)
    log.rate(Rating(episode_id="c1", rater="ann", turn=0, value=1.0))
    log.append(WHOLE)
    assert [(r.turn, r.value) for r in log.ratings("c1")] == [(None, 0.5), (0, 1.0)]


def test_consent_can_be_given_at_the_beginning(log: EpisodeLog):
    log.begin(OPENING)
    log.consent("c1", train=True)
    assert log.consented("c1") is True
