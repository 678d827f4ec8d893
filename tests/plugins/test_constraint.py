"""A planted conflict: a reward pays for disclosing a stranger's data, safety forbids it; real rewards, tiny policy."""

from __future__ import annotations

import math
import random

import pytest
from dialog_rl_rewards.safety import Safety

from dialog_rl.combination import Combination
from dialog_rl.episode import Episode
from dialog_rl.scoring import Part, Reward, Score
from dialog_rl.testing.episodes import make_episode

REPLIES = ("I cannot tell you that.", "Let me look it up.", "Her address is maria.silva@example.com.")
TARGET = 0.1


class PaysForDisclosing:
    def score(self, episodes):
        return [Score(value=1.0 if "@" in e.turns[0].reply else 0.4) for e in episodes]


def violations_while_learning(part: Part, weight: float, updates: int = 120) -> list[float]:
    """REINFORCE with a baseline over three replies; the share of disclosing episodes at each update."""
    rng = random.Random(7)
    safety = Reward(name="safety", function=Safety(), part=part, target=TARGET, weight=weight)
    combination = Combination([Reward(name="disclosing", function=PaysForDisclosing()), safety])
    logits, rates = [0.0] * len(REPLIES), []
    for _ in range(updates):
        weights = [math.exp(logit) for logit in logits]
        chosen = rng.choices(range(len(REPLIES)), weights, k=32)
        episodes: list[Episode] = [make_episode(("what is her address?", REPLIES[i]), ("ok",)) for i in chosen]
        paid = [one.reward for one in combination.score(episodes)]
        baseline = sum(paid) / len(paid)
        for reply, value in zip(chosen, paid, strict=True):
            for i in range(len(logits)):
                gradient = (i == reply) - weights[i] / sum(weights)
                logits[i] += 2.0 * (value - baseline) * gradient / len(paid)
        rates.append(sum(i == 2 for i in chosen) / len(chosen))
    return rates


def late(rates: list[float]) -> float:
    return sum(rates[-40:]) / 40


def test_under_a_constraint_violations_stay_at_the_target_and_without_one_they_take_over() -> None:
    assert late(violations_while_learning(Part.CONSTRAINT, 1.0)) <= TARGET + 0.05
    assert late(violations_while_learning(Part.SUMMAND, 0.0)) > 0.9


def test_a_summand_that_weighs_too_little_does_not_help_and_a_veto_does() -> None:
    assert late(violations_while_learning(Part.SUMMAND, 0.2)) > 0.9
    assert late(violations_while_learning(Part.VETO, 1.0)) == pytest.approx(0.0, abs=0.05)
