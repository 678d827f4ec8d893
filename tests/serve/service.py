"""A service on a port of its own, with an agent that says what it was told to; and a client that keeps nothing."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from dialog_rl.chat.room import ChatRoom
from dialog_rl.chat.voice import Voices
from dialog_rl.episode_log.log import EpisodeLog
from dialog_rl.online.eligibility import Rules
from dialog_rl.serve.app import Service, ServiceConfig, application
from dialog_rl.serve.keys import Keys
from dialog_rl.serve.running import Server
from tests.chat.scripted import db, stage

RULES = Rules(tokenizer="tok", champions=("v1",), kept=frozenset({"v1"}))
CONFIG = ServiceConfig(packs=("retail", "telecom"))


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """Why it was refused."""
        return self.json["error"]["code"]

    @property
    def text(self) -> str:
        return self.json["choices"][0]["message"]["content"]

    @property
    def about(self) -> dict[str, Any]:
        return self.json["dialog_rl"]

    @property
    def events(self) -> list[Any]:
        lines = [line.removeprefix("data: ") for line in self.body.decode().split("\n\n") if line]
        return [json.loads(line) if line != "[DONE]" else line for line in lines]

    @property
    def streamed(self) -> str:
        pieces = [e["choices"][0]["delta"].get("content", "") for e in self.events if e != "[DONE]" and e["choices"]]
        return "".join(pieces)


@dataclass
class Client:
    url: str
    key: str = ""
    said: list[dict[str, str]] = field(default_factory=list)

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if self.key:
            sent["Authorization"] = f"Bearer {self.key}"
        if body is not None:
            sent.setdefault("Content-Type", "application/json")
        data = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
        connection = http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=60)
        try:
            connection.request(method, path, data, sent)
            reply = connection.getresponse()
            return Answer(reply.status, {k.lower(): v for k, v in reply.getheaders()}, reply.read())
        finally:
            connection.close()

    def get(self, path: str, **headers: str) -> Answer:
        return self.ask("GET", path, **headers)

    def post(self, path: str, body: Any, **headers: str) -> Answer:
        return self.ask("POST", path, body, **headers)

    def complete(self, *said: str, headers: Mapping[str, str] | None = None, **more: Any) -> Answer:
        """The reply to the last of the messages, user's and assistant's in turn."""
        messages = [{"role": "assistant" if n % 2 else "user", "content": text} for n, text in enumerate(said)]
        return self.post(
            "/v1/chat/completions", {"model": "champion", "messages": messages, **more}, **(headers or {})
        )  # fmt: skip


@contextmanager
def running(service: Service) -> Iterator[Client]:
    """The service, taking requests; at the end no turn may be left."""
    listening = threading.Event()
    server = Server(application(service), "127.0.0.1", 0, drain=5, listening=lambda url: listening.set())
    thread = threading.Thread(target=server.serve_on)
    url = server.url
    thread.start()
    try:
        assert listening.wait(30)
        yield Client(url)
    finally:
        server.should_exit = True
        thread.join(30)
        assert not thread.is_alive() and service.turns.under_way == 0


@contextmanager
def opened(
    folder: Path, voices: Voices, config: ServiceConfig = CONFIG, keys: Keys | None = None
) -> Iterator[tuple[Client, Service]]:
    """A service over the log in a folder."""
    with EpisodeLog.open(db(folder)) as log:
        room = ChatRoom(folder, log, voices, stage)
        service = Service(room, config, keys or Keys(), rules=lambda: RULES)
        with running(service) as client:
            yield client, service
