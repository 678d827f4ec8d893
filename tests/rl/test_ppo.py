"""PPO's targets, by hand."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from dialog_rl.episode import StopReason
from dialog_rl.errors import ConfigError
from dialog_rl.rl.actor_critic import TokenEvaluation
from dialog_rl.rl.algorithms.ppo import PPO
from dialog_rl.rl.algorithms.ppo_config import PPOConfig
from dialog_rl.rl.batch import EpisodeBatch
from dialog_rl.rl.choices import Level
from dialog_rl.scoring import ScoredEpisode

Build = Callable[..., ScoredEpisode]


def known(batch: EpisodeBatch, values: list[list[float]], final: list[float]) -> TokenEvaluation:
    zero = torch.zeros_like(batch.rewards_BT)
    return TokenEvaluation(zero, zero, torch.tensor(values), torch.tensor(final))


@pytest.mark.parametrize("level", list(Level))
def test_a_truncated_episode_goes_on_in_its_value_and_a_terminated_one_does_not(scored: Build, level: Level) -> None:
    stops = [StopReason.USER_LEFT, StopReason.MAX_TURNS]
    batch = EpisodeBatch.from_scored([scored([([1], [2])], reward=1.0, stop=stop) for stop in stops], 0)
    old = known(batch, [[9.0, 0.2]] * 2, [0.5, 0.5])
    targets = PPO(PPOConfig(level=level, gamma=0.9)).advantages(batch, old, None)
    assert targets.returns_BT[:, 1].tolist() == pytest.approx([1.0, 1.0 + 0.9 * 0.5])


def test_advantages_are_whitened_over_all_action_tokens(scored: Build) -> None:
    batch = EpisodeBatch.from_scored([scored([([1], [2, 3])], reward=r) for r in (0.0, 1.0)], 0)
    old = known(batch, [[9.0, 0.0, 0.0]] * 2, [0.0, 0.0])
    got = PPO(PPOConfig(lam=1.0)).advantages(batch, old, None).advantages_BT
    assert got.tolist() == [[0.0, -1.0, -1.0], [0.0, 1.0, 1.0]]


def test_replayed_episodes_have_no_part_in_it(scored: Build) -> None:
    fresh = [scored([([1], [2])], reward=r) for r in (0.0, 1.0)]
    batch = EpisodeBatch.from_scored(fresh, 0, replayed=[scored([([1], [2])], reward=100.0)])
    targets = PPO().advantages(batch, known(batch, [[0.0, 0.0]] * 3, [0.0] * 3), None)
    assert targets.advantages_BT[:, 1].tolist() == [-1.0, 1.0, 0.0]


@pytest.mark.parametrize("level", list(Level))
def test_a_discount_makes_equal_rewards_unequal(scored: Build, level: Level) -> None:
    """With gamma < 1 the sooner of two equal rewards is the better: the batch is not one of constant rewards."""
    batch = EpisodeBatch.from_scored([scored([([1], [2])] * n, reward=1.0) for n in (1, 3)], 0)
    old = known(batch, [[0.0] * 6] * 2, [0.0] * 2)
    assert bool(PPO(PPOConfig(level=level, gamma=0.9)).advantages(batch, old, None).advantages_BT.any())
    assert not bool(PPO(PPOConfig(level=level)).advantages(batch, old, None).advantages_BT.any())


@pytest.mark.parametrize("wrong", [{"gamma": 1.1}, {"lam": -0.1}, {"clip": 0.0}, {"value_coef": -1.0}])
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError):
        PPOConfig(**wrong)  # pyright: ignore[reportArgumentType]
