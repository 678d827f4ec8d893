"""What people said about replies, read from the log: pairs, thumbs, corrections and hints. No torch here.

A conversation with a person counts only if they allow that it is learnt from; held-out ones never do.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TypeVar

from dialog_rl.episode import Episode, Rating, Turn, turn_from_json
from dialog_rl.episode_log.log import EpisodeLog, LoggedEpisode

PAIR = "pair"
"""Where a rating's extra keeps what was compared."""
PERSON = "person"
HELD_OUT = "heldout"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    episode: Episode
    number: int
    """Which turn."""
    chosen: Turn
    rejected: Turn


@dataclass(frozen=True, slots=True, kw_only=True)
class Thumb:
    episode: Episode
    number: int
    value: float
    """In [-1, 1]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Remark:
    """A correction, or a hint in words."""

    episode: Episode
    number: int
    text: str


J = TypeVar("J", Pair, Thumb, Remark)


@dataclass(slots=True)
class Judgements:
    pairs: list[Pair] = field(default_factory=list[Pair])
    thumbs: list[Thumb] = field(default_factory=list[Thumb])
    corrections: list[Remark] = field(default_factory=list[Remark])
    hints: list[Remark] = field(default_factory=list[Remark])
    refused: int = 0
    """Rated conversations that may not be learnt from."""


def in_tokens_of(tokenizer: str, judgements: Iterable[J]) -> list[J]:
    """Those of episodes whose ids this tokenizer, by its fingerprint, has made: another's would mean other words."""
    return [one for one in judgements if one.episode.tokenizer == tokenizer]


def read(log: EpisodeLog) -> Judgements:
    """Everything in the log that may be learnt from, oldest first."""
    found = Judgements()
    for logged in log.episodes():
        ratings = log.ratings(logged.episode.episode_id)
        if not ratings:
            continue
        if not allowed(log, logged):
            found.refused += 1
            continue
        for rating in ratings:
            if rating.turn is not None and rating.turn < len(logged.episode.turns):
                _take(found, logged.episode, rating.turn, rating)
    return found


def allowed(log: EpisodeLog, logged: LoggedEpisode) -> bool:
    """Whether a conversation may be learnt from: not held out, and people have agreed."""
    consent = log.consented(logged.episode.episode_id)
    return logged.split != HELD_OUT and consent is not False and (logged.episode.simulator != PERSON or bool(consent))


def _take(found: Judgements, episode: Episode, number: int, rating: Rating) -> None:
    if not episode.turns[number].steps:
        return
    found.pairs += _pairs(episode, number, rating)
    if rating.value is not None:
        found.thumbs.append(Thumb(episode=episode, number=number, value=rating.value))
    if rating.correction:
        found.corrections.append(Remark(episode=episode, number=number, text=rating.correction))
    if hint := " ".join(filter(None, (rating.comment, rating.correction))):
        found.hints.append(Remark(episode=episode, number=number, text=hint))


def _pairs(episode: Episode, number: int, rating: Rating) -> Iterator[Pair]:
    compared = rating.extra.get(PAIR)
    if not isinstance(compared, dict) or compared.get("chosen") not in ("said", "other"):
        return
    said, other = episode.turns[number], turn_from_json(compared["other"])
    chosen, rejected = (said, other) if compared["chosen"] == "said" else (other, said)
    yield Pair(episode=episode, number=number, chosen=chosen, rejected=rejected)
