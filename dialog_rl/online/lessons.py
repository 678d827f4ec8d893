"""What rated conversations teach: ratings become rewards, and what nobody judged is context, not a reward of 0."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from dialog_rl.combination import Combination
from dialog_rl.episode import Episode, Rating, Step
from dialog_rl.episode_log.learning import Chosen
from dialog_rl.episode_log.log import EpisodeLog
from dialog_rl.episode_log.records import Kind, rating_from_json
from dialog_rl.scoring import Reward, Score, ScoredEpisode

RECENT = 64
"""Judged turns that the baseline remembers."""
SPREAD_FLOOR = 0.25
"""Ratings that spread less are not blown up to one."""


@dataclass(slots=True)
class RatingsInUse:
    """What the program hands to rewards that need "ratings": exactly those that an update's plan names."""

    by_episode: dict[str, tuple[Rating, ...]] = field(default_factory=dict[str, tuple[Rating, ...]])

    def __call__(self, episodes: Sequence[Episode]) -> list[tuple[Rating, ...]]:
        return [self.by_episode.get(episode.episode_id, ()) for episode in episodes]

    def take(self, log: EpisodeLog, chosen: Sequence[Chosen]) -> None:
        """Only the ratings named, as they were logged: later ones and withdrawals belong to later updates."""
        self.by_episode = {one.episode_id: _named(log, one) for one in chosen}


def _named(log: EpisodeLog, chosen: Chosen) -> tuple[Rating, ...]:
    about = (event for event in log.events_of(chosen.episode_id) if event.kind == Kind.RATING)
    return tuple(rating_from_json(event.document) for event in about if event.event_id in chosen.ratings)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesson:
    """One rated conversation as the learner gets it."""

    scored: ScoredEpisode
    """Steps that nobody judged have given their action ids to what was observed."""
    credit: tuple[float, ...]
    """Of each Step, what the people thought of its turn and of the whole; 0 where nobody judged."""
    judged: tuple[bool, ...]
    """Which Steps anybody judged."""


def lessons(combination: Combination, episodes: Sequence[Episode]) -> list[Lesson]:
    """Conversations with what they earned; those that no reward applies to are left out. Raises RewardError."""
    weights = combination.weights()
    return [_lesson(scored, weights) for scored in combination.score(episodes)]


def _lesson(scored: ScoredEpisode, weights: Mapping[str, float]) -> Lesson:
    """A value of the whole is every step's, one of a step that of all steps of its turn: the calls led there."""
    episode, scores = scored.episode, [(weights[name], scored.components[name]) for name in weights]
    whole = [weight * score.value for weight, score in scores if score.value is not None]
    credit: list[float] = []
    judged: list[bool] = []
    first = 0
    for turn in episode.turns:
        of_turn = [weight * value for weight, score in scores for value in _values(score, first, len(turn.steps))]
        credit += [sum(whole) + sum(of_turn)] * len(turn.steps)
        judged += [bool(whole or of_turn)] * len(turn.steps)
        first += len(turn.steps)
    kept = _without_unjudged(episode, judged)
    return Lesson(scored=replace(scored, episode=kept), credit=tuple(credit), judged=tuple(judged))


def _values(score: Score, first: int, count: int) -> list[float]:
    return [value for value in (score.per_step or ())[first : first + count] if value is not None]


def _without_unjudged(episode: Episode, judged: Sequence[bool]) -> Episode:
    marks = iter(judged)
    turns = [replace(t, steps=tuple(s if next(marks) else _observed(s) for s in t.steps)) for t in episode.turns]
    return replace(episode, turns=tuple(turns))


def _observed(step: Step) -> Step:
    """The step as something that happened: its ids are context, and no gradient comes from them."""
    return replace(step, observation_ids=(*step.observation_ids, *step.action_ids), action_ids=(), logprobs=())


@dataclass(slots=True)
class Baseline:
    """What people usually think: the mean and spread of the turns judged last."""

    recent: list[float] = field(default_factory=list[float])

    def advantages(self, taught: Sequence[Lesson]) -> list[list[float]]:
        """Of each lesson's Steps, how much better than usual they were thought of; 0 where nobody judged.

        This update's judgements count among the usual. If all that is remembered is alike, nothing is better or worse:
        all zero.
        """
        self.recent = [*self.recent, *(value for lesson in taught for value in _by_turn(lesson))][-RECENT:]
        mean = sum(self.recent) / max(1, len(self.recent))
        spread = (sum((value - mean) ** 2 for value in self.recent) / max(1, len(self.recent))) ** 0.5
        alike = spread < 1e-6
        return [
            [
                (value - mean) / max(spread, SPREAD_FLOOR) if judged and not alike else 0.0
                for value, judged in zip(lesson.credit, lesson.judged, strict=True)
            ]
            for lesson in taught
        ]


def _by_turn(lesson: Lesson) -> list[float]:
    """One value a judged turn."""
    values: list[float] = []
    first = 0
    for turn in lesson.scored.episode.turns:
        if turn.steps and lesson.judged[first]:
            values.append(lesson.credit[first])
        first += len(turn.steps)
    return values


def live_combination(build: Callable[[RatingsInUse], Sequence[Reward]]) -> tuple[Combination, RatingsInUse]:
    """What people's conversations are scored with; `build` makes the rewards, given the ratings they may need."""
    ratings = RatingsInUse()
    return Combination(build(ratings)), ratings
