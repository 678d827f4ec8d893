"""Which customers to practise with: those from whom the policy learns, instead of all alike.

The arms are the intents of the packs. What an intent is worth is how much success with it has changed of late, up or
down: what is mastered and what is hopeless teach nothing, and what is being forgotten is practised again.
Source: Oudeyer, Kaplan and Hafner 2007, and Portelas et al. 2019, arXiv:1910.07224, for learning progress.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

WINDOW = 20
"""Dialogues of an intent in each of the two spans that are compared."""
EPSILON = 0.2
"""Share of the choices that are made without regard to what is known."""
UCB = 0.3
"""Weight of not knowing; a change of success by 0.3 is a large one."""


class Strategy(StrEnum):
    UNIFORM = "uniform"
    """The pack's own mixture."""
    EPSILON_GREEDY = "epsilon-greedy"
    """The intent with the most progress, but for a share EPSILON of all choices."""
    UCB = "ucb"
    """Progress and how little the intent was tried. Source: UCB1, Auer, Cesa-Bianchi and Fischer 2002."""
    THOMPSON = "thompson"
    """The intent most likely to be in between: p (1 - p) for a p drawn from what is believed of its success."""


@dataclass(slots=True)
class Practice:
    """What is known of each intent, and what it makes of the next choice."""

    strategy: Strategy
    outcomes: dict[str, list[bool]] = field(default_factory=dict[str, list[bool]])
    """Of each arm the last 2 * WINDOW dialogues, oldest first."""
    tried: dict[str, int] = field(default_factory=dict[str, int])

    def choose(self, arms: Sequence[str], rng: random.Random) -> str:
        """One of the arms; empty leaves the choice to the pack."""
        if self.strategy is Strategy.UNIFORM:
            return ""
        if self.strategy is Strategy.EPSILON_GREEDY and rng.random() < EPSILON:
            return rng.choice(arms)
        values = {arm: self._value(arm, arms, rng) for arm in arms}
        best = max(values.values())
        return rng.choice([arm for arm in arms if values[arm] == best])

    def learn(self, outcomes: Iterable[tuple[str, bool]]) -> None:
        """What became of dialogues, in their order."""
        for arm, succeeded in outcomes:
            self.outcomes[arm] = [*self.outcomes.get(arm, []), succeeded][-2 * WINDOW :]
            self.tried[arm] = self.tried.get(arm, 0) + 1

    def progress(self, arm: str) -> float:
        """How far success changed from one span to the next; 0 while nothing can be said."""
        seen = self.outcomes.get(arm, [])
        half = len(seen) // 2
        return abs(_mean(seen[half:]) - _mean(seen[:half])) if half else 0.0

    def figures(self) -> dict[str, dict[str, float]]:
        """Of each intent how often it was practised, its recent success and its progress, for the record."""
        return {
            arm: {
                "tried": self.tried[arm],
                "success": _mean(seen[-WINDOW:]),
                "progress": self.progress(arm),
            }
            for arm, seen in sorted(self.outcomes.items())
        }

    def state(self) -> dict[str, Any]:
        return {"outcomes": {arm: list(seen) for arm, seen in self.outcomes.items()}, "tried": dict(self.tried)}

    def restore(self, state: Mapping[str, Any]) -> None:
        self.outcomes = {arm: [bool(one) for one in seen] for arm, seen in state.get("outcomes", {}).items()}
        self.tried = {arm: int(count) for arm, count in state.get("tried", {}).items()}

    def _value(self, arm: str, arms: Sequence[str], rng: random.Random) -> float:
        tried = self.tried.get(arm, 0)
        match self.strategy:
            case Strategy.THOMPSON:
                recent = self.outcomes.get(arm, [])[-WINDOW:]
                p = rng.betavariate(1 + sum(recent), 1 + len(recent) - sum(recent))
                return p * (1 - p)
            case Strategy.UCB:
                if not tried:
                    return math.inf
                total = sum(self.tried.get(one, 0) for one in arms)
                return self.progress(arm) + UCB * math.sqrt(math.log(total) / tried)
            case _:
                return self.progress(arm) if tried else math.inf


def _mean(outcomes: Sequence[bool]) -> float:
    return sum(outcomes) / len(outcomes) if outcomes else 0.0
