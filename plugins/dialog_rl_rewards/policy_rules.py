"""Keeping to the shop's rules: identify before reading, confirm before writing, never another customer's data."""

from __future__ import annotations

from collections.abc import Sequence

from dialog_rl import metrics
from dialog_rl.episode import Episode
from dialog_rl.scoring import Score


class PolicyRules:
    """Minus `penalty` for each violation, at most `worst` in all. Never above 0: nothing is earned by doing more."""

    def __init__(self, *, penalty: float = 0.5, worst: float = 1.0) -> None:
        if not 0 < penalty <= worst:
            raise ValueError(f"penalty ({penalty}) must be positive and at most worst ({worst})")
        self._penalty, self._worst = penalty, worst

    def score(self, episodes: Sequence[Episode]) -> list[Score]:
        return [self._score(episode) for episode in episodes]

    def _score(self, episode: Episode) -> Score:
        violations = metrics.violations(episode)
        value = -min(self._worst, self._penalty * len(violations))
        return Score(value=value, reason="; ".join(f"{v.rule} in turn {v.turn + 1}" for v in violations))
