"""What one person thinks of one conversation, turn by turn: every change is an event, and can be taken back."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import chain, repeat
from typing import Any, Protocol

from dialog_rl.episode import Rating
from dialog_rl.errors import ConfigError
from dialog_rl.text import one_line

TAGS = (
    "helpful", "polite", "misunderstood", "wrong_action", "invented", "rule_broken", "asked_again", "too_long", "rude",
)  # fmt: skip
"""What may be wrong with a reply, or right: diagnostics, never reward."""


class Ratings(Protocol):
    """Where ratings are kept: an episode log."""

    def rate(self, rating: Rating, *, event_id: str = "") -> int: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """A rating as it was logged."""

    event_id: str
    rating: Rating


@dataclass(frozen=True, slots=True, kw_only=True)
class _Change:
    turn: int | None
    before: Given | None


def likert(stars: int) -> float:
    """1 to 5 as a value from -1 to 1."""
    return (stars - 3) / 2


def stars(text: str) -> int:
    """A number from 1 to 5 as somebody typed it. Raises ConfigError."""
    if text not in ("1", "2", "3", "4", "5"):
        raise ConfigError(f"{one_line(text, 20)!r} is no number from 1 to 5")
    return int(text)


def tags(text: str) -> tuple[str, ...]:
    """Tags as somebody typed them, with spaces or commas between. Raises ConfigError."""
    found = tuple(text.replace(",", " ").split())
    unknown = [tag for tag in found if tag not in TAGS]
    if unknown:
        raise ConfigError(f"{one_line(unknown[0], 30)!r} is no tag; there are: {', '.join(TAGS)}")
    return found


class Opinions:
    """Of each turn, and of the whole (None), the last word of one rater. Every change is logged as a whole rating."""

    def __init__(self, log: Ratings, episode_id: str, rater: str, *, clock: Callable[[], float] = time.time) -> None:
        self._log, self._episode_id, self.rater, self._clock = log, episode_id, rater, clock
        self._given: dict[int | None, Given] = {}
        self._changes: list[_Change] = []

    @property
    def given(self) -> Mapping[int | None, Given]:
        """What holds, by turn."""
        return self._given

    def of(self, turn: int | None) -> Rating:
        """What holds of a turn; a rating that says nothing if nothing does."""
        found = self._given.get(turn)
        return found.rating if found else Rating(episode_id=self._episode_id, rater=self.rater, turn=turn)

    def remember(self, ratings: Iterable[Rating], event_ids: Iterable[str] = ()) -> None:
        """Take up what this rater said before, without logging it again.

        event_ids: under which it was logged, if that is known; without them nothing tells what became of it.
        """
        for event_id, rating in zip(chain(event_ids, repeat("")), ratings, strict=False):
            if rating.rater == self.rater:
                self._given[rating.turn] = Given(event_id=event_id, rating=rating)

    def change(self, turn: int | None, **changed: Any) -> Given:
        """Log another value, tags, comment, correction or extra; what is not named stays. Raises EpisodeLogError."""
        before = self._given.get(turn)
        given = self._say(replace(self.of(turn), **changed))
        self._changes.append(_Change(turn=turn, before=before))
        return given

    def undo(self) -> Given | None:
        """Take back the last change: what held before holds again, or nothing. None if there is none to undo."""
        if not self._changes:
            return None
        last = self._changes[-1]
        blank = Rating(episode_id=self._episode_id, rater=self.rater, turn=last.turn)
        given = self._say(last.before.rating if last.before else blank)
        self._changes.pop()
        return given

    def _say(self, rating: Rating) -> Given:
        rating = replace(rating, rated_at=self._clock())
        event_id = uuid.uuid4().hex
        self._log.rate(rating, event_id=event_id)
        given = Given(event_id=event_id, rating=rating)
        if rating.says_nothing:
            self._given.pop(rating.turn, None)
        else:
            self._given[rating.turn] = given
        return given
