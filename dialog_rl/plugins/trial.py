"""Trying a reward on real episodes before anything is trained on it."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dialog_rl.episode import Episode, Rating
from dialog_rl.hacks import Hack, find_hacks, preference, rank_correlation, succeeded
from dialog_rl.scoring import Reward, Score, checked_scores

BINS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """One turn, or one whole episode, with what the reward made of it."""

    episode: str
    turn: int | None
    """Counted from 1; None for the whole episode."""
    value: float
    user: str
    reply: str
    reason: str
    success: bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Distribution:
    count: int
    mean: float
    deviation: float
    quantiles: tuple[float, float, float, float, float]
    """Least, lower quartile, median, upper quartile, largest."""
    bins: tuple[tuple[float, int], ...]
    """Lower edge and count of equal bins from least to largest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What a reward would say about these episodes."""

    reward: str
    episodes: int
    abstained: int
    seconds: float
    distribution: Distribution | None
    """Of the episodes' whole rewards; None if it abstained on all."""
    best: tuple[Judged, ...]
    worst: tuple[Judged, ...]
    with_success: float | None
    """Rank correlation with task success; None where that cannot be told."""
    with_ratings: float | None
    """Rank correlation with people's mean ratings."""
    rated: int
    prefers_success: float | None
    """How often a successful episode is paid more than a failed one, ties half: 0.5 is blind, 1 is right."""
    hacks: tuple[Hack, ...]


def try_reward(
    reward: Reward, episodes: Sequence[Episode], ratings: Mapping[str, Sequence[Rating]] | None = None, *, show: int = 3
) -> Trial:
    """Score the episodes and compare with success and with `ratings` (by episode id). Raises RewardError."""
    started = time.perf_counter()
    scores = checked_scores(reward, episodes)
    seconds = time.perf_counter() - started
    values = [whole(score) for score in scores]
    judged = _judged(episodes, scores)
    ordered = sorted(judged, key=lambda one: one.value)
    successes = [succeeded(episode) for episode in episodes]
    people = [_mean_rating(ratings.get(e.episode_id, ()) if ratings else ()) for e in episodes]
    return Trial(
        reward=reward.name,
        episodes=len(episodes),
        abstained=values.count(None),
        seconds=seconds,
        distribution=describe([value for value in values if value is not None]),
        best=tuple(reversed(ordered[-show:])),
        worst=tuple(ordered[:show]),
        with_success=_correlation(values, [None if s is None else float(s) for s in successes]),
        with_ratings=_correlation(values, people),
        rated=sum(value is not None for value in people),
        prefers_success=_preference(values, successes),
        hacks=tuple(find_hacks(episodes, values)),
    )


def whole(score: Score) -> float | None:
    """All that an episode is paid: its value and its steps'. None if the reward abstains."""
    if not score.applies:
        return None
    return (score.value or 0.0) + sum(value or 0.0 for value in score.per_step or ())


def describe(values: Sequence[float]) -> Distribution | None:
    if not values:
        return None
    ordered = sorted(values)
    low, high = ordered[0], ordered[-1]
    width = (high - low) / BINS or 1.0
    counts = [0] * BINS
    for value in ordered:
        counts[min(BINS - 1, int((value - low) / width))] += 1
    shown = [(low + i * width, count) for i, count in enumerate(counts)] if high > low else [(low, len(ordered))]
    return Distribution(
        count=len(ordered),
        mean=statistics.fmean(ordered),
        deviation=statistics.pstdev(ordered),
        quantiles=(low, _quantile(ordered, 0.25), _quantile(ordered, 0.5), _quantile(ordered, 0.75), high),
        bins=tuple(shown),
    )


def _quantile(ordered: Sequence[float], share: float) -> float:
    at = share * (len(ordered) - 1)
    low, high = math.floor(at), math.ceil(at)
    return ordered[low] + (at - low) * (ordered[high] - ordered[low])


def _judged(episodes: Sequence[Episode], scores: Sequence[Score]) -> list[Judged]:
    """Every turn with a reward of its own; where a reward gives none, every episode with its last turn."""
    turns = any(value is not None for score in scores for value in score.per_step or ())
    found: list[Judged] = []
    for episode, score in zip(episodes, scores, strict=True):
        if turns:
            found += _judged_turns(episode, score)
        elif score.value is not None and episode.turns:
            found.append(_one(episode, None, score.value, score, _last_answered(episode)))
    return found


def _judged_turns(episode: Episode, score: Score) -> list[Judged]:
    found: list[Judged] = []
    steps = iter(score.per_step or ())
    for number, turn in enumerate(episode.turns):
        paid = [value for _, value in zip(turn.steps, steps, strict=False) if value is not None]
        if paid:
            found.append(_one(episode, number, sum(paid), score, number))
    return found


def _one(episode: Episode, turn: int | None, value: float, score: Score, shown: int) -> Judged:
    return Judged(
        episode=episode.episode_id,
        turn=None if turn is None else turn + 1,
        value=value,
        user=episode.turns[shown].user.text,
        reply=episode.turns[shown].reply,
        reason=score.reason,
        success=succeeded(episode),
    )


def _last_answered(episode: Episode) -> int:
    return max((n for n, turn in enumerate(episode.turns) if turn.reply), default=len(episode.turns) - 1)


def _mean_rating(ratings: Sequence[Rating]) -> float | None:
    values = [rating.value for rating in ratings if rating.value is not None]
    return statistics.fmean(values) if values else None


def _correlation(a: Sequence[float | None], b: Sequence[float | None]) -> float | None:
    pairs = [(x, y) for x, y in zip(a, b, strict=True) if x is not None and y is not None]
    return rank_correlation([x for x, _ in pairs], [y for _, y in pairs])


def _preference(values: Sequence[float | None], successes: Sequence[bool | None]) -> float | None:
    paid = [(v, s) for v, s in zip(values, successes, strict=True) if v is not None]
    return preference([v for v, s in paid if s is True], [v for v, s in paid if s is False])
