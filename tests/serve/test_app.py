"""What OpenAI's clients ask is answered as they expect it, and everything else is refused in words they can read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastapi")

from dialog_rl.episode import ToolCall
from dialog_rl.errors import ModelError
from dialog_rl.serve.app import Service
from dialog_rl.serve.keys import Keys
from tests.chat.scripted import Gate, ScriptedVoices
from tests.serve.service import CONFIG, Client, opened

Open = tuple[Client, Service]


@pytest.fixture
def voices() -> ScriptedVoices:
    return ScriptedVoices(*[f"reply number {n}" for n in range(20)])


@pytest.fixture
def served(tmp_path: Path, voices: ScriptedVoices) -> Iterator[Open]:
    with opened(tmp_path, voices) as both:
        yield both


def test_a_reply_is_a_chat_completion_that_says_who_spoke(served: Open) -> None:
    client, _ = served
    answer = client.complete("hello")
    reply = answer.json
    assert (answer.status, answer.text, reply["object"]) == (200, "reply number 0", "chat.completion")
    assert reply["system_fingerprint"] == answer.headers["x-dialog-rl-version"] == answer.about["version"] == "v1"
    assert reply["usage"] == {"prompt_tokens": 2, "completion_tokens": 2, "total_tokens": 4}
    assert reply["choices"][0]["finish_reason"] == "stop"


def test_a_stream_is_the_same_reply_in_pieces(served: Open) -> None:
    client, _ = served
    answer = client.complete("hello", stream=True, stream_options={"include_usage": True})
    assert answer.headers["content-type"].startswith("text/event-stream") and answer.streamed == "reply number 0"
    *pieces, last, usage, done = answer.events
    assert len(pieces) == 4 and done == "[DONE]" and usage["usage"]["completion_tokens"] == 2
    assert last["choices"][0]["finish_reason"] == "stop" and last["dialog_rl"]["turn"] == 0
    assert {e["system_fingerprint"] for e in [*pieces, last, usage]} == {"v1"}


def test_a_client_that_keeps_nothing_goes_on_with_its_conversation(served: Open) -> None:
    client, service = served
    first = client.complete("hello")
    second = client.complete("hello", first.text, "and then?")
    third = client.complete("hello", first.text, "and then?", second.text, "thanks", stream=True)
    about = [first.about, second.about, third.events[-2]["dialog_rl"]]
    assert len({a["conversation"] for a in about}) == 1 and [a["turn"] for a in about] == [0, 1, 2]
    opened_one = service.room.log.open_conversation(first.about["conversation"])
    assert opened_one is not None
    assert [turn.user.text for turn in opened_one.episode.turns] == ["hello", "and then?", "thanks"]


def test_a_history_that_was_not_spoken_here_begins_another_conversation_and_is_told_so(served: Open) -> None:
    client, _ = served
    answer = client.complete("hello", "I am somebody else", "go on")
    assert answer.about["turn"] == 0 and answer.about["history"].startswith("unknown")
    assert answer.headers["x-dialog-rl-history"] == "unknown"


def test_a_changed_message_goes_on_from_where_it_was_changed(served: Open) -> None:
    client, service = served
    first = client.complete("hello")
    second = client.complete("hello", first.text, "one")
    other = client.complete("hello", first.text, "two")
    assert other.about["turn"] == 1 and other.about["history"].startswith("changed")
    assert other.about["conversation"] != second.about["conversation"]
    assert "went on as" in service.room.log.get(second.about["conversation"]).note
    again = client.complete("hello", first.text, "one", second.text, "three")
    assert again.status == 200 and again.about["turn"] == 2, "what was left can be gone back to"


def test_users_with_the_same_words_are_kept_apart(served: Open) -> None:
    client, _ = served
    one, two = client.complete("hello", user="ann"), client.complete("hello", user="bob")
    went_on = client.complete("hello", one.text, "more", user="ann")
    assert went_on.about["conversation"] == one.about["conversation"] != two.about["conversation"]
    assert client.complete("hello", one.text, "more", user="bob").about["history"].startswith("unknown")


def test_a_conversation_can_be_named_instead_of_told(served: Open) -> None:
    client, _ = served
    name = client.complete("hello").about["conversation"]
    assert client.complete("more", metadata={"conversation": name}).about["turn"] == 1
    assert client.complete("more", headers={"X_Dialog_RL_Conversation": name}).about["turn"] == 2
    assert client.complete("x", "y", "more", metadata={"conversation": name}).code == "history_mismatch"
    assert client.complete("more", metadata={"conversation": "web-nowhere"}).status == 404


def test_pack_and_customer_are_chosen_by_suffix_header_or_metadata(served: Open) -> None:
    client, service = served
    ways: list[dict[str, Any]] = [
        {"model": "champion:telecom:7"},
        {"headers": {"X_Dialog_RL_Pack": "telecom", "X_Dialog_RL_Customer": "7"}},
        {"metadata": {"pack": "telecom", "customer": "7"}},
    ]
    found = [service.room.log.open_conversation(client.complete("hi", **way).about["conversation"]) for way in ways]
    assert {f.episode.pack for f in found if f} == {"telecom"} and len({f.episode.seed for f in found if f}) == 1
    assert client.complete("hi", model="champion:telecom", metadata={"pack": "retail"}).status == 400
    assert client.complete("hi", model="champion:nowhere").code == "pack_not_found"
    assert client.complete("hi", metadata={"customer": "-1"}).status == 400


def test_the_packs_tools_run_inside_and_are_named(tmp_path: Path) -> None:
    call = ToolCall(name="get_order", arguments={"order_id": "1"})
    with opened(tmp_path, ScriptedVoices(call, "done")) as (client, _):
        answer = client.complete("hello")
        assert answer.text == "done" and answer.about["tools"] == ["get_order"]
        assert answer.json["usage"]["completion_tokens"] == 4


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"tools": [{"type": "function", "function": {"name": "f"}}]}, "tools"),
        ({"n": 2}, "n"),
        ({"stop": ["."]}, "stop"),
        ({"max_tokens": 5}, "max_tokens"),
        ({"response_format": {"type": "json_object"}}, "response_format"),
        ({"store": False}, "store"),
        ({"temperature": 3}, "temperature"),
        ({"temperature": 0.25, "metadata": {"train": "true"}}, "temperature"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "system", "content": "obey"}, {"role": "user", "content": "x"}]}, "messages[0]"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]}, None),
        ({"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}, "messages"),
        ({"messages": [{"role": "user", "content": "a"}, {"role": "tool", "content": "b"}]}, "messages[1]"),
        ({"messages": [{"role": "user", "content": "x" * 2001}]}, "messages"),
        ({"messages": [{"role": "user", "content": " "}]}, "messages"),
        ({"messages": [{"role": "user", "content": "x"}] * 401}, "messages"),
    ],
)  # fmt: skip
def test_what_is_not_done_is_refused_and_named(served: Open, more: dict[str, Any], param: str | None) -> None:
    client, _ = served
    answer = client.complete("hello", **more)
    error = answer.json["error"]
    assert answer.status == 400 and error["type"] == "invalid_request_error" and error["message"]
    assert param is None or error["param"] == param


def test_fields_that_ask_for_nothing_else_are_taken(served: Open) -> None:
    client, _ = served
    nothing = {"n": 1, "tools": [], "tool_choice": "auto", "max_tokens": 4096, "top_p": 1, "stop": None, "user": "ann"}
    assert client.complete("hello", **nothing).status == 200


def test_what_is_not_json_is_refused(served: Open) -> None:
    client, _ = served
    assert client.post("/v1/chat/completions", b'{"model":').json["error"]["message"] == "the body is not JSON"
    assert client.post("/v1/chat/completions", b"hello", Content_Type="text/plain").status == 415
    assert client.post("/v1/chat/completions", b"[]").status == 400
    assert client.complete("hello", model="gpt-9").code == "model_not_found"
    assert client.get("/v1/nowhere").code == "no_route" and client.get("/v1/chat/completions").status == 405


def test_what_cannot_be_answered_stays_unanswered_and_can_be_asked_again(tmp_path: Path) -> None:
    with opened(tmp_path, ScriptedVoices(ModelError("its weights are damaged"), "better")) as (client, _):
        broken = client.complete("hello", metadata={"x": "y"})
        assert broken.status == 503 and "damaged" in broken.json["error"]["message"] and broken.headers["retry-after"]
        assert client.complete("hello").text == "better"


def test_a_conversation_that_has_ended_is_not_gone_on_with(served: Open) -> None:
    client, _ = served
    first = client.complete("hello")
    assert client.post(f"/v1/episodes/{first.about['conversation']}/end", {}).json["stop"] == "user_left"
    assert client.complete("hello", first.text, "more").code == "conversation_ended"


def test_models_are_the_version_that_speaks_under_its_names(served: Open, voices: ScriptedVoices) -> None:
    client, _ = served
    voices.version = "v2"
    listed = client.get("/v1/models").json["data"]
    assert [m["id"] for m in listed] == ["champion", "v2", "champion:retail", "champion:telecom"]
    assert {m["version"] for m in listed} == {"v2"}
    assert client.complete("hello", model="v2").json["system_fingerprint"] == "v2"


def test_open_conversations_go_on_after_a_restart(tmp_path: Path) -> None:
    with opened(tmp_path, ScriptedVoices("one", "two")) as (client, _):
        first = client.complete("hello", user="ann", model="champion:telecom")
        second = client.complete("hello", first.text, "more", user="ann", model="champion:telecom")
    with opened(tmp_path, ScriptedVoices("three")) as (client, _):
        third = client.complete(
            "hello", "one", "more", "two", "again", user="ann", model="champion:telecom"
        )  # fmt: skip
        assert second.text == "two"
        assert third.about["conversation"] == first.about["conversation"] and third.about["turn"] == 2


def test_what_is_left_ends_as_an_episode(tmp_path: Path) -> None:
    with opened(tmp_path, ScriptedVoices("one"), replace(CONFIG, idle_seconds=0.0)) as (client, service):
        name = client.complete("hello").about["conversation"]
        assert service.conversations.sweep() == 1 and str(service.room.log.get(name).stop) == "user_left"


def test_more_than_may_wait_are_asked_to_come_again(tmp_path: Path) -> None:
    gate = Gate()
    config = replace(CONFIG, at_once=1, waiting=0, turn_seconds=60)
    with opened(tmp_path, ScriptedVoices("one two", "three", gate=gate), config) as (client, service):
        import threading

        first = threading.Thread(target=lambda: client.complete("hello"))
        first.start()
        while not service.turns.under_way:
            threading.Event().wait(0.01)
        refused = client.complete("hello")
        gate.open()
        first.join()
        assert refused.status == 503 and refused.code == "overloaded" and refused.headers["retry-after"]


def test_a_turn_that_takes_too_long_is_given_up(tmp_path: Path) -> None:
    config = replace(CONFIG, turn_seconds=0.2)
    with opened(tmp_path, ScriptedVoices("one two", gate=Gate()), config) as (client, service):
        answer = client.complete("hello")
        assert answer.status == 504 and answer.code == "timeout"
        (left,) = service.room.log.open_conversations()
        assert left.unanswered is not None and left.unanswered.text == "hello" and not left.episode.turns


def test_figures_tell_what_was_done_and_nothing_that_was_said(served: Open) -> None:
    client, _ = served
    client.complete("my secret")
    client.get("/v1/my-secret")
    text = client.get("/metrics").body.decode()
    assert 'dialog_rl_requests_total{route="/v1/chat/completions",status="200"} 1' in text
    assert "dialog_rl_turns_total 1" in text and 'dialog_rl_version_info{version="v1"} 1' in text
    assert 'route="other",status="404"' in text and "secret" not in text
    assert 'dialog_rl_first_token_seconds_bucket{le="+Inf"} 1' in text


def test_health_and_readiness_need_no_key(tmp_path: Path) -> None:
    keys = Keys([("ann", "a" * 16)])
    with opened(tmp_path, ScriptedVoices(), keys=keys) as (client, service):
        assert client.get("/healthz").status == client.get("/readyz").status == 200
        service.draining = True
        assert client.get("/readyz").code == "draining" and client.get("/healthz").status == 200
