"""A conversation at a service is to its face what one of this process is: the same events, the same record."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("fastapi")

from dialog_rl.chat.events import Called, Delta, Ended, Event, Replied, Stopped, Swapped, event_from_json, event_to_json
from dialog_rl.chat.setting import LEARNABLE
from dialog_rl.chat.talk import NotSent, about_learning
from dialog_rl.episode import StopReason, ToolCall
from dialog_rl.errors import ConfigError, ServiceError
from dialog_rl.remote.room import RemoteRoom
from dialog_rl.remote.service import Service as Remote
from dialog_rl.remote.session import RemoteSession
from dialog_rl.serve.app import Service
from dialog_rl.serve.keys import Keys
from tests.chat.scripted import Gate, Line, ScriptedVoices
from tests.serve.service import opened

LOOK = ToolCall(name="search_help", arguments={"query": "returns"})


class There:
    def __init__(self, folder: Path, url: str, service: Service, voices: ScriptedVoices) -> None:
        self.room, self.service, self.voices = RemoteRoom(folder, Remote(url)), service, voices
        self.log = service.room.log

    def says(self, *lines: Line) -> None:
        self.voices.lines = list(lines)

    def talk(self) -> RemoteSession:
        return self.room.new("retail", 1)


@pytest.fixture
def there(tmp_path: Path) -> Iterator[There]:
    voices = ScriptedVoices()
    with opened(tmp_path, voices) as (client, service):
        yield There(tmp_path, client.url, service, voices)


def said(talk: RemoteSession, text: str) -> list[Event]:
    talk.say(text)
    return list(talk.answer())


def test_calls_pieces_and_reply_come_as_they_happen_and_are_logged_there(there: There) -> None:
    there.says(LOOK, "within 30 days")
    talk = there.talk()
    events = said(talk, "until when?")
    assert [type(e) for e in events] == [Called, Delta, Delta, Delta, Replied]
    assert "".join(e.text for e in events if isinstance(e, Delta)) == talk.turns[0].reply == "within 30 days"
    logged = there.log.open_conversation(talk.id)
    assert logged is not None and logged.episode.turns == talk.turns and talk.version == "v1"


def test_the_card_is_that_of_the_customer_whose_place_is_taken_there(there: There) -> None:
    card = there.talk().card()
    assert card == there.service.room.new("retail", 1).card() and card.wishes and card.known
    assert there.room.new("retail", 1, free=True).card().wishes == ()


def test_nothing_is_logged_before_the_first_message(there: There) -> None:
    talk = there.talk()
    assert not talk.begun and talk.leave() is None and not list(there.log.open_conversations())


def test_a_stopped_reply_is_asked_for_again_in_the_same_conversation(tmp_path: Path) -> None:
    gate = Gate()
    voices = ScriptedVoices("one two three", gate=gate)
    with opened(tmp_path, voices) as (client, service):
        talk = RemoteRoom(tmp_path, Remote(client.url)).new("retail", 1)
        talk.say("a")
        gate.let()
        heard: list[Event] = []
        heard += talk.answer(lambda: bool(heard))
        assert [type(e) for e in heard] == [Delta, Stopped] and talk.turns == () and talk.unanswered is not None
        while service.turns.under_way:
            time.sleep(0.01)
        gate.open()
        name = talk.id
        assert isinstance(list(talk.answer())[-1], Replied) and talk.id == name
        assert talk.turns[0].reply == "one two three"


def test_an_answer_that_was_made_and_not_heard_is_told_once_more(there: There) -> None:
    there.says("one", "two")
    talk = there.talk()
    said(talk, "a")
    talk.turns = ()
    assert [type(e) for e in said(talk, "a")] == [Delta, Replied]
    assert [turn.reply for turn in talk.turns] == ["one"]
    said(talk, "b")
    opened = there.log.open_conversation(talk.id)
    assert opened is not None and [t.reply for t in opened.episode.turns] == ["one", "two"]


def test_what_is_said_otherwise_goes_on_as_another_one_and_opinions_go_along(there: There) -> None:
    there.says("one", "two", "three")
    first = there.talk()
    said(first, "a")
    first.opinions.change(0, value=1.0)
    said(first, "b")
    other = first.branch(first.turns[:1], "c")
    list(other.answer())
    assert other.id != first.id and [t.user.text for t in other.turns] == ["a", "c"]
    assert there.log.get(first.id).stop is StopReason.ABORTED
    assert other.opinions.of(0).value == 1.0 and [r.value for r in there.log.ratings(other.id)] == [1.0]


def test_even_the_first_message_can_be_said_otherwise(there: There) -> None:
    there.says("one", "two")
    first = there.talk()
    said(first, "a")
    other = first.branch((), "b")
    list(other.answer())
    assert other.id != first.id and [t.user.text for t in other.turns] == ["b"]
    opened = there.log.open_conversation(other.id)
    assert opened is not None and opened.episode.scenario == there.log.get(first.id).scenario


def test_ratings_reach_the_log_once_each_and_are_told_what_became_of_them(there: There) -> None:
    there.says("one")
    talk = there.talk()
    said(talk, "a")
    given = talk.opinions.change(0, value=-1.0, tags=("rude",), comment="no")
    (rating,) = there.log.ratings(talk.id)
    assert (rating.turn, rating.value, rating.tags, rating.comment) == (0, -1.0, ("rude",), "no")
    (receipt,) = talk.receipts()
    assert (receipt["event_id"], receipt["fate"]) == (given.event_id, "waiting")
    talk.opinions.undo()
    assert there.log.ratings(talk.id) == ()


def holding(talk: RemoteSession) -> dict[int | None, str]:
    """The receipts' ids of what the conversation knows that was thought of its turns."""
    told = {one["event_id"] for one in talk.receipts()}
    return {number: given.event_id for number, given in talk.opinions.given.items() if given.event_id in told}


def test_who_takes_a_conversation_up_again_is_told_what_became_of_its_ratings(there: There) -> None:
    there.says("one", "two")
    talk = there.talk()
    said(talk, "a")
    for value in (-1.0, 1.0):
        talk.opinions.change(0, value=value)
    said(talk, "b")
    talk.opinions.change(1, comment="gone")
    talk.opinions.undo()
    again = there.room.take_up(there.room.find(talk.id))
    assert again.opinions.of(0).value == 1.0 and holding(again).keys() == {0}
    assert next(one["rated"]["value"] for one in again.receipts() if one["event_id"] == holding(again)[0]) == 1.0


def test_who_says_it_otherwise_is_told_what_became_of_the_ratings_that_went_along(there: There) -> None:
    there.says("one", "two", "three")
    first = there.talk()
    said(first, "a")
    first.opinions.change(0, value=1.0)
    said(first, "b")
    other = first.branch(first.turns[:1], "c")
    assert holding(other).keys() == {0}
    list(other.answer())
    assert holding(other).keys() == {0} and not set(holding(other).values()) & set(holding(first).values())


def test_who_allows_learning_before_the_first_word_is_spoken_to_as_is_learnt_from(there: There) -> None:
    there.says("one", "two")
    talk = there.talk()
    talk.allow_training(True)
    said(talk, "a")
    assert there.log.consented(talk.id) and "once it is rated" in about_learning(talk)
    assert [temperature for _, temperature, _ in there.voices.made] == [LEARNABLE]
    late = there.talk()
    said(late, "a")
    late.allow_training(True)
    assert there.log.consented(late.id) and "without chance" in about_learning(late)


def test_who_leaves_has_ended_it_there(there: There) -> None:
    there.says("one")
    talk = there.talk()
    said(talk, "a")
    episode = talk.leave()
    assert episode == there.log.get(talk.id) and episode is not None and episode.stop is StopReason.USER_LEFT
    with pytest.raises(NotSent, match="has ended"):
        talk.say("b")


def test_another_version_is_told_of(there: There) -> None:
    there.says("one", "two")
    talk = there.talk()
    said(talk, "a")
    there.voices.version = "v2"
    assert Swapped("v1", "v2") in said(talk, "b") and talk.version == "v2"


def test_one_that_goes_on_is_found_and_taken_up(there: There) -> None:
    there.says("one", "two")
    talk = there.talk()
    said(talk, "a")
    talk.opinions.change(0, value=1.0)
    (saved,) = there.room.saved("one")
    assert there.room.saved("elsewhere") == [] and saved.id == there.room.find("last").id
    again = there.room.take_up(saved)
    assert again.turns == talk.turns and again.opinions.of(0).value == 1.0 and again.card() == talk.card()
    said(again, "b")
    assert again.id == talk.id and len(again.turns) == 2


def test_what_the_service_ended_meanwhile_goes_on_as_another_one(there: There) -> None:
    there.says("one", "two")
    talk = there.talk()
    said(talk, "a")
    there.service.conversations._idle = 0.0
    there.service.conversations.sweep()
    name = talk.id
    said(talk, "b")
    assert [t.user.text for t in talk.turns] == ["a", "b"] and talk.id != name
    assert there.log.get(name).stop is StopReason.USER_LEFT


def test_another_host_of_the_same_log_goes_on_with_it(tmp_path: Path) -> None:
    with opened(tmp_path, ScriptedVoices("one")) as (client, _), opened(tmp_path, ScriptedVoices("two")) as (other, _):
        talk = RemoteRoom(tmp_path, Remote(client.url)).new("retail", 1)
        said(talk, "a")
        there = RemoteRoom(tmp_path, Remote(other.url))
        again = there.take_up(there.find(talk.id))
        said(again, "b")
        assert again.id == talk.id and [t.reply for t in again.turns] == ["one", "two"]


def test_what_an_exported_conversation_holds_is_that_of_the_service(there: There) -> None:
    there.says("one")
    talk = there.talk()
    said(talk, "a")
    talk.opinions.change(0, comment="nice")
    written = there.room.export(there.room.find(talk.id), "md").read_text()
    assert "one" in written and "nice" in written


def test_a_failing_agent_leaves_the_message_unanswered(there: There) -> None:
    there.says(RuntimeError("broken"), "one")
    talk = there.talk()
    talk.say("a")
    with pytest.raises(ServiceError, match="a fault in the service"):
        list(talk.answer())
    assert talk.unanswered is not None
    assert isinstance(list(talk.answer())[-1], Replied)


def test_nobody_there_is_said_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(ServiceError, match="127.0.0.1:1: "):
        RemoteRoom(tmp_path, Remote("http://127.0.0.1:1/v1"))
    with pytest.raises(ConfigError, match="begins with http"):
        Remote("127.0.0.1:8000")


def test_a_key_opens_the_door_and_none_does_not(tmp_path: Path) -> None:
    keys = Keys([("ann", "0123456789abcdef")])
    with opened(tmp_path, ScriptedVoices("one"), keys=keys) as (client, _):
        with pytest.raises(ServiceError, match="no such key"):
            RemoteRoom(tmp_path, Remote(client.url))
        talk = RemoteRoom(tmp_path, Remote(client.url, key="0123456789abcdef")).new("retail", 1)
        assert isinstance(said(talk, "a")[-1], Replied) and talk.opinions.rater == "ann"


def test_events_are_read_as_they_were_written(there: There) -> None:
    there.says(LOOK, "one")
    talk = there.talk()
    events = said(talk, "a")
    episode = talk.leave()
    assert episode is not None
    for event in (*events, Ended(episode), Stopped(), Swapped("v1", "v2")):
        assert event_from_json(event_to_json(event)) == event
    with pytest.raises(ValueError, match="is no event"):
        event_from_json({"event": "sung"})
