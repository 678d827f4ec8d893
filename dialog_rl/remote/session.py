"""One conversation with a person that is held at a service: there it is logged, answered, ended and branched off."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from dialog_rl.chat.card import Card
from dialog_rl.chat.events import Delta, Ended, Event, Replied, Stopped, Swapped, event_from_json
from dialog_rl.chat.opinions import Opinions
from dialog_rl.chat.setting import LEARNABLE
from dialog_rl.chat.talk import says_something_new
from dialog_rl.chat.voice import never
from dialog_rl.episode import Episode, Message, Rating, Role, Turn, episode_from_json, to_json
from dialog_rl.episode_log.records import rating_from_json
from dialog_rl.errors import ServiceError
from dialog_rl.remote.service import Service

COMPLETIONS = "/v1/chat/completions"


class RatedThere:
    """Logs ratings at a service, and knows what they are called there."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self.names: dict[str, str] = {}
        """What the service calls a rating → the id that it was given here."""

    def rate(self, rating: Rating, *, event_id: str = "") -> int:
        told = to_json(replace(rating, rated_at=0.0, extra={}))
        body = {key: told[key] for key in ("turn", "value", "tags", "comment", "correction") if key in told}
        body |= {"episode": rating.episode_id, "rater": rating.rater}
        self.names[self._service.post("/v1/ratings", body, once=event_id)["rating"]] = event_id
        return 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """What of a conversation stays the same for all that branches off from it."""

    service: Service
    model: str
    pack: str
    card: Card
    rater: str


class RemoteSession:
    """A `chat.talk.Talk`. A branch is made where it is held, with the first message that is said in it."""

    def __init__(self, place: Place, episode_id: str, *, temperature: float) -> None:
        self._place, self.id, self._temperature = place, episode_id, temperature
        self._ratings = RatedThere(place.service)
        self.opinions = Opinions(self._ratings, episode_id, place.rater)
        self.turns: tuple[Turn, ...] = ()
        self.unanswered: Message | None = None
        self.ended: Episode | None = None
        self.trains: bool | None = None
        self.version = ""
        self.begun = False

    @property
    def pack(self) -> str:
        return self._place.pack

    @property
    def kept_in(self) -> str:
        return self._place.service.url

    @property
    def learnable(self) -> bool:
        return self._temperature == LEARNABLE

    def card(self) -> Card:
        return self._place.card

    def begin(self) -> None:
        """Nothing: the service logs it with its first message."""

    def say(self, text: str) -> None:
        """Keep what the person says for `answer`, which sends it. Raises NotSent."""
        if says_something_new(self, text):
            self.unanswered = Message(role=Role.USER, text=text)

    def answer(self, cancelled: Callable[[], bool] = never) -> Iterator[Event]:
        """The agent's answer as it is made. After a stop or a failure it may be asked for again.

        Raises ServiceError.
        """
        if self.unanswered is None:
            raise ValueError("there is nothing to answer")
        asked = {"conversation": self.id, "turn": str(len(self.turns)), "events": "true"}
        body = {
            "model": f"{self._place.model}:{self._place.pack}", "stream": True, "metadata": asked,
            "messages": [{"role": "user", "content": self.unanswered.text}],
        }  # fmt: skip
        self.begun = True
        for document in self._place.service.stream(COMPLETIONS, body, cancelled):
            if (event := self._hear(document)) is not None:
                yield event
        if self.unanswered is not None and cancelled():
            yield Stopped()

    def up_to(self, number: int) -> Episode:
        """As an episode that came no further than this turn. Raises ServiceError."""
        whole = self.ended or self._fetched()
        return whole if self.ended and number == len(self.turns) - 1 else replace(whole, turns=self.turns[: number + 1])

    def leave(self) -> Episode | None:
        """End it at the service. Raises ServiceError."""
        if self.begun and self.ended is None:
            self._place.service.post(f"/v1/episodes/{self.id}/end", {})
            self.ended = self._fetched()
        return self.ended

    def abort(self, note: str = "") -> Episode | None:
        """Leave it as it is: the service ends it when nobody has come back for a while."""
        return self.ended

    def branch(self, turns: Sequence[Turn], say: str | None = None) -> RemoteSession:
        """One in which `turns` have happened, the first of this one's, and then perhaps something else is said."""
        if tuple(turns) != self.turns[: len(turns)]:
            raise ValueError("a conversation at a service branches off where it has been")
        other = RemoteSession(self._place, self.id, temperature=self._temperature)
        other.turns, other.trains, other.version, other.begun = tuple(turns), self.trains, self.version, self.begun
        other.opinions.remember(
            tuple(g.rating for n, g in self.opinions.given.items() if n is not None and n < len(turns))
        )
        if say is not None:
            other.say(say)
        return other

    def allow_training(self, allowed: bool) -> None:
        """Whether this conversation may be learnt from: the last word counts. Raises ServiceError."""
        self._place.service.post("/v1/consent", {"episode": self.id, "train": allowed})
        if allowed and not self.begun:
            self._temperature = LEARNABLE
        self.trains = allowed

    def receipts(self) -> list[Mapping[str, Any]]:
        """What became of each rating, `event_id` being the id that it was given here. Raises ServiceError."""
        if not self.begun:
            return []
        told = self._place.service.get(f"/v1/episodes/{self.id}/receipts")["data"]
        for one in reversed(told):
            self._recognise(one["rating"], rating_from_json(one["rated"]))
        return [{**one, "event_id": self._ratings.names.get(one["rating"], one["rating"])} for one in told]

    def _recognise(self, name: str, rating: Rating) -> None:
        """Learn what the service calls a rating that was given before this was taken up or branched off."""
        known = self.opinions.given.get(rating.turn)
        if known is not None and not known.event_id and not rating.says_nothing and name not in self._ratings.names:
            self.opinions.remember((rating,), (name,))

    def remember(self, told: Mapping[str, Any], *, unanswered: Message | None) -> None:
        """Take it up as the service tells of it."""
        episode = episode_from_json(told["episode"])
        self.begun, self.trains, self.unanswered = True, told["train"], unanswered
        self.turns = tuple(turn for turn in episode.turns if turn.steps)
        self.ended = None if told["open"] else episode
        self.version = next((turn.steps[-1].policy_version for turn in self.turns[-1:]), "")
        self.opinions.remember(tuple(map(rating_from_json, told["ratings"])))

    def _hear(self, document: Mapping[str, Any]) -> Event | None:
        """What one document of the stream tells; None if it tells nothing new."""
        try:
            told, delta = document.get("dialog_rl", {}), document["choices"][0]["delta"]
            if "event" not in told:
                self._moved(told.get("conversation", self.id))
                return Delta(delta["content"]) if delta.get("content") else None
            event = event_from_json(told)
        except (KeyError, IndexError, TypeError, ValueError) as e:
            raise ServiceError(f"{self.kept_in}: not an answer of dialog-rl serve: {type(e).__name__}") from None
        if isinstance(event, Replied):
            self.turns, self.unanswered = (*self.turns, event.turn), None
            self.version = event.turn.steps[-1].policy_version
        elif isinstance(event, Swapped):
            self.version = event.version
        elif isinstance(event, Ended):
            self.turns = tuple(turn for turn in event.episode.turns if turn.steps)
            self.ended, self.unanswered = event.episode, None
        return event

    def _moved(self, episode_id: str) -> None:
        """It goes on as another one: what was thought of it went along."""
        if episode_id != self.id:
            before, self.id = self.opinions, episode_id
            self.opinions = Opinions(self._ratings, episode_id, self._place.rater)
            self.opinions.remember(
                tuple(replace(given.rating, episode_id=episode_id) for given in before.given.values())
            )

    def _fetched(self) -> Episode:
        return episode_from_json(self._place.service.get(f"/v1/episodes/{self.id}")["episode"])
