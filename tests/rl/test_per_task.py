"""Each pack is judged by its own measure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from dialog_rl.rl.actor_critic import TokenEvaluation
from dialog_rl.rl.algorithm import Algorithm
from dialog_rl.rl.algorithms.a2c import A2C
from dialog_rl.rl.algorithms.ppo import PPO
from dialog_rl.rl.algorithms.reinforce import Reinforce
from dialog_rl.rl.batch import EpisodeBatch
from dialog_rl.rl.per_task import PerTask
from dialog_rl.scoring import ScoredEpisode

Build = Callable[..., ScoredEpisode]


def mixed(scored: Build, easy: tuple[float, float], hard: tuple[float, float]) -> EpisodeBatch:
    """Two episodes of each of two packs, a token each."""
    rewards = {"easy": easy, "hard": hard}
    episodes = []
    for pack, earned in rewards.items():
        for reward in earned:
            one = scored([([5], [1])], reward=reward)
            episodes.append(replace(one, episode=replace(one.episode, pack=pack)))
    return EpisodeBatch.from_scored(episodes, 0)


def advantages(algorithm: Algorithm, batch: EpisodeBatch) -> list[float]:
    zero_BT = torch.zeros(batch.ids_BT.shape)
    old = TokenEvaluation(zero_BT, zero_BT, zero_BT, zero_BT[:, 0])
    return algorithm.advantages(batch, old, None).advantages_BT[:, 1].tolist()


@pytest.mark.parametrize("algorithm", [PPO(), Reinforce()])
def test_the_better_half_of_a_hard_pack_is_praised(scored: Build, algorithm: Algorithm) -> None:
    batch = mixed(scored, (10.0, 8.0), (0.2, 0.0))
    together = advantages(algorithm, batch)
    assert together[2] < 0  # beside an easy pack, even the best of the hard one is below the mean
    assert advantages(PerTask(algorithm), batch) == pytest.approx([1.0, -1.0, 1.0, -1.0], abs=1e-5)


def test_packs_with_larger_rewards_have_no_larger_gradient(scored: Build) -> None:
    batch = mixed(scored, (100.0, -100.0), (1.0, -1.0))
    assert max(map(abs, advantages(A2C(), batch))) == pytest.approx(100.0)
    assert [abs(a) for a in advantages(PerTask(A2C()), batch)] == pytest.approx([1.0] * 4)


def test_a_pack_whose_episodes_earned_the_same_teaches_nothing(scored: Build) -> None:
    assert advantages(PerTask(PPO()), mixed(scored, (1.0, 1.0), (1.0, 0.0)))[:2] == [0.0, 0.0]


def test_the_learner_sees_the_algorithm_within() -> None:
    assert (PerTask(PPO()).name, PerTask(PPO()).needs) == ("ppo", PPO().needs)
