"""Rated rows have the advantages that people gave them; simulated rows those that PPO alone would give."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from dialog_rl.online.mixture import MOST, Mixture
from dialog_rl.rl.actor_critic import TokenEvaluation
from dialog_rl.rl.algorithms.ppo import PPO
from dialog_rl.rl.algorithms.ppo_config import PPOConfig
from dialog_rl.rl.batch import EpisodeBatch
from dialog_rl.rl.choices import Level

CONFIG = PPOConfig(level=Level.STEP)
STEPS = ([-1, 0, 0, -1, 1, 1], [-1, 0, -1, -1, 1, -1], [-1, 0, 0, 0, 1, 1], [-1, 0, 0, -1, 1, -1])


def batch() -> EpisodeBatch:
    """Four rows of two steps; the last two are simulated and earned 1 and 0."""
    step_BT = torch.tensor(STEPS)
    rewards_BT = torch.zeros(4, 6)
    rewards_BT[2, 5], rewards_BT[3, 4] = 1.0, 0.0
    return EpisodeBatch(
        ids_BT=torch.ones(4, 6, dtype=torch.long), lengths_B=torch.tensor([6, 5, 6, 5]), action_mask_BT=step_BT >= 0,
        sampler_logprobs_BT=torch.zeros(4, 6), rewards_BT=rewards_BT, step_index_BT=step_BT,
        truncated_B=torch.zeros(4, dtype=torch.bool), group_B=torch.arange(4),
        task_B=torch.zeros(4, dtype=torch.long),
        replayed_B=torch.zeros(4, dtype=torch.bool), imitate_B=torch.zeros(4, dtype=torch.bool),
    )  # fmt: skip


def old() -> TokenEvaluation:
    values_BT = torch.linspace(0.1, 0.9, 24).view(4, 6)
    return TokenEvaluation(torch.zeros(4, 6), torch.ones(4, 6), values_BT, torch.zeros(4))


TOLD = [[0.0, 1.5], [-0.5, 0.0]]


def test_a_rated_steps_tokens_all_have_the_advantage_it_was_told():
    targets = Mixture(config=CONFIG, live_share=0.5, told=TOLD).advantages(batch(), old(), None)
    factor = 8 / 6  # eight simulated tokens, six rated ones, half of the weight each
    expected = torch.tensor([[0, 0, 0, 0, 1.5, 1.5], [0, -0.5, 0, 0, 0, 0]]) * factor
    torch.testing.assert_close(targets.advantages_BT[:2], expected)


def test_simulated_rows_are_as_ppo_alone_would_have_them():
    mixed = Mixture(config=CONFIG, live_share=0.5, told=TOLD).advantages(batch(), old(), None)
    rows = torch.tensor([2, 3])
    evaluation = old()
    alone = PPO(CONFIG).advantages(batch().rows(rows), TokenEvaluation(*(x[rows] for x in evaluation)), None)
    torch.testing.assert_close(mixed.advantages_BT[2:], alone.advantages_BT)
    torch.testing.assert_close(mixed.returns_BT[2:], alone.returns_BT)


def test_the_critic_is_not_drawn_to_what_people_think():
    targets = Mixture(config=CONFIG, live_share=0.5, told=TOLD).advantages(batch(), old(), None)
    mask_BT = batch().action_mask_BT[:2]
    assert torch.equal(targets.returns_BT[:2][mask_BT], old().values_BT[:2][mask_BT])


def test_few_rated_tokens_are_made_up_for_only_so_far():
    mixture = Mixture(config=CONFIG, live_share=0.99, told=[[1.0, 0.0]])
    targets = mixture.advantages(batch(), old(), None)
    assert float(targets.advantages_BT[0].max()) == MOST


def test_rated_rows_alone_keep_the_advantages_they_were_told():
    targets = Mixture(config=CONFIG, live_share=0.5, told=[[1.0, -1.0], [0.0, 0.5], [0, 0], [0, 0]]).advantages(
        batch(), old(), None
    )
    assert targets.advantages_BT[0].tolist() == [0, 1, 1, 0, -1, -1]
    assert targets.advantages_BT[1].tolist() == [0, 0, 0, 0, 0.5, 0]


def test_simulated_rows_alone_are_plain_ppo():
    mixed = Mixture(config=CONFIG, live_share=0.5).advantages(batch(), old(), None)
    alone = PPO(CONFIG).advantages(batch(), old(), None)
    assert torch.equal(mixed.advantages_BT, alone.advantages_BT) and torch.equal(mixed.returns_BT, alone.returns_BT)


@pytest.mark.parametrize("told", [[], TOLD])
def test_rows_that_are_all_alike_give_no_advantage(told: list[list[float]]):
    alike = replace(batch(), rewards_BT=torch.zeros(4, 6))
    zero = [[0.0 for _ in row] for row in told]
    targets = Mixture(config=CONFIG, live_share=0.5, told=zero).advantages(alike, old(), None)
    assert not targets.advantages_BT.any()
