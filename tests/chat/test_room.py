"""Conversations are begun in one place and found there again, by id, by what was said, by the name they were given."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from dialog_rl.chat.room import ChatRoom
from dialog_rl.chat.session import ChatSession
from dialog_rl.episode import StopReason
from dialog_rl.episode_log.log import EpisodeLog
from dialog_rl.errors import ConfigError, EpisodeLogError, ScenarioError
from dialog_rl.staging import Stage
from tests.chat.scripted import ScriptedVoices, db, stage
from tests.talk import PACKS


@pytest.fixture
def room(tmp_path: Path) -> Iterator[ChatRoom]:
    with EpisodeLog.open(db(tmp_path)) as log:
        yield opened(tmp_path, log)


def opened(folder: Path, log: EpisodeLog) -> ChatRoom:
    def stages(pack: str) -> Stage:
        if pack not in PACKS:
            raise ScenarioError(f"there is no pack {pack!r}")
        return stage(pack)

    return ChatRoom(folder, log, ScriptedVoices(*["yes, of course"] * 9), stages)


def said(room: ChatRoom, *texts: str, number: int = 1) -> ChatSession:
    session = room.new("retail", number)
    for text in texts:
        session.say(text)
        list(session.answer())
    return session


def test_a_number_names_a_customer(room: ChatRoom) -> None:
    assert room.new("retail", 3).card() == room.new("retail", 3).card() != room.new("retail", 4).card()


def test_anybody_is_not_always_the_same(room: ChatRoom) -> None:
    assert len({room.new("retail").setting.seed for _ in range(5)}) > 1


@pytest.mark.parametrize("pack", PACKS)
def test_who_is_free_knows_who_they_are_and_wants_nothing(room: ChatRoom, pack: str) -> None:
    bound, free = room.new(pack, 2), room.new(pack, 2, free=True)
    assert free.card().known == bound.card().known and bound.card().wishes and not free.card().wishes
    assert "whatever you like" in "\n".join(free.card().lines())
    free.say("hello")
    list(free.answer())
    episode = free.leave()
    assert episode is not None and "success" not in episode.scenario


def test_kept_conversations_are_listed_newest_first_with_what_they_are(room: ChatRoom) -> None:
    first = said(room, "where is my parcel?", "thanks")
    first.opinions.change(0, value=1.0)
    first.opinions.change(1, value=1.0)
    first.opinions.undo()
    first.leave()
    second = said(room, "hello")
    second.say("hello?")
    newest, oldest = room.saved()
    assert (oldest.id, oldest.title, oldest.turns, oldest.open, oldest.rated, oldest.version) == (
        first.id, "where is my parcel?", 2, False, 1, "v1",
    )  # fmt: skip
    assert (newest.id, newest.open, newest.rated) == (second.id, True, 0)
    assert newest.unanswered is not None and newest.unanswered.text == "hello?"


def test_all_words_must_occur_somewhere_in_it(room: ChatRoom) -> None:
    one, other = said(room, "Where is my PARCEL?"), said(room, "hello")
    room.rename(other.id, "A lost parcel")
    assert {s.id for s in room.saved("parcel")} == {one.id, other.id}
    assert [s.id for s in room.saved("parcel where")] == [one.id]
    assert [s.id for s in room.saved("of course lost")] == [other.id] and not room.saved("ghost")


def test_one_is_found_by_its_beginning_or_as_the_last(room: ChatRoom) -> None:
    one, other = said(room, "a"), said(room, "b")
    assert room.find(one.id[:-1]).id == one.id and room.find("last").id == other.id
    with pytest.raises(EpisodeLogError, match="no conversation 'ghost'"):
        room.find("ghost")
    with pytest.raises(EpisodeLogError, match="several"):
        room.find("chat-")


def test_a_name_survives_the_program_and_can_be_taken_back(room: ChatRoom) -> None:
    session = said(room, "hello")
    room.rename(session.id, "Mine\x1b[2J \n and yours")
    assert room.saved()[0].title == "Mine\\x1b[2J and yours"
    assert opened(room.folder, room.log).saved()[0].title == "Mine\\x1b[2J and yours"
    room.rename(session.id, "")
    assert room.saved()[0].title == "hello"


def test_what_was_put_away_is_not_shown_and_not_learnt_from(room: ChatRoom) -> None:
    session = said(room, "hello")
    session.allow_training(True)
    session.leave()
    room.put_away(session.id)
    assert not room.saved() and room.log.consented(session.id) is False
    assert room.log.get(session.id).turns


def test_a_broken_file_of_names_is_named(room: ChatRoom) -> None:
    said(room, "hello")
    (room.folder / "names.json").write_text("{")
    with pytest.raises(ConfigError, match=r"names\.json: not JSON"):
        room.saved()


def test_an_open_conversation_is_taken_up_as_it_was(room: ChatRoom) -> None:
    session = said(room, "hello", "and then?")
    again = room.take_up(room.find("last"))
    assert (again.id, again.turns, again.ended) == (session.id, session.turns, None)
    again.say("fine")
    list(again.answer())
    assert [turn.user.text for turn in again.turns] == ["hello", "and then?", "fine"]


def test_an_ended_conversation_is_read_rated_and_branched_off(room: ChatRoom) -> None:
    session = said(room, "hello")
    session.opinions.change(0, value=-1.0)
    ended = session.leave()
    again = room.take_up(room.find("last"))
    assert again.ended == ended and again.opinions.of(0).value == -1.0 and again.version == "v1"
    again.opinions.change(None, value=1.0)
    branch = again.branch(again.turns, "and then?")
    list(branch.answer())
    assert len(branch.turns) == 2 and {s.id for s in room.saved()} == {session.id, branch.id}


def test_what_was_left_for_a_branch_is_not_listed(room: ChatRoom) -> None:
    session = said(room, "hello")
    branch = session.branch((), "good day")
    list(branch.answer())
    assert [s.id for s in room.saved()] == [branch.id]
    assert room.log.get(session.id).stop is StopReason.ABORTED


def test_what_was_typed_and_not_sent_is_there_again(room: ChatRoom) -> None:
    assert room.draft() == ""
    room.keep_draft("half a sen\ud800\n")
    assert opened(room.folder, room.log).draft() == "half a sen?\n"
    room.keep_draft("")
    assert room.draft() == ""


def test_a_pack_that_is_gone_is_named(room: ChatRoom) -> None:
    with pytest.raises(ScenarioError, match="no pack 'ghost'"):
        room.new("ghost")


def test_a_customers_place_is_taken_from_any_turn_on(room: ChatRoom) -> None:
    ended = said(room, "hello", "my order", "and then").leave()
    assert ended is not None
    for turn, before in ((1, ["hello"]), (0, []), (None, ["hello", "my order", "and then"])):
        session = room.take_over(ended, turn)
        assert [one.user.text for one in session.turns] == before and session.id != ended.episode_id
        session.say("something else")
        list(session.answer())
        assert [one.user.text for one in session.turns] == [*before, "something else"]
        episode = session.leave()
        assert episode is not None and f"goes on from {ended.episode_id}" in episode.note
