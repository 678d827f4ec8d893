"""An entropy bonus that finds its own size."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from dialog_rl.rl.algorithms.ppo import PPO
from dialog_rl.rl.batch import EpisodeBatch
from dialog_rl.rl.entropy import RATE, EntropyController
from dialog_rl.rl.kl import KLConfig
from dialog_rl.rl.learner import Learner
from dialog_rl.rl.learner_config import LearnerConfig

PLAIN = LearnerConfig(kl=KLConfig(coef=0.0), kl_stop=math.inf, kl_discard=math.inf, learning_rate=1e-2)


def test_the_coefficient_rises_while_entropy_is_below_its_target_and_falls_above_it() -> None:
    controller = EntropyController(0.1, target=2.0)
    controller.update(1.0)
    assert controller.coef == pytest.approx(0.1 * math.exp(RATE / 2))
    controller.update(3.0)
    assert controller.coef == pytest.approx(0.1)


def test_an_error_counts_once_at_most_and_a_nan_not_at_all() -> None:
    controller = EntropyController(0.1, target=1.0)
    controller.update(100.0)
    assert controller.coef == pytest.approx(0.1 * math.exp(-RATE))
    controller.update(math.nan)
    assert controller.coef == pytest.approx(0.1 * math.exp(-RATE))


def test_without_a_target_the_coefficient_stays() -> None:
    controller = EntropyController(0.1)
    controller.update(0.0)
    assert controller.coef == 0.1


def entropies(tiny_lm: Any, sampled: Callable[..., Any], config: LearnerConfig) -> tuple[list[float], Learner]:
    """Of ten updates on episodes that the policy speaks itself, by what the learner measured."""
    policy = tiny_lm(seed=1)
    learner = Learner(policy, None, PPO(), config)
    seen = []
    for update in range(10):
        batch = EpisodeBatch.from_scored(sampled(policy, 12, seed=update), 0)
        seen.append(learner.update(batch).entropy)
    return seen, learner


def test_the_bonus_keeps_a_policy_more_undecided_and_grows_until_it_does(tiny_lm: Any, sampled: Any) -> None:
    config = replace(PLAIN, entropy_coef=0.05, entropy_target=10.0)
    kept, learner = entropies(tiny_lm, sampled, config)
    free, _ = entropies(tiny_lm, sampled, PLAIN)
    assert kept[-1] > free[-1]
    assert learner.entropy.coef == pytest.approx(0.05 * math.exp(RATE * sum(1 - e / 10 for e in kept)), rel=1e-5)


def test_the_coefficient_is_part_of_the_training_state(tiny_lm: Any, sampled: Any) -> None:
    config = replace(PLAIN, entropy_coef=0.05, entropy_target=10.0)
    _, learner = entropies(tiny_lm, sampled, config)
    other = Learner(tiny_lm(seed=1), None, PPO(), config)
    other.load_state_dict(learner.state_dict())
    assert other.entropy.coef == learner.entropy.coef


def test_a_target_needs_a_coefficient_to_begin_with() -> None:
    with pytest.raises(ValueError, match="entropy_target"):
        LearnerConfig(entropy_target=1.0)
