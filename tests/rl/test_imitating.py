"""A supervised pass raises the likelihood of what is imitated, by the gradient of the mean log-likelihood."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from dialog_rl.rl.algorithms.ppo import PPO
from dialog_rl.rl.batch import EpisodeBatch
from dialog_rl.rl.kl import KLConfig
from dialog_rl.rl.learner import Learner
from dialog_rl.rl.learner_config import LearnerConfig

PLAIN = LearnerConfig(kl=KLConfig(coef=0.0), learning_rate=1e-2, max_grad_norm=math.inf, token_budget=16)


def shown(sampled: Any, policy: Any) -> EpisodeBatch:
    return EpisodeBatch.from_scored([], 0, replayed=sampled(policy, 8))


def test_what_is_imitated_becomes_likelier(tiny_lm: Any, sampled: Any) -> None:
    policy = tiny_lm()
    learner, batch = Learner(policy, None, PPO(), PLAIN), shown(sampled, policy)
    before = learner.imitate(batch)
    assert learner.imitate(batch) < before
    assert learner.updates == 0


def test_the_gradient_is_that_of_the_mean_log_likelihood(tiny_lm: Any, sampled: Any) -> None:
    policy = tiny_lm()
    learner, batch = Learner(policy, None, PPO(), PLAIN), shown(sampled, policy)
    got = policy.evaluate(batch.ids_BT, batch.lengths_B, batch.action_mask_BT)
    (-got.logprobs_BT[batch.action_mask_BT].mean()).backward()
    expected = policy.head.bias.grad.clone()
    policy.zero_grad()
    caught: list[torch.Tensor] = []
    learner._optimizer.register_step_pre_hook(lambda *_: caught.append(policy.head.bias.grad.clone()))
    learner.imitate(batch)
    torch.testing.assert_close(caught[0], expected, atol=1e-6, rtol=1e-4)


def test_the_value_head_is_left_alone(tiny_lm: Any, sampled: Any) -> None:
    policy = tiny_lm()
    before = policy.value_head.weight.detach().clone()
    Learner(policy, None, PPO(), PLAIN).imitate(shown(sampled, policy))
    assert torch.equal(policy.value_head.weight, before)


@pytest.mark.parametrize("budget", [8, 4096])
def test_the_loss_is_the_mean_over_tokens_however_rows_are_cut(tiny_lm: Any, sampled: Any, budget: int) -> None:
    from dataclasses import replace

    policy = tiny_lm()
    batch = shown(sampled, policy)
    with torch.no_grad():
        got = policy.evaluate(batch.ids_BT, batch.lengths_B, batch.action_mask_BT)
    expected = -float(got.logprobs_BT[batch.action_mask_BT].mean())
    found = Learner(policy, None, PPO(), replace(PLAIN, token_budget=budget)).imitate(batch)
    assert found == pytest.approx(expected, rel=1e-4)
