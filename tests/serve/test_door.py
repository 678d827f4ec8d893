"""Strangers, the greedy, the slow and the vanishing: each is told what it may hear, and nothing dies of it."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest

pytest.importorskip("fastapi")

from dialog_rl.errors import ConfigError
from dialog_rl.serve import keys as keys_module
from dialog_rl.serve import running
from dialog_rl.serve.door import Limits
from dialog_rl.serve.keys import LOCAL, Keys, Owner, Rates, is_loopback, read_keys, require_safe
from tests.chat.scripted import Gate, ScriptedVoices
from tests.serve.service import CONFIG, Client, opened

ANN, BOB = "ann-" + "a" * 16, "bob-" + "b" * 16
KEYS = Keys([("ann", ANN), ("bob", BOB)])


def connect(client: Client) -> socket.socket:
    host, _, port = urlsplit(client.url).netloc.partition(":")
    return socket.create_connection((host, int(port)), timeout=30)


def request(body: bytes, *, length: int | None = None, stream: bool = False) -> bytes:
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length or len(body)}\r\n"
    return head.encode() + b"Content-Type: application/json\r\n\r\n" + body


def hello(stream: bool = True) -> bytes:
    messages = [{"role": "user", "content": "hello"}]
    return request(json.dumps({"model": "champion", "messages": messages, "stream": stream}).encode())


def wait_until(happened: Callable[[], object]) -> None:
    deadline = time.monotonic() + 20
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_without_a_key_that_fits_nobody_comes_in(tmp_path: Path) -> None:
    with opened(tmp_path, ScriptedVoices("one", "two"), keys=KEYS) as (client, _):
        for wrong in ("", ANN[:-1], ANN + "a", "é"):
            answer = client.ask("GET", "/v1/models", **({"Authorization": f"Bearer {wrong}".encode()} if wrong else {}))  # type: ignore[arg-type]
            assert answer.status == 401 and answer.code == "invalid_api_key", wrong
            assert answer.headers["www-authenticate"] == "Bearer" and ANN not in answer.body.decode()
        for path in ("/metrics", "/openapi.json", "/v1/episodes", "/v1/nowhere"):
            assert client.get(path).status == 401
        assert Client(client.url, ANN).complete("hello").text == "one"


def test_nobody_sees_what_another_key_has_said(tmp_path: Path) -> None:
    with opened(tmp_path, ScriptedVoices("one", "two"), keys=KEYS) as (client, _):
        ann, bob = Client(client.url, ANN), Client(client.url, BOB)
        name = ann.complete("hello").about["conversation"]
        assert bob.complete("hello", "one", "more").about["history"].startswith("unknown")
        assert bob.complete("more", metadata={"conversation": name}).status == 404
        assert bob.get(f"/v1/episodes/{name}").status == 404
        assert bob.post(f"/v1/episodes/{name}/end", {}).status == 404
        assert bob.post("/v1/ratings", {"episode": name, "turn": 0, "value": 1}).status == 404
        assert bob.post("/v1/consent", {"episode": name, "train": True}).status == 404
        rating = ann.post("/v1/ratings", {"episode": name, "turn": 0, "value": 1}).json["rating"]
        assert bob.get(f"/v1/receipts/{rating}").status == 404
        ann.post(f"/v1/episodes/{name}/end", {})
        assert name not in str(bob.get("/v1/episodes").json) and name in str(ann.get("/v1/episodes").json)


def test_a_page_in_a_browser_cannot_reach_loopback_under_its_own_name(tmp_path: Path) -> None:
    with opened(tmp_path, ScriptedVoices()) as (client, _):
        assert client.get("/v1/models", Host="evil.example").code == "wrong_host"
        assert client.get("/v1/models", Host="localhost:1").status == 200


def test_every_key_is_compared_in_constant_time_with_what_was_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[bytes] = []

    def counting(one: bytes, other: bytes) -> bool:
        compared.append(other)
        return one == other

    monkeypatch.setattr(keys_module.hmac, "compare_digest", counting)
    assert KEYS.owner(ANN) == Owner(name="ann") and len(compared) == 2
    assert {len(digest) for digest in compared} == {32} and KEYS.owner("nothing") is None
    assert Keys().owner("anything") == LOCAL


def test_keys_are_read_from_a_file_and_bad_ones_named(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text(f"# ours\nann {ANN}\n\nbob {BOB}\n")
    assert read_keys(file).owner(BOB) == Owner(name="bob")
    for text, wrong in ((f"ann {ANN}\nbob short\n", ":2"), (f"ann {ANN}\nbob {ANN}\n", "already"), ("", "no key")):
        file.write_text(text)
        with pytest.raises(ConfigError, match=wrong):
            read_keys(file)
    with pytest.raises(ConfigError, match="cannot be read"):
        read_keys(tmp_path / "nowhere")


def test_others_are_not_let_in_without_keys() -> None:
    for host in ("127.0.0.1", "localhost", "::1"):
        require_safe(host, Keys())
    for host in ("0.0.0.0", "::", "example.org", "192.168.0.1"):
        assert not is_loopback(host)
        with pytest.raises(ConfigError, match="keys are needed"):
            require_safe(host, Keys())
        require_safe(host, KEYS)


def test_who_asks_too_often_is_told_when_to_come_again() -> None:
    now = [0.0]
    rates = Rates(60, clock=lambda: now[0])
    assert [rates.wait("ann") for _ in range(60)] == [0.0] * 60 and rates.wait("ann") == pytest.approx(1.0)
    assert rates.wait("bob") == 0.0, "each has its own"
    now[0] = 2.5
    assert [rates.wait("ann") > 0 for _ in range(3)] == [False, False, True]
    assert Rates(0).wait("ann") == 0.0


def test_a_rate_that_is_exceeded_is_429_with_a_time(tmp_path: Path) -> None:
    with opened(tmp_path, ScriptedVoices(), replace(CONFIG, limits=Limits(a_minute=2))) as (client, _):
        answers = [client.get("/v1/models") for _ in range(3)]
        assert [a.status for a in answers] == [200, 200, 429] and int(answers[2].headers["retry-after"]) >= 1
        assert client.get("/healthz").status == 200


def test_what_is_too_large_is_refused_unread(tmp_path: Path) -> None:
    with opened(tmp_path, ScriptedVoices("fine"), replace(CONFIG, limits=Limits(body=1000))) as (client, _):
        assert client.complete("x" * 1000).code == "too_large"
        with closing(connect(client)) as told:
            told.sendall(request(b"{", length=10**9))
            assert b" 413 " in told.recv(4096)
        with closing(connect(client)) as chunked:
            head = request(b"").replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")
            chunked.sendall(head + b"3e9\r\n" + b"x" * 1001 + b"\r\n")
            assert b" 413 " in chunked.recv(4096)
        assert client.complete("hello").text == "fine"


def test_a_request_that_drips_in_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "HEAD_SECONDS", 0.3)
    with opened(tmp_path, ScriptedVoices("fine"), replace(CONFIG, limits=Limits(body_seconds=0.2))) as (client, _):
        with closing(connect(client)) as body:
            body.sendall(hello()[:-5])
            assert b" 408 " in body.recv(4096)
        with closing(connect(client)) as head:
            head.sendall(b"POST /v1/chat")
            assert _closed(head)
        with closing(connect(client)) as silent:
            assert _closed(silent)
        assert client.complete("hello").text == "fine"


def test_the_head_of_a_second_request_must_come_in_time_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with opened(tmp_path, ScriptedVoices("fine")) as (client, _), closing(connect(client)) as slow:
        slow.sendall(hello(stream=False))
        assert b" 200 " in _read_until(slow, b'"tools":[]}}')  # to its very end: the next word must be of the close
        monkeypatch.setattr(running, "HEAD_SECONDS", 0.2)
        slow.sendall(b"POST /v1/chat")
        assert _closed(slow)


def _closed(connection: socket.socket) -> bool:
    try:
        return connection.recv(4096) == b""
    except ConnectionResetError:
        return True


@pytest.mark.parametrize("stream", [True, False])
def test_a_client_that_goes_away_has_its_turn_cancelled_and_may_ask_again(tmp_path: Path, stream: bool) -> None:
    gate = Gate()
    with opened(tmp_path, ScriptedVoices("one two three", gate=gate)) as (client, service):
        with closing(connect(client)) as leaving:
            leaving.sendall(hello(stream))
            gate.let(1)
            if stream:
                assert b"one" in _read_until(leaving, b"one")
            wait_until(lambda: service.turns.under_way)
        wait_until(lambda: not service.turns.under_way)
        (left,) = service.room.log.open_conversations()
        assert left.unanswered is not None and not left.episode.turns
        gate.open()
        again = client.complete("hello", metadata={"conversation": left.episode.episode_id})
        assert again.text == "one two three" and again.about["turn"] == 0
        assert "dialog_rl_turns_cancelled_total 1" in client.get("/metrics").body.decode()


def _read_until(connection: socket.socket, words: bytes) -> bytes:
    got = b""
    while words not in got:
        got += connection.recv(4096)
    return got


def test_a_client_that_reads_nothing_is_cut_off_and_its_turn_is_logged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "STUCK_SECONDS", 0.3)
    long = " ".join(f"word{n}" for n in range(20_000))
    with opened(tmp_path, ScriptedVoices(long)) as (client, service):
        stuck = socket.socket()
        stuck.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        with closing(stuck):
            host, _, port = urlsplit(client.url).netloc.partition(":")
            stuck.connect((host, int(port)))
            stuck.sendall(hello())
            wait_until(lambda: any(o.episode.turns for o in service.room.log.open_conversations()))
            time.sleep(1.0)
            stuck.settimeout(20)
            got = b""
            with suppress(ConnectionResetError):
                while piece := stuck.recv(1 << 20):
                    got += piece
            assert got and b"[DONE]" not in got


def test_a_busy_conversation_is_not_answered_twice_at_once(tmp_path: Path) -> None:
    gate = Gate()
    with opened(tmp_path, ScriptedVoices("one", "two", gate=gate)) as (client, service):
        gate.let(1)
        first = client.complete("hello")
        waiting = threading.Thread(target=lambda: client.complete("hello", first.text, "more"))
        waiting.start()
        wait_until(lambda: service.turns.under_way)
        wait_until(lambda: any(o.unanswered for o in service.room.log.open_conversations()))
        refused = client.complete("hello", first.text, "more")
        gate.open()
        waiting.join()
        assert refused.status == 409 and refused.code == "busy"


def test_a_fault_that_nobody_foresaw_is_told_without_its_words(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with opened(tmp_path, ScriptedVoices(RuntimeError("my secret"), "fine")) as (client, _):
        answer = client.complete("hello")
        assert answer.status == 500 and answer.code == "internal_error" and "RuntimeError" in answer.body.decode()
        assert "secret" not in answer.body.decode()
        assert client.complete("hello").text == "fine"
    assert "RuntimeError" in caplog.text and "secret" not in caplog.text
