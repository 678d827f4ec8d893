"""What people think of what was said reaches the log once, and from there whoever learns."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastapi")

from dialog_rl.chat.setting import LEARNABLE
from dialog_rl.online.eligibility import summarise
from dialog_rl.online.ledger import Ledger
from dialog_rl.serve.app import Service
from tests.chat.scripted import ScriptedVoices
from tests.serve.service import RULES, Client, opened


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Client, Service]]:
    with opened(tmp_path, ScriptedVoices(*["of course"] * 9)) as both:
        yield both


def talked(client: Client, **more: Any) -> str:
    return client.complete("hello", **more).about["conversation"]


def test_a_rated_conversation_with_consent_is_queued_for_learning(served: tuple[Client, Service]) -> None:
    client, service = served
    name = talked(client, metadata={"train": "true"})
    rated = client.post("/v1/ratings", {"episode": name, "turn": 0, "stars": 5, "tags": ["polite"], "rater": "ann"})
    assert rated.status == 201
    waiting = client.get(f"/v1/receipts/{rated.json['rating']}").json
    assert (waiting["fate"], waiting["rated"]["value"], waiting["rated"]["rater"]) == ("waiting", 1.0, "ann")
    assert "unfinished" in waiting["reason"]
    client.post(f"/v1/episodes/{name}/end", {})
    ledger = Ledger(own_run="learn")
    ledger.follow(service.room.log)
    (queued,) = summarise(ledger.waiting.values(), RULES).queued
    assert queued.episode_id == name
    assert client.get(f"/v1/receipts/{rated.json['rating']}").json["reason"] == "queued for the next update"


def test_a_conversation_is_begun_before_anything_is_said_and_named_in_what_follows(
    served: tuple[Client, Service],
) -> None:
    client, service = served
    begun = client.post("/v1/conversations", {"pack": "retail", "customer": 1, "train": True})
    assert begun.status == 201 and begun.json["card"]["wishes"] and begun.json["temperature"] == LEARNABLE
    assert not list(service.room.log.open_conversations())
    named = {"conversation": begun.json["id"]}
    assert client.complete("hello", metadata=named).about["conversation"] == begun.json["id"]
    assert client.complete("once more", metadata={**named, "turn": "2"}).code == "no_such_turn"
    other = client.complete("otherwise", metadata={**named, "turn": "0"}).about
    assert (other["turn"], other["history"].partition(":")[0]) == (0, "changed")


@pytest.mark.parametrize(
    "asked", [{"pack": "nowhere"}, {"customer": -1}, {"mood": "good"}, {"train": True, "temperature": 1.0}]
)
def test_a_conversation_that_cannot_be_is_not_begun(served: tuple[Client, Service], asked: dict[str, Any]) -> None:
    client, service = served
    assert client.post("/v1/conversations", asked).status in (400, 404) and len(service.conversations) == 0


def test_what_was_begun_and_left_without_a_word_is_let_go(served: tuple[Client, Service]) -> None:
    client, service = served
    client.post("/v1/conversations", {})
    service.conversations._keep = 0
    service.conversations.sweep()
    assert len(service.conversations) == 0 and not list(service.room.log.episodes())


def test_consent_can_be_given_and_taken_back_later(served: tuple[Client, Service]) -> None:
    client, service = served
    name = talked(client)
    told = client.post("/v1/consent", {"episode": name, "train": True}).json
    assert service.room.log.consented(name) is True and "without chance" in told["meaning"]
    client.post("/v1/consent", {"episode": name, "train": False})
    assert service.room.log.consented(name) is False


def test_the_same_rating_under_one_key_is_logged_once(served: tuple[Client, Service]) -> None:
    client, service = served
    name = talked(client)
    good = {"episode": name, "turn": 0, "value": 1, "comment": "nice"}
    first, again = (client.post("/v1/ratings", good, Idempotency_Key="k1") for _ in range(2))
    assert (first.status, again.status) == (201, 200) and first.json == again.json
    assert client.post("/v1/ratings", {**good, "value": -1}, Idempotency_Key="k1").code == "idempotency"
    client.post("/v1/ratings", good)
    assert len(list(service.room.log.events(kinds=("rating",)))) == 2


@pytest.mark.parametrize(
    ("rating", "status"),
    [
        ({"turn": 7, "value": 1}, 404),
        ({"value": 2}, 400),
        ({"value": 1, "stars": 3}, 400),
        ({"stars": 6}, 400),
        ({"tags": ["nonsense"]}, 400),
        ({"mood": "good"}, 400),
        ({"episode": "chat-of-somebody-else", "value": 1}, 404),
    ],
)
def test_a_rating_that_cannot_be_is_refused(
    served: tuple[Client, Service], rating: dict[str, Any], status: int
) -> None:
    client, service = served
    answer = client.post("/v1/ratings", {"episode": talked(client), **rating})
    assert answer.status == status and answer.json["error"]["message"]
    assert not list(service.room.log.events(kinds=("rating",)))


def test_episodes_are_listed_page_by_page_and_shown_whole(served: tuple[Client, Service]) -> None:
    client, _ = served
    names = [talked(client) for _ in range(3)]
    for name in names[:2]:
        client.post(f"/v1/episodes/{name}/end", {})
    first = client.get("/v1/episodes?limit=1").json
    second = client.get(f"/v1/episodes?limit=1&since={first['next']}").json
    assert [first["data"][0]["id"], second["data"][0]["id"]] == names[:2] and first["open"] == names[2:]
    assert client.get("/v1/episodes?pack=telecom").json["data"] == []
    ended, going = (client.get(f"/v1/episodes/{name}").json for name in (names[0], names[2]))
    assert (ended["open"], going["open"]) == (False, True)
    assert ended["episode"]["turns"][0]["steps"][-1]["message"]["text"] == "of course"
    assert client.get("/v1/episodes/web-nowhere").status == 404


def test_what_was_thought_goes_along_when_a_message_is_changed(served: tuple[Client, Service]) -> None:
    client, service = served
    first = client.complete("hello")
    client.complete("hello", first.text, "one")
    client.post("/v1/ratings", {"episode": first.about["conversation"], "turn": 0, "value": 1})
    other = client.complete("hello", first.text, "two").about["conversation"]
    (kept,) = service.room.log.ratings(other)
    assert (kept.turn, kept.value) == (0, 1.0)
