"""What a reward is, and how several become one number. A failed or abstaining reward is missing, never 0."""

from __future__ import annotations

import logging
import math
import numbers
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

from dialog_rl.episode import Episode
from dialog_rl.errors import ConfigError, PluginError, RewardError

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """One reward's opinion of one episode."""

    value: float | None
    """The episode's reward, paid at its last action token. None abstains: the reward does not apply."""
    per_step: tuple[float | None, ...] | None = None
    """Optional reward of each Step of `episode.steps`, paid at that step's last action token, beside `value`."""
    reason: str = ""
    failed: bool = False
    """The reward broke here: `value` is missing and `reason` says why."""

    def __post_init__(self) -> None:
        for number in (self.value, *(self.per_step or ())):
            if number is not None and not math.isfinite(number):
                raise ValueError(f"a score must be finite or None, not {number!r}")

    @property
    def applies(self) -> bool:
        return self.value is not None or any(v is not None for v in self.per_step or ())


class RewardFunction(Protocol):
    """A pure function of logged facts: the same episodes give the same scores, in the same order and number."""

    def score(self, episodes: Sequence[Episode]) -> Sequence[Score]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredEpisode:
    """An episode with every component's score (by instance name) and what they sum to."""

    episode: Episode
    components: Mapping[str, Score]
    reward: float
    """Weighted sum of the components' episode values."""
    step_rewards: tuple[float, ...]
    """Weighted sum of the components' per-step values, one a Step; zero where none was given."""


class OnFailure(StrEnum):
    """What a failing reward does to whoever asked for it."""

    STOP = "stop"
    """RewardError: the right thing in training, where a wrong number would be learnt."""
    ABSTAIN = "abstain"
    """The component is missing for the whole batch, so that no two episodes are compared on different terms."""


class Part(StrEnum):
    """What a component is in the total."""

    SUMMAND = "summand"
    CONSTRAINT = "constraint"
    """Kept below a target rate by a price that rises while the target is missed: a Lagrange multiplier."""
    VETO = "veto"
    """An episode with a negative score earns nothing else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RewardSpec:
    """One configured instance of a registered reward."""

    use: str
    """The registered name."""
    name: str = ""
    """What this instance is called in reports; defaults to `use`. Two instances need two names."""
    weight: float = 1.0
    options: Mapping[str, Any] = field(default_factory=dict)
    on_failure: OnFailure = OnFailure.STOP
    part: Part = Part.SUMMAND
    target: float = 0.0
    """Of a constraint: the largest share of episodes that may have a negative score."""
    scaled: bool = False
    """Divided by its running standard deviation, so that weights compare components of different units."""
    adaptive: bool = False
    """Its weight follows its learning progress, against the other adaptive components."""

    def __post_init__(self) -> None:
        if not math.isfinite(self.weight):
            raise ConfigError(f"reward {self.label!r}: the weight must be finite, not {self.weight}")
        if not 0 <= self.target < 1:
            raise ConfigError(f"reward {self.label!r}: the target is a share in [0, 1), not {self.target}")

    @property
    def label(self) -> str:
        return self.name or self.use


@dataclass(frozen=True, slots=True, kw_only=True)
class Reward:
    """An instance ready to score."""

    name: str
    function: RewardFunction
    weight: float = 1.0
    bounds: tuple[float, float] = (-100.0, 100.0)
    on_failure: OnFailure = OnFailure.STOP
    part: Part = Part.SUMMAND
    target: float = 0.0
    scaled: bool = False
    adaptive: bool = False

    @property
    def plain(self) -> bool:
        """It needs no memory of earlier batches: its value times its weight is added."""
        return self.part is Part.SUMMAND and not self.scaled and not self.adaptive


Combine = Callable[[Mapping[str, Score], Mapping[str, float], Episode], float | None]


def score_episodes(
    rewards: Sequence[Reward], episodes: Sequence[Episode], *, combine: Combine | None = None
) -> list[ScoredEpisode]:
    """Every episode that has a reward, with its components and their weighted sum.

    An episode on which every component abstains or failed has no reward, which is not the same as a reward of 0:
    it is left out, so the result may be shorter than `episodes`. `combine` may replace the weighted sum.
    Raises RewardError if a component fails that is set to stop. For constraints, vetoes, scaled and adaptive ones,
    which remember earlier batches, use `combination.Combination`.
    """
    odd = next((reward.name for reward in rewards if not reward.plain), None)
    if odd is not None:
        raise ValueError(f"reward {odd!r} is no plain summand; score it with a Combination")
    components = score_components(rewards, episodes)
    weights = {reward.name: reward.weight for reward in rewards}
    scored: list[ScoredEpisode] = []
    for i, episode in enumerate(episodes):
        scores = {name: of_name[i] for name, of_name in components.items()}
        if any(score.applies for score in scores.values()):
            scored.append(weighted_sum(scores, weights, episode, combine))
    if len(scored) < len(episodes):
        logger.info("%d of %d episodes have no reward and are left out", len(episodes) - len(scored), len(episodes))
    return scored


def score_components(rewards: Sequence[Reward], episodes: Sequence[Episode]) -> dict[str, list[Score]]:
    """Every component's checked scores by instance name, one an episode, failures as `Score(failed=True)`."""
    components: dict[str, list[Score]] = {}
    for reward in rewards:
        if reward.name in components:
            raise ValueError(f"two rewards are named {reward.name!r}")
        try:
            components[reward.name] = checked_scores(reward, episodes)
        except RewardError as e:
            if reward.on_failure is OnFailure.STOP:
                raise
            logger.warning("%s; it abstains for these %d episodes", e, len(episodes))
            components[reward.name] = [Score(value=None, failed=True, reason=str(e)) for _ in episodes]
    return components


def checked_scores(reward: Reward, episodes: Sequence[Episode]) -> list[Score]:
    """The reward's scores, checked for number, type, finiteness and range. Raises RewardError for whatever is wrong."""
    try:
        raw = reward.function.score(episodes)
        given = list(raw)
    except PluginError as e:
        raise RewardError(f"reward {reward.name!r}: {e}") from e
    except (Exception, SystemExit) as e:  # marked border: a reward may raise anything
        raise RewardError(f"reward {reward.name!r} raised {type(e).__name__}: {e}") from e
    if len(given) != len(episodes):
        raise RewardError(f"reward {reward.name!r} gave {len(given)} scores for {len(episodes)} episodes")
    return [_checked(reward, score, episode) for score, episode in zip(given, episodes, strict=True)]


def _checked(reward: Reward, score: object, episode: Episode) -> Score:
    where = f"reward {reward.name!r} on episode {episode.episode_id!r}"
    if not isinstance(score, Score):
        return Score(value=_number(score, reward.bounds, where))
    if score.failed:
        raise RewardError(f"{where}: {score.reason or 'it says that it failed'}")
    per_step = score.per_step
    if per_step is not None:
        steps = sum(1 for _ in episode.steps)
        if len(per_step) != steps:
            raise RewardError(f"{where}: {len(per_step)} values in per_step for {steps} steps")
        per_step = tuple(_number(value, reward.bounds, where) for value in per_step)
    value = _number(score.value, reward.bounds, where)
    return Score(value=value, per_step=per_step, reason=str(score.reason)[:2000])


def _number(value: object, bounds: tuple[float, float], where: str) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise RewardError(f"{where}: {str(value)[:40]!r} is a {type(value).__name__}; a score is a number or None")
    try:
        number = float(value)
    except OverflowError as e:
        raise RewardError(f"{where}: the score is too large for a float") from e
    if not math.isfinite(number):
        raise RewardError(f"{where}: the score is {number}; a score is finite, or None")
    if not bounds[0] <= number <= bounds[1]:
        raise RewardError(f"{where}: {number:g} is outside [{bounds[0]:g}, {bounds[1]:g}], the bounds it declares")
    return number


def weighted_sum(
    scores: Mapping[str, Score], weights: Mapping[str, float], episode: Episode, combine: Combine | None = None
) -> ScoredEpisode:
    """The components' values times their weights, added; what is missing adds nothing."""
    steps = [0.0] * sum(1 for _ in episode.steps)
    total = 0.0
    for name, score in scores.items():
        total += weights[name] * (score.value or 0.0)
        for i, value in enumerate(score.per_step or ()):
            steps[i] += weights[name] * (value or 0.0)
    replaced = _combined(combine, scores, weights, episode)
    return ScoredEpisode(
        episode=episode, components=dict(scores), reward=total if replaced is None else replaced,
        step_rewards=tuple(steps),
    )  # fmt: skip


def _combined(
    combine: Combine | None, scores: Mapping[str, Score], weights: Mapping[str, float], episode: Episode
) -> float | None:
    if combine is None:
        return None
    try:
        value = combine(dict(scores), dict(weights), episode)
    except (Exception, SystemExit) as e:  # marked border: a plugin may raise anything
        raise RewardError(f"combine_rewards raised {type(e).__name__}: {e}") from e
    return _number(value, (-1e6, 1e6), f"combine_rewards on episode {episode.episode_id!r}")
