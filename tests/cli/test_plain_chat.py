"""A conversation line by line: what is typed goes in, what is shown comes out."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dialog_rl.chat.session import ChatSession
from dialog_rl.cli.plain_chat import converse
from dialog_rl.episode import StopReason, ToolCall
from dialog_rl.episode_log.log import EpisodeLog
from tests.chat.scripted import Line, ScriptedVoices, db, setting

LOOK = ToolCall(name="search_help", arguments={"query": "returns"})


@pytest.fixture
def log(tmp_path: Path) -> Iterator[EpisodeLog]:
    with EpisodeLog.open(db(tmp_path)) as log:
        yield log


class Desk:
    def __init__(self, log: EpisodeLog, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._log, self._monkeypatch, self._capsys = log, monkeypatch, capsys

    def session(self, *lines: Line) -> ChatSession:
        return ChatSession(self._log, ScriptedVoices(*lines), setting(), rater="ann")

    def type(self, session: ChatSession, *typed: str) -> tuple[bool, str]:
        self._monkeypatch.setattr(sys, "stdin", io.StringIO("".join(f"{line}\n" for line in typed)))
        again = converse(session)
        out, err = self._capsys.readouterr()
        return again, out + err


@pytest.fixture
def desk(log: EpisodeLog, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Desk:
    return Desk(log, monkeypatch, capsys)


def test_replies_and_calls_are_shown_and_the_episode_is_kept(desk: Desk, log: EpisodeLog) -> None:
    session = desk.session(LOOK, "within 30 days")
    again, shown = desk.type(session, "until when?", "/quit")
    assert not again and "   … search_help {}" in shown and "agent> within 30 days" in shown
    assert f"{session.id} is kept in" in shown and "ended: user_left" in shown
    assert log.get(session.id).turns[0].reply == "within 30 days"


def test_the_last_reply_is_rated_in_many_ways_and_undone(desk: Desk, log: EpisodeLog) -> None:
    session = desk.session("hello")
    typed = ["hi", "/good", "/rate 2", "/comment not so good", "/correct Good day!", "/tag rude, too_long", "/whole 5"]
    _, shown = desk.type(session, *typed, "/tag lovely", "/rate 6", "/undo", "/undo", "/quit")
    (rating,) = log.ratings(session.id)
    assert (rating.turn, rating.value, rating.comment, rating.correction) == (0, -0.5, "not so good", "Good day!")
    assert rating.tags == () and "'lovely' is no tag" in shown and "'6' is no number from 1 to 5" in shown


def test_nothing_is_rated_before_there_is_a_reply(desk: Desk) -> None:
    _, shown = desk.type(desk.session(), "/good", "/undo", "/nonsense", "/help", "/card", "/quit")
    assert "there is no reply to rate yet" in shown and "nothing to take back" in shown
    assert "/nonsense is no command" in shown and "/comment TEXT" in shown and shown.count("You are a customer of") == 2


def test_learning_from_it_is_allowed_and_forbidden(desk: Desk, log: EpisodeLog) -> None:
    session = desk.session("hello")
    desk.type(session, "/learn on", "hi", "/learn off", "/learn", "/quit")
    assert log.consented(session.id) is True


def test_another_customer_is_asked_for(desk: Desk) -> None:
    assert desk.type(desk.session(), "/new")[0] and not desk.type(desk.session(), "/quit")[0]


def test_what_was_broken_off_is_shown_again_and_its_last_message_answered(desk: Desk, log: EpisodeLog) -> None:
    session = desk.session(LOOK, "30 days", "gone")
    session.say("until when?")
    list(session.answer())
    session.say("sure?")
    (kept,) = log.open_conversations()
    again = ChatSession.resumed(log, ScriptedVoices("quite sure"), setting(), kept.episode, kept.unanswered)
    _, shown = desk.type(again, "/quit")
    wanted = ["you> until when?", "   … search_help {}", "agent> 30 days", "you> sure?", "agent> quite sure"]
    assert [line for line in shown.splitlines() if line in wanted] == wanted


def test_a_person_who_breaks_off_leaves_an_aborted_conversation(
    desk: Desk, log: EpisodeLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted() -> str:
        raise KeyboardInterrupt

    session = desk.session("hello")
    session.say("hi")
    list(session.answer())
    keyboard = io.StringIO()
    monkeypatch.setattr(keyboard, "readline", interrupted)
    monkeypatch.setattr(sys, "stdin", keyboard)
    with pytest.raises(KeyboardInterrupt):
        converse(session)
    assert log.get(session.id).stop is StopReason.ABORTED


def test_nothing_the_agent_says_steers_the_terminal(desk: Desk) -> None:
    _, shown = desk.type(desk.session("a\x1b[2Jb\u202ec"), "hi", "/quit")
    assert "agent> a\\x1b[2Jb\\u202ec" in shown and "\x1b" not in shown
