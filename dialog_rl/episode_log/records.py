"""Facts as rows: one JSON text an event, exact for every float, and ASCII, so that any text survives any database.

One normalisation is inherent in JSON: two lone surrogates that stand side by side and form a pair come back as the
character they spell. A single lone surrogate, NUL and every other character come back as they were.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from dialog_rl.episode import Episode, Message, Rating, Turn, to_json
from dialog_rl.errors import EpisodeLogError
from dialog_rl.text import one_line, unsafe

NAME_LIMIT = 300
BODY_LIMIT = 64 * 1024 * 1024


class Kind(StrEnum):
    """What an event tells. A reader passes over kinds it does not know, and counts them."""

    EPISODE = "episode"
    BEGIN = "begin"
    USER = "user"
    TURN = "turn"
    RATING = "rating"
    CONSENT = "consent"
    UPDATE = "update"
    USED = "used"
    VERDICT = "verdict"
    QUARANTINE = "quarantine"
    SERVING = "serving"
    FORGOTTEN = "forgotten"


@dataclass(frozen=True, slots=True, kw_only=True)
class EpisodeRow:
    """What is asked of an episode without reading its body."""

    pack: str
    split: str
    run: str
    stop: str
    turns: int
    policies: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class NewEvent:
    """An event to append. Its id makes appending it twice the same as once."""

    event_id: str
    kind: str
    episode_id: str
    body: str
    row: EpisodeRow | None = None
    """Only of an episode."""
    after: tuple[str, ...] = ()
    """Event ids of which one must be in the log already."""
    never_after: str = ""
    """The event id that closes the door to this one."""
    recorded_at: float | None = None
    """Of an event that was recorded before, elsewhere; None is when it is appended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedEvent:
    seq: int
    """Place in the log's one order, which is the order of commit; never used twice."""
    event_id: str
    kind: str
    episode_id: str
    document: Any
    """The event's body as plain JSON values."""
    sha256: str
    """Of the body as it is stored: equal means equal in every bit."""
    recorded_at: float
    """Seconds since the epoch by the writer's clock: for people, never for order."""
    run: str = ""
    split: str = ""
    """Like the run, only of an episode."""


def encode(document: Any) -> str:
    """Plain JSON values as one line of ASCII. Raises EpisodeLogError for NaN, infinities and what JSON cannot hold."""
    try:
        text = json.dumps(document, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    except (ValueError, TypeError, RecursionError) as e:
        raise EpisodeLogError(f"cannot be written as JSON: {e}") from None
    if len(text) > BODY_LIMIT:
        raise EpisodeLogError(f"{len(text)} bytes of JSON in one event; the limit is {BODY_LIMIT}")
    return text


def digest(body: str) -> str:
    return hashlib.sha256(body.encode("ascii")).hexdigest()


def decode(body: str, sha256: str, event_id: str) -> Any:
    """The inverse of `encode`. Raises EpisodeLogError if the row is not what was written."""
    if not body.isascii() or digest(body) != sha256:
        raise EpisodeLogError(f"event {event_id}: altered on disk: its sha256 does not fit")
    return json.loads(body)


def same(body: str, other: str) -> bool:
    """Whether two bodies tell the same, the order of keys aside."""
    return body == other or _sorted(body) == _sorted(other)


def _sorted(body: str) -> str:
    return json.dumps(json.loads(body), sort_keys=True)


def name(text: Any, what: str) -> str:
    """An identifier fit to be a key: printable, not empty, not long. Raises EpisodeLogError."""
    if not isinstance(text, str) or not text or len(text) > NAME_LIMIT or "\n" in text or "\t" in text or unsafe(text):
        raise EpisodeLogError(
            f"{one_line(repr(text), 60)} cannot be {what}: "
            f"it must be 1 to {NAME_LIMIT} printable characters without line breaks"
        )
    return text


def label(text: Any, what: str) -> str:
    """A name that may be empty."""
    return text if text == "" else name(text, what)


def episode_key(episode_id: str) -> str:
    return f"{Kind.EPISODE}:{episode_id}"


def begin_key(episode_id: str) -> str:
    return f"{Kind.BEGIN}:{episode_id}"


def user_key(episode_id: str, turn: int) -> str:
    return f"{Kind.USER}:{episode_id}:{turn}"


def turn_key(episode_id: str, turn: int) -> str:
    return f"{Kind.TURN}:{episode_id}:{turn}"


def episode_event(episode: Episode, *, run: str, split: str | None) -> NewEvent:
    """split: None takes it from the scenario document."""
    told = split if split is not None else episode.scenario.get("split", "")
    row = EpisodeRow(
        pack=label(episode.pack, "a pack"),
        split=label(told, "a split"),
        run=label(run, "a run"),
        stop=str(episode.stop),
        turns=len(episode.turns),
        policies=tuple(label(version, "a policy version") for version in episode.policy_versions),
    )
    episode_id = name(episode.episode_id, "an episode id")
    return NewEvent(
        event_id=episode_key(episode_id),
        kind=Kind.EPISODE,
        episode_id=episode_id,
        body=encode(to_json(episode)),
        row=row,
    )


def begin_event(opening: Episode) -> NewEvent:
    if opening.turns:
        raise ValueError(f"a conversation begins without turns, not with {len(opening.turns)}")
    episode_id = name(opening.episode_id, "an episode id")
    return NewEvent(
        event_id=begin_key(episode_id), kind=Kind.BEGIN, episode_id=episode_id, body=encode(to_json(opening)),
        never_after=episode_key(episode_id),
    )  # fmt: skip


def user_event(episode_id: str, turn: int, message: Message) -> NewEvent:
    return NewEvent(
        event_id=user_key(episode_id, turn), kind=Kind.USER, episode_id=name(episode_id, "an episode id"),
        body=encode({"turn": turn, "message": to_json(message)}),
        after=(turn_key(episode_id, turn - 1) if turn else begin_key(episode_id),), never_after=episode_key(episode_id),
    )  # fmt: skip


def turn_event(episode_id: str, turn: int, said: Turn) -> NewEvent:
    return NewEvent(
        event_id=turn_key(episode_id, turn), kind=Kind.TURN, episode_id=name(episode_id, "an episode id"),
        body=encode({"turn": turn, "said": to_json(said)}),
        after=(user_key(episode_id, turn),), never_after=episode_key(episode_id),
    )  # fmt: skip


def own_key(event_id: str) -> str:
    """The caller's event id, or a new one."""
    return name(event_id, "an event id") if event_id else uuid.uuid4().hex


def rating_event(rating: Rating, *, event_id: str, finished_turns: int | None) -> NewEvent:
    """finished_turns: of the episode if it is in the log; None leaves a turn to be found among the open conversation's.

    An event id of the caller's makes sending it twice harmless; without one every call is a rating of its own.
    """
    episode_id = name(rating.episode_id, "an episode id")
    name(rating.rater, "a rater")
    if rating.value is not None and not -1 <= rating.value <= 1:
        raise EpisodeLogError(
            f"a rating of {rating.value!r}: it must be from -1 to 1, or none to withdraw an earlier one"
        )
    if rating.turn is None or (finished_turns is not None and 0 <= rating.turn < finished_turns):
        after = (episode_key(episode_id), begin_key(episode_id))
    else:
        after = (turn_key(episode_id, rating.turn),)
    key = own_key(event_id)
    return NewEvent(
        event_id=f"{Kind.RATING}:{key}",
        kind=Kind.RATING,
        episode_id=episode_id,
        body=encode(to_json(rating)),
        after=after,
    )


def consent_event(episode_id: str, train: bool, *, event_id: str) -> NewEvent:
    key = own_key(event_id)
    return NewEvent(
        event_id=f"{Kind.CONSENT}:{key}", kind=Kind.CONSENT, episode_id=name(episode_id, "an episode id"),
        body=encode({"train": train}), after=(episode_key(episode_id), begin_key(episode_id)),
    )  # fmt: skip


def rating_from_json(document: Mapping[str, Any]) -> Rating:
    return Rating(**{**document, "tags": tuple(document.get("tags", ()))})
