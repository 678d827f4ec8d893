"""What was said and what people thought of it, over HTTP. Each owner sees its own and nobody else's."""

from __future__ import annotations

import hashlib
import time
import uuid
from collections.abc import Callable
from dataclasses import asdict, replace
from itertools import islice
from typing import Any

from dialog_rl.chat.opinions import likert, tags
from dialog_rl.chat.session import RUN
from dialog_rl.episode import Rating, to_json
from dialog_rl.episode_log.log import EpisodeLog, Query
from dialog_rl.episode_log.records import Kind, rating_from_json
from dialog_rl.errors import EpisodeLogError
from dialog_rl.online.eligibility import Rules
from dialog_rl.online.receipts import Receipt, receipts
from dialog_rl.serve.conversations import Conversations
from dialog_rl.serve.keys import Owner
from dialog_rl.serve.matching import Whose
from dialog_rl.serve.refusals import Refused
from dialog_rl.serve.wire import ConsentRequest, ConversationRequest, RatingRequest
from dialog_rl.text import one_line

LOOKED_AT = 2000
"""Episodes that one request reads at most; the next one goes on from its cursor."""


class Records:
    """The log, as one owner may see it."""

    def __init__(self, log: EpisodeLog, conversations: Conversations, rules: Callable[[], Rules]) -> None:
        """rules: what waiting conversations are judged by."""
        self._log, self._conversations, self._rules = log, conversations, rules

    def episodes(self, owner: Owner, *, since: int, limit: int, pack: str) -> dict[str, Any]:
        """Finished conversations after a cursor, oldest first, and the ids of those that go on."""
        found: list[dict[str, Any]] = []
        cursor = since
        for logged in islice(self._log.episodes(Query(run=RUN, pack=pack or None), since=since), LOOKED_AT):
            cursor = logged.seq
            episode = logged.episode
            if _belongs(episode.episode_id, owner):
                found.append({
                    "id": episode.episode_id, "seq": logged.seq, "pack": episode.pack, "turns": len(episode.turns),
                    "stop": episode.stop, "started_at": episode.started_at, "versions": episode.policy_versions,
                })  # fmt: skip
            if len(found) == limit:
                break
        return {"object": "list", "data": found, "next": cursor, "open": self._conversations.open_of(owner)}

    def episode(self, episode_id: str, owner: Owner) -> dict[str, Any]:
        """Everything that is known of one conversation."""
        self._require(episode_id, owner)
        opened = self._log.open_conversation(episode_id)
        try:
            episode = opened.episode if opened is not None else self._log.get(episode_id)
        except EpisodeLogError:
            raise _unknown(episode_id) from None
        return {
            "object": "episode", "open": opened is not None, "episode": to_json(episode),
            "unanswered": opened.unanswered.text if opened is not None and opened.unanswered is not None else None,
            "ratings": [to_json(rating) for rating in self._log.ratings(episode_id)],
            "train": self._log.consented(episode_id), "rater": owner.name,
            "card": to_json(self._conversations.card(episode)),
        }  # fmt: skip

    def begin(self, asked: ConversationRequest, owner: Owner) -> dict[str, Any]:
        """Begin a conversation in which nothing is said yet, and tell in whose place the user speaks."""
        session = self._conversations.begin(asked.ask(), owner)
        return {
            "object": "conversation", "id": session.id, "pack": session.pack, "card": to_json(session.card()),
            "temperature": session.setting.temperature, "train": session.trains, "rater": session.opinions.rater,
        }  # fmt: skip

    def rate(self, asked: RatingRequest, owner: Owner, key: str) -> tuple[dict[str, Any], bool]:
        """Log a rating, and whether it is new: the same one under the same key of the client's is logged once."""
        self._require(asked.episode, owner)
        if asked.value is not None and asked.stars is not None:
            raise Refused("give value, from -1 to 1, or stars, from 1 to 5, and not both", param="stars")
        rating = Rating(
            episode_id=asked.episode,
            rater=one_line(asked.rater, 100) or owner.name,
            turn=asked.turn,
            value=likert(asked.stars) if asked.stars is not None else asked.value,
            tags=tags(" ".join(asked.tags)),
            comment=asked.comment,
            correction=asked.correction,
            rated_at=time.time(),
        )
        own = hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest() if key else uuid.uuid4().hex
        event_id = f"http-{owner.tag}-{own}"
        before = self._rated(event_id)
        if before is None:
            self._log_rating(rating, event_id)
        elif replace(before, rated_at=rating.rated_at) != rating:
            raise Refused("this Idempotency-Key was used for another rating", status=409, code="idempotency")
        return {"object": "rating", "rating": f"{Kind.RATING}:{event_id}", "episode": asked.episode}, before is None

    def receipt(self, rating: str, owner: Owner) -> dict[str, Any]:
        """What became of a rating."""
        event = self._log.find(rating)
        if event is None or event.kind != Kind.RATING or not _belongs(event.episode_id, owner):
            raise Refused(f"there is no rating {one_line(rating, 80)!r}", status=404, code="not_found")
        (found,) = (r for r in receipts(self._log, event.episode_id, self._rules()) if r.event_id == rating)
        return _told(found)

    def receipts(self, episode_id: str, owner: Owner) -> dict[str, Any]:
        """What became of each rating of a conversation, in the order in which they were given."""
        self._require(episode_id, owner)
        return {"object": "list", "data": [_told(one) for one in receipts(self._log, episode_id, self._rules())]}

    def consent(self, asked: ConsentRequest, owner: Owner) -> dict[str, Any]:
        """Log whether a conversation may be learnt from: the last word counts."""
        self._require(asked.episode, owner)
        told = self._conversations.allow_training(asked.episode, owner, train=asked.train)
        return {"object": "consent", "episode": asked.episode, "train": asked.train, "meaning": told}

    def end(self, episode_id: str, owner: Owner) -> dict[str, Any]:
        """Let the user leave."""
        episode = self._conversations.end(episode_id, owner)
        return {"object": "episode.ended", "id": episode.episode_id, "stop": episode.stop, "turns": len(episode.turns)}

    def _require(self, episode_id: str, owner: Owner) -> None:
        if not _belongs(episode_id, owner):
            raise _unknown(episode_id)

    def _rated(self, event_id: str) -> Rating | None:
        event = self._log.find(f"{Kind.RATING}:{event_id}")
        return rating_from_json(event.document) if event is not None else None

    def _log_rating(self, rating: Rating, event_id: str) -> None:
        try:
            self._log.rate(rating, event_id=event_id)
        except EpisodeLogError as e:
            before = self._rated(event_id)
            if before is not None and replace(before, rated_at=rating.rated_at) == rating:
                return  # the same request, sent twice at once
            if before is not None:
                raise Refused("this Idempotency-Key was used for another rating", status=409, code="idempotency") from e
            if "there is no" in str(e):
                about = "this turn" if rating.turn is not None else "this episode"
                raise Refused(f"{about} is not in the log", status=404, code="not_found", param="turn") from e
            raise


def _told(receipt: Receipt) -> dict[str, Any]:
    return {"object": "receipt", **asdict(receipt), "rating": receipt.event_id, "rated": to_json(receipt.rating)}


def _belongs(episode_id: str, owner: Owner) -> bool:
    whose = Whose.told_by(episode_id, "")
    return whose is not None and whose.owner == owner.tag


def _unknown(episode_id: str) -> Refused:
    return Refused(f"there is no episode {one_line(episode_id, 80)!r}", status=404, code="not_found", param="episode")
