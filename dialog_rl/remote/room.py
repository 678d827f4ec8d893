"""Conversations at a service: begun there, and found again by their ids."""

from __future__ import annotations

import random
from pathlib import Path

from dialog_rl.chat.card import card_from_json
from dialog_rl.chat.papers import Papers
from dialog_rl.chat.saved import Saved, saved_of
from dialog_rl.episode import Message, Role, episode_from_json
from dialog_rl.episode_log.records import rating_from_json
from dialog_rl.errors import ServiceError
from dialog_rl.remote.service import Service
from dialog_rl.remote.session import Place, RemoteSession
from dialog_rl.text import one_line

MOST = 30
"""Conversations that are listed, the newest."""
CUSTOMERS = 1_000_000


class RemoteRoom:
    """A `chat.talk.Talks`. Only what goes on is listed; what has ended is found by its id."""

    def __init__(self, folder: Path, service: Service, *, temperature: float = 0.0) -> None:
        """folder: for what stays on this machine. Raises ServiceError if nobody is there."""
        self.folder, self.service, self._temperature = folder, service, temperature
        self._papers = Papers(folder)
        self._model = str(self._models()["id"])

    def version(self) -> str:
        """That speaks now. Raises ServiceError."""
        return str(self._models()["version"])

    def new(self, pack: str, number: int | None = None, *, free: bool = False) -> RemoteSession:
        """In the place of a customer: the `number`-th, or anybody. Raises ServiceError."""
        customer = random.SystemRandom().randrange(CUSTOMERS) if number is None else number
        asked = {"pack": pack, "customer": customer, "free": free, "temperature": self._temperature}
        told = self.service.post("/v1/conversations", asked)
        place = Place(
            service=self.service, model=self._model, pack=told["pack"], card=card_from_json(told["card"]),
            rater=told["rater"],
        )  # fmt: skip
        return RemoteSession(place, told["id"], temperature=told["temperature"])

    def take_up(self, saved: Saved) -> RemoteSession:
        told = self.service.get(f"/v1/episodes/{saved.id}")
        if told["card"] is None:
            raise ServiceError(f"the pack {one_line(saved.pack, 60)!r} is not served any more")
        card = card_from_json(told["card"])
        place = Place(service=self.service, model=self._model, pack=saved.pack, card=card, rater=told["rater"])
        session = RemoteSession(place, saved.id, temperature=saved.episode.temperature)
        session.remember(told, unanswered=saved.unanswered)
        return session

    def saved(self, words: str = "") -> list[Saved]:
        """Those that go on and contain the words, newest first. Raises ServiceError."""
        found = [self.find(name) for name in self._going_on()[:MOST]]
        return [saved for saved in found if saved.contains(words)]

    def find(self, name: str) -> Saved:
        """By id, or "last" among those that go on. Raises ServiceError."""
        if name == "last":
            name = next(iter(self._going_on()), "last")
        told = self.service.get(f"/v1/episodes/{name}")
        episode = episode_from_json(told["episode"])
        said = Message(role=Role.USER, text=told["unanswered"]) if told["unanswered"] is not None else None
        return saved_of(episode, rated=len(told["ratings"]), unanswered=said, is_open=told["open"])

    def rename(self, episode_id: str, title: str) -> None:
        raise ServiceError("conversations at a service have no names")

    def put_away(self, episode_id: str) -> None:
        """Let it be learnt from no longer. What was said stays at the service."""
        self.service.post("/v1/consent", {"episode": episode_id, "train": False})

    def export(self, saved: Saved, kind: str) -> Path:
        """Write a conversation to this machine. Raises ConfigError, EpisodeLogError, ServiceError."""
        told = self.service.get(f"/v1/episodes/{saved.id}")
        return self._papers.export(
            kind, saved, [rating_from_json(one) for one in told["ratings"]], trains=told["train"]
        )

    def draft(self) -> str:
        return self._papers.draft()

    def keep_draft(self, text: str) -> None:
        self._papers.keep_draft(text)

    def _going_on(self) -> list[str]:
        """Ids, newest first: they begin with the moment."""
        return sorted(map(str, self.service.get("/v1/episodes?limit=1")["open"]), reverse=True)

    def _models(self) -> dict[str, str]:
        served = self.service.get("/v1/models").get("data") or []
        if not served:
            raise ServiceError(f"{self.service.url}: no model speaks there")
        return served[0]
