"""How several rewards become one over the course of a run: constraints, vetoes, common scales, adaptive weights.

Unlike a weighted sum this has a memory, so it belongs to a run and into its checkpoints (`state`, `restore`). Prices
and adaptive weights come from the batches before, scales from all so far: the order within a batch changes nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from dialog_rl.episode import Episode
from dialog_rl.scoring import Combine, Part, Reward, Score, ScoredEpisode, score_components, weighted_sum

MULTIPLIER_STEP = 2.0
"""How much a multiplier rises in one batch for each unit by which the rate exceeds the target."""
MULTIPLIER_LIMIT = 50.0
SCALE_FLOOR = 0.1
"""Standard deviation below which a component is not blown up: a nearly constant reward is no signal to amplify."""
FAST, SLOW = 0.5, 0.1
"""Weights of the newest batch in the two averages whose distance is a component's learning progress."""
LEAST_SHARE = 0.2
"""No adaptive weight falls below this share of its configured value, so no sub-goal is forgotten."""


@dataclass(slots=True)
class _Memory:
    """What is remembered of one component."""

    multiplier: float = 0.0
    """Price of one violating episode, of a constraint."""
    rate: float = 0.0
    """Share of violating episodes in the last batch."""
    count: int = 0
    mean: float = 0.0
    squares: float = 0.0
    """Sum of squared distances from the mean, over all episodes so far."""
    fast: float = 0.0
    slow: float = 0.0
    batches: int = 0

    def measure(self, values: Sequence[float]) -> None:
        """Merge a batch into count, mean and squares. Source: Chan, Golub and LeVeque 1983, eq. 2.1."""
        if not values:
            return
        n, mean = len(values), sum(values) / len(values)
        total = self.count + n
        self.squares += sum((v - mean) ** 2 for v in values) + (mean - self.mean) ** 2 * self.count * n / total
        self.mean += (mean - self.mean) * n / total
        self.count = total

    def follow(self, mean: float) -> None:
        self.fast = mean if not self.batches else self.fast + FAST * (mean - self.fast)
        self.slow = mean if not self.batches else self.slow + SLOW * (mean - self.slow)
        self.batches += 1

    @property
    def deviation(self) -> float:
        return math.sqrt(self.squares / self.count) if self.count else 0.0


@dataclass(slots=True)
class Combination:
    """The rewards of one run and what it has learnt about them."""

    rewards: Sequence[Reward]
    combine: Combine | None = None
    """A plugin's replacement of the weighted sum of summands."""
    _memory: dict[str, _Memory] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._memory = {reward.name: _Memory() for reward in self.rewards}

    def score(self, episodes: Sequence[Episode]) -> list[ScoredEpisode]:
        """Like `scoring.score_episodes`: every episode that has a reward. Raises RewardError.

        Keeping a constraint is no reward: an episode on which every summand abstains counts only if it breaks one.
        """
        components = score_components(self.rewards, episodes)
        for name, scores in components.items():
            self._memory[name].measure([_whole(score) for score in scores if score.applies])
        weights = self.weights()
        scored: list[ScoredEpisode] = []
        for i, episode in enumerate(episodes):
            scores = {name: of_name[i] for name, of_name in components.items()}
            if any(scores[name].applies for name in weights) or any(map(violates, scores.values())):
                scored.append(self._combined(scores, weights, episode))
        self._learn(components)
        return scored

    def weights(self) -> dict[str, float]:
        """What each summand's values are multiplied by in the next batch."""
        shares = self._adaptive_shares()
        return {
            reward.name: reward.weight * shares.get(reward.name, 1.0) / self._scale(reward)
            for reward in self.rewards
            if reward.part is Part.SUMMAND
        }

    def figures(self) -> dict[str, float]:
        """For an update's record: weights of summands, rate and multiplier of constraints."""
        figures = {f"weight/{name}": weight for name, weight in self.weights().items()}
        for reward in self.rewards:
            if reward.part is Part.CONSTRAINT:
                memory = self._memory[reward.name]
                figures[f"rate/{reward.name}"] = memory.rate
                figures[f"multiplier/{reward.name}"] = memory.multiplier
        return figures

    def state(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {name: asdict(memory) for name, memory in self._memory.items()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a `state`. Components that it does not know begin anew."""
        for name in self._memory:
            if name in state:
                self._memory[name] = _Memory(**state[name])

    def _combined(self, scores: Mapping[str, Score], weights: Mapping[str, float], episode: Episode) -> ScoredEpisode:
        summands = {name: scores[name] for name in weights}
        scored = replace(weighted_sum(summands, weights, episode, self.combine), components=dict(scores))
        price = total = 0.0
        for reward in self.rewards:
            if reward.part is Part.CONSTRAINT:
                total += self._memory[reward.name].multiplier
                price += self._memory[reward.name].multiplier * violates(scores[reward.name])
            elif reward.part is Part.VETO and violates(scores[reward.name]):
                scored = _vetoed(scored, reward.weight * _whole(scores[reward.name]))
        # Divided, so that a rising multiplier shifts the balance without growing the returns a critic must follow.
        return replace(
            scored,
            reward=(scored.reward - price) / (1 + total),
            step_rewards=tuple(value / (1 + total) for value in scored.step_rewards),
        )

    def _learn(self, components: Mapping[str, Sequence[Score]]) -> None:
        for reward in self.rewards:
            memory = self._memory[reward.name]
            applying = [score for score in components[reward.name] if score.applies]
            if not applying:
                continue
            memory.follow(sum(map(_whole, applying)) / len(applying))
            if reward.part is Part.CONSTRAINT:
                memory.rate = sum(map(violates, applying)) / len(applying)
                raised = memory.multiplier + MULTIPLIER_STEP * (memory.rate - reward.target)
                memory.multiplier = min(MULTIPLIER_LIMIT, max(0.0, raised))

    def _scale(self, reward: Reward) -> float:
        return max(SCALE_FLOOR, self._memory[reward.name].deviation) if reward.scaled else 1.0

    def _adaptive_shares(self) -> dict[str, float]:
        """Shares of adaptive components: in proportion to |fast - slow|, at least LEAST_SHARE, on average 1."""
        names = [r.name for r in self.rewards if r.adaptive and r.part is Part.SUMMAND]
        progress = {name: abs(self._memory[name].fast - self._memory[name].slow) for name in names}
        total = sum(progress.values())
        if total <= 1e-9:
            return dict.fromkeys(names, 1.0)
        return {name: LEAST_SHARE + (1 - LEAST_SHARE) * len(names) * value / total for name, value in progress.items()}


def violates(score: Score) -> bool:
    """Whether a constraint or veto is broken: its value, or one of its steps, is negative."""
    return any(value is not None and value < 0 for value in (score.value, *(score.per_step or ())))


def _whole(score: Score) -> float:
    return (score.value or 0.0) + sum(value or 0.0 for value in score.per_step or ())


def _vetoed(scored: ScoredEpisode, price: float) -> ScoredEpisode:
    steps = tuple(min(0.0, value) for value in scored.step_rewards)
    return replace(scored, reward=min(scored.reward, price), step_rewards=steps)
