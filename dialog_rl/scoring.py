"""What a reward is, and how several become one number. A failed or abstaining reward is missing, never 0."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from dialog_rl.episode import Episode


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """One reward's opinion of one episode."""

    value: float | None
    """The episode's reward, paid at its last action token. None abstains: the reward does not apply."""
    per_step: tuple[float | None, ...] | None = None
    """Optional reward of each Step in order (`episode.steps`), paid at that step's last action token, beside `value`."""
    reason: str = ""

    def __post_init__(self) -> None:
        for number in (self.value, *(self.per_step or ())):
            if number is not None and not math.isfinite(number):
                raise ValueError(f"a score must be finite or None, not {number!r}")


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
