"""A conversation with a person, whoever shows it: said, logged, answered, stopped, left, found again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dialog_rl.chat.events import Called, Delta, Replied, Stopped, Swapped
from dialog_rl.chat.session import ChatSession
from dialog_rl.chat.setting import LEARNABLE
from dialog_rl.chat.talk import NotSent
from dialog_rl.chat.turns import CannotGoOn
from dialog_rl.episode import Message, Role, StopReason, ToolCall
from dialog_rl.episode_log.log import EpisodeLog
from dialog_rl.errors import EpisodeLogError, ModelError, SupersededError
from tests.chat.scripted import Line, ScriptedVoice, ScriptedVoices, db, setting

LOOK = ToolCall(name="search_help", arguments={"query": "returns"})


@pytest.fixture
def log(tmp_path: Path) -> Iterator[EpisodeLog]:
    with EpisodeLog.open(db(tmp_path)) as log:
        yield log


def begun(log: EpisodeLog, *lines: Line) -> tuple[ChatSession, ScriptedVoices]:
    voices = ScriptedVoices(*lines)
    return ChatSession(log, voices, setting(), rater="ann"), voices


def talk(session: ChatSession, *said: str) -> None:
    for text in said:
        session.say(text)
        list(session.answer())


def kinds(log: EpisodeLog) -> list[str]:
    return [event.kind for event in log.events()]


def test_what_is_said_is_logged_before_it_is_answered_and_the_answer_before_it_is_told(log: EpisodeLog) -> None:
    session, _ = begun(log, "hello you")
    session.say("hi")
    assert kinds(log) == ["begin", "user"]
    for event in session.answer():
        assert kinds(log) == (["begin", "user", "turn"] if isinstance(event, Replied) else ["begin", "user"])


def test_a_reply_comes_in_pieces_and_then_whole(log: EpisodeLog) -> None:
    session, _ = begun(log, "hello you")
    session.say("hi")
    *pieces, last = session.answer()
    assert pieces == [Delta("hello"), Delta(" you")]
    assert isinstance(last, Replied) and (last.number, last.turn.reply) == (0, "hello you")
    assert session.turns == (last.turn,) and session.unanswered is None


def test_nothing_is_logged_of_a_conversation_in_which_nothing_was_said(log: EpisodeLog) -> None:
    session, _ = begun(log)
    assert session.leave() is None and log.last_seq() == 0


def test_a_tool_is_called_and_its_answer_shown(log: EpisodeLog) -> None:
    session, _ = begun(log, LOOK, "30 days")
    session.say("how long?")
    called, *_ = session.answer()
    assert isinstance(called, Called) and called.step.result is not None and not called.step.result.error
    assert [step.message.text for step in session.turns[0].steps] == ["search_help {}", "30 days"]


def test_who_leaves_after_an_answer_leaves_an_episode_to_learn_from(log: EpisodeLog) -> None:
    session, voices = begun(log, "hello", LOOK, "bye")
    talk(session, "hi", "thanks")
    episode = session.leave()
    assert episode is not None and episode == log.get(session.id) and episode.stop is StopReason.USER_LEFT
    assert [turn.reply for turn in episode.turns] == ["hello", "bye", ""] and episode.turns[-1].steps == ()
    assert {step.policy_version for step in episode.steps} == {"v1"} and episode.tokenizer == "tok"
    assert voices.heard[1:] == ["hi", "thanks", episode.turns[1].steps[0].result.text]  # type: ignore[union-attr]
    assert session.leave() is episode and not list(log.open_conversations())


def test_who_leaves_before_any_answer_leaves_nothing_to_learn_from(log: EpisodeLog) -> None:
    session, _ = begun(log, "hello")
    session.say("hi")
    episode = session.leave()
    assert episode is not None and episode.stop is StopReason.ABORTED and episode.turns[0].user.text == "hi"


def test_the_last_unanswered_message_is_kept_when_somebody_leaves(log: EpisodeLog) -> None:
    session, _ = begun(log, "hello")
    talk(session, "hi")
    session.say("are you there?")
    episode = session.leave()
    assert episode is not None and episode.stop is StopReason.USER_LEFT
    assert [(turn.user.text, turn.reply) for turn in episode.turns] == [("hi", "hello"), ("are you there?", "")]


def test_a_stopped_reply_is_forgotten_and_can_be_asked_for_again(log: EpisodeLog) -> None:
    session, _ = begun(log, "hello you there")
    session.say("hi")
    said: list[object] = []
    for event in session.answer(lambda: len(said) >= 2):
        said.append(event)
    assert said == [Delta("hello"), Delta(" you"), Stopped()]
    assert session.unanswered is not None and session.turns == ()
    session.say("hi")
    assert [type(event) for event in session.answer()][-1] is Replied
    assert session.turns[0].reply == "hello you there"


def test_calls_made_before_a_stop_are_not_made_again(log: EpisodeLog) -> None:
    session, _ = begun(log, LOOK, "30 days in all")
    session.say("how long?")
    assert isinstance([*session.answer(lambda: True)][-1], Stopped)
    assert isinstance([*session.answer()][-1], Replied)
    assert [bool(step.message.tool_call) for step in session.turns[0].steps] == [True, False]


def test_another_message_is_refused_while_one_is_unanswered(log: EpisodeLog) -> None:
    session, _ = begun(log)
    session.say("hi")
    with pytest.raises(NotSent, match="not been answered"):
        session.say("hello?")


@pytest.mark.parametrize(("text", "why"), [("x" * 2001, "2,001 characters"), (" \n ", "empty")])
def test_what_cannot_be_sent_leaves_no_trace(log: EpisodeLog, text: str, why: str) -> None:
    session, _ = begun(log)
    with pytest.raises(NotSent, match=why):
        session.say(text)
    assert log.last_seq() == 0


def test_a_model_that_fails_leaves_the_message_unanswered_and_another_try_open(log: EpisodeLog) -> None:
    session, voices = begun(log, "hello", LOOK, ModelError("not finite"), "here I am")
    talk(session, "hi")
    session.say("and now?")
    with pytest.raises(ModelError):
        list(session.answer())
    assert session.unanswered is not None
    list(session.answer())
    assert session.turns[1].reply == "here I am" and [len(made[2]) for made in voices.made] == [0, 2]


def test_a_log_that_fails_leaves_the_message_unanswered_and_another_try_open(
    log: EpisodeLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    session, _ = begun(log, "hello", "hello again")
    session.say("hi")
    with monkeypatch.context() as broken:
        broken.setattr(log, "answered", lambda *_: (_ for _ in ()).throw(EpisodeLogError("disk full")))
        with pytest.raises(EpisodeLogError):
            list(session.answer())
    list(session.answer())
    assert session.turns[0].reply == "hello again"


def test_a_new_version_speaks_from_the_next_turn_on_and_knows_what_was_said(log: EpisodeLog) -> None:
    session, voices = begun(log, "one", "two")
    talk(session, "hi")
    voices.version = "v2"
    session.say("and?")
    first, *_ = session.answer()
    assert first == Swapped("v1", "v2") and session.version == "v2"
    assert voices.made[-1] == ("v2", 0.0, session.turns[0].steps)
    assert [turn.steps[-1].policy_version for turn in session.turns] == ["v1", "v2"]


def test_a_version_that_made_way_before_it_could_speak_is_asked_for_again(
    log: EpisodeLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    session, voices = begun(log, "one")
    named = iter(["v1", "v2"])
    make = voices.voice

    def voice(version: str, **about: Any) -> ScriptedVoice:
        if version == "v1":
            raise SupersededError("v1 does not speak any more")
        return make(version, **about)

    monkeypatch.setattr(voices, "current", lambda: next(named))
    monkeypatch.setattr(voices, "voice", voice)
    talk(session, "hi")
    assert session.version == "v2" and [turn.reply for turn in session.turns] == ["one"]


def test_a_version_with_other_tokens_waits_for_the_next_conversation(log: EpisodeLog) -> None:
    session, voices = begun(log, "one", "two")
    talk(session, "hi")
    voices.version, voices.tokenizer = "v2", "other"
    talk(session, "and?")
    assert session.version == "v1" and len(voices.made) == 1


def test_the_limit_of_turns_ends_it(log: EpisodeLog) -> None:
    session, _ = begun(log, *["again"] * 20)
    limit = session.setting.scenario.limits.turns
    talk(session, *["more"] * limit)
    assert session.ended is not None and session.ended.stop is StopReason.MAX_TURNS and len(session.turns) == limit
    with pytest.raises(NotSent, match="has ended"):
        session.say("more")


def test_a_killed_conversation_goes_on_where_it_was(log: EpisodeLog) -> None:
    session, _ = begun(log, LOOK, "30 days", "you are welcome")
    talk(session, "how long?")
    session.opinions.change(0, value=1.0)
    session.allow_training(True)
    session.say("thanks")
    (kept,) = log.open_conversations()
    voices = ScriptedVoices("you are welcome")
    again = ChatSession.resumed(log, voices, setting(), kept.episode, kept.unanswered, rater="ann")
    assert again.turns == session.turns and again.unanswered == session.unanswered and again.trains
    assert again.opinions.of(0).value == 1.0
    again.say("thanks")
    list(again.answer())
    assert voices.made == [("v1", 0.0, session.turns[0].steps)]
    episode = again.leave()
    assert episode is not None and [turn.reply for turn in episode.turns] == ["30 days", "you are welcome", ""]


def test_a_conversation_whose_shop_has_changed_cannot_go_on(log: EpisodeLog) -> None:
    session, _ = begun(log, LOOK, "30 days")
    talk(session, "how long?")
    (kept,) = log.open_conversations()
    (turn,) = kept.episode.turns
    elsewhere = replace(turn.steps[0], result=Message(role=Role.TOOL, text="60 days"))
    changed = replace(kept.episode, turns=(replace(turn, steps=(elsewhere, *turn.steps[1:])),))
    other_brief = replace(kept.episode, system=Message(role=Role.SYSTEM, text="another"))
    for episode in (changed, other_brief):
        with pytest.raises(CannotGoOn, match="has changed"):
            ChatSession.resumed(log, ScriptedVoices(), setting(), episode, None)


def test_something_else_said_makes_a_branch_and_ends_the_first(log: EpisodeLog) -> None:
    session, voices = begun(log, "one", "two", "three")
    session.allow_training(True)
    talk(session, "a", "b")
    session.opinions.change(0, value=-1.0, comment="why?")
    session.opinions.change(1, value=1.0)
    branch = session.branch(session.turns[:1], "c")
    list(branch.answer())
    assert session.ended is not None and session.ended.stop is StopReason.ABORTED and branch.id in session.ended.note
    assert [(turn.user.text, turn.reply) for turn in branch.turns] == [("a", "one"), ("c", "three")]
    assert voices.made[-1][2] == branch.turns[0].steps
    (rating,) = log.ratings(branch.id)
    assert (rating.turn, rating.value, rating.comment) == (0, -1.0, "why?") and log.consented(branch.id)
    episode = branch.leave()
    assert episode is not None and episode.stop is StopReason.USER_LEFT and session.id in episode.note


def test_a_branch_from_the_very_beginning(log: EpisodeLog) -> None:
    session, _ = begun(log, "one", "two")
    talk(session, "a")
    branch = session.branch((), "b")
    list(branch.answer())
    assert [turn.user.text for turn in branch.turns] == ["b"]


def test_a_branch_goes_on_from_a_conversation_that_has_ended(log: EpisodeLog) -> None:
    session, _ = begun(log, "one", "two")
    talk(session, "a")
    ended = session.leave()
    branch = session.branch(session.turns, "b")
    list(branch.answer())
    assert session.ended is ended and [turn.reply for turn in branch.turns] == ["one", "two"]


def test_what_may_be_learnt_from_is_spoken_as_a_sample_of_the_policy(log: EpisodeLog) -> None:
    session, voices = begun(log, "one", "two")
    session.allow_training(True)
    talk(session, "a")
    assert session.learnable and voices.made[0][1] == LEARNABLE and log.consented(session.id)
    late, _ = begun(log, "one")
    talk(late, "a")
    late.allow_training(True)
    assert not late.learnable and log.consented(late.id)


def test_consent_is_asked_of_the_log_alone(log: EpisodeLog) -> None:
    session, _ = begun(log, "one")
    talk(session, "a")
    assert log.consented(session.id) is None
    session.allow_training(True)
    session.allow_training(False)
    assert log.consented(session.id) is False and session.trains is False


def test_agreeing_is_marked_as_such(log: EpisodeLog) -> None:
    session, _ = begun(log, "shall I?", "done")
    talk(session, "return it", "yes please")
    assert [[act.kind for act in turn.user.acts] for turn in session.turns] == [[], ["affirm"]]


def test_who_takes_it_up_again_learns_what_became_of_each_rating(log: EpisodeLog) -> None:
    session, voices = begun(log, "one", "two")
    talk(session, "a", "b")
    given = {turn: session.opinions.change(turn, value=1.0).event_id for turn in (0, 1)}
    ended = session.leave()
    assert ended is not None
    again = ChatSession.closed(log, voices, setting(), ended, rater="ann")
    assert {turn: one.event_id for turn, one in again.opinions.given.items()} == given
