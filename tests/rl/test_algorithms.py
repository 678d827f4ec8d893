"""Every algorithm on a bandit of three actions whose policy gradient is known in closed form.

The policy is (1/2, 1/4, 1/4) and a batch holds its actions in just these proportions, so that a mean over the batch is
an exact expectation, not an estimate.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from dialog_rl.rl.actor_critic import TokenEvaluation
from dialog_rl.rl.algorithm import Algorithm
from dialog_rl.rl.algorithms.a2c import A2C, A2CConfig
from dialog_rl.rl.algorithms.grpo import GRPO, GRPOConfig
from dialog_rl.rl.algorithms.ppo import PPO
from dialog_rl.rl.algorithms.reinforce import Baseline, Reinforce, ReinforceConfig
from dialog_rl.rl.algorithms.reinforce_pp import ReinforcePP
from dialog_rl.rl.algorithms.rloo import RLOO
from dialog_rl.rl.batch import EpisodeBatch
from dialog_rl.rl.choices import KLEstimator, Level
from dialog_rl.rl.kl import KLConfig, KLPlace
from dialog_rl.rl.learner import Learner
from dialog_rl.rl.learner_config import LearnerConfig
from dialog_rl.rl.update_stats import UpdateEnd
from dialog_rl.scoring import ScoredEpisode

PI = (0.5, 0.25, 0.25)
DRAWN = (0, 0, 1, 2)
REWARDS = (1.0, 0.0, 0.4)
PLAIN = LearnerConfig(kl=KLConfig(coef=0.0), epochs=1, max_grad_norm=1e9, kl_discard=math.inf, max_mismatch=1e-3)
Build = Callable[..., ScoredEpisode]


class Bandit(nn.Module):
    def __init__(self, pi: Sequence[float] = PI, value: float = 0.3) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.tensor(pi).log())
        self.value_head = nn.Parameter(torch.tensor(value))

    def evaluate(
        self, ids_BT: Tensor, lengths_B: Tensor, action_mask_BT: Tensor, *, temperature: float = 1.0
    ) -> TokenEvaluation:
        logp_V = torch.log_softmax(self.logits / temperature, 0)
        values_BT = self.value_head.expand(ids_BT.shape)
        return TokenEvaluation(logp_V[ids_BT], torch.zeros_like(values_BT), values_BT, values_BT[:, 0])


def batch_of(scored: Build, rewards: Sequence[float] = REWARDS, scenarios: str = "ssss") -> EpisodeBatch:
    return EpisodeBatch.from_scored(
        [
            scored([([0], [a])], reward=rewards[a], logprobs=[[math.log(PI[a])]], scenario=s)
            for a, s in zip(DRAWN, scenarios, strict=True)
        ],
        0,
    )


def gradient(policy: Bandit, algorithm: Algorithm, batch: EpisodeBatch, config: LearnerConfig = PLAIN) -> list[float]:
    caught: list[Tensor] = []
    reference = Bandit((1 / 3, 1 / 3, 1 / 3)) if config.kl.coef else None
    learner = Learner(policy, reference, algorithm, config)
    learner._optimizer.register_step_pre_hook(
        lambda *_: caught.append(torch.zeros(3) if policy.logits.grad is None else policy.logits.grad.clone())
    )
    learner.update(batch)
    return caught[0].tolist() if caught else [0.0, 0.0, 0.0]


def exact(scale: float = 1.0) -> list[float]:
    """d(-E[reward])/d(logits), by hand: -pi_a (r_a - E[r])."""
    mean = sum(p * r for p, r in zip(PI, REWARDS))
    return [-scale * p * (r - mean) for p, r in zip(PI, REWARDS)]


STD = math.sqrt(sum(p * r * r for p, r in zip(PI, REWARDS)) - sum(p * r for p, r in zip(PI, REWARDS)) ** 2)

CASES: dict[str, tuple[Algorithm, float]] = {
    "reinforce without a baseline": (Reinforce(ReinforceConfig(baseline=Baseline.NONE)), 1.0),
    "reinforce with the mean": (Reinforce(), 1.0),
    "reinforce with a critic": (Reinforce(ReinforceConfig(baseline=Baseline.CRITIC)), 1.0),
    "reinforce++": (ReinforcePP(), 1 / STD),
    "a2c": (A2C(), 1.0),
    "a2c, by steps": (A2C(A2CConfig(level=Level.STEP)), 1.0),
    "ppo, whitened": (PPO(), 1 / STD),
    "rloo, of four": (RLOO(), 4 / 3),
    "grpo": (GRPO(), 1 / STD),
    "dr. grpo": (GRPO(GRPOConfig(std_floor=None)), 1.0),
}


@pytest.mark.parametrize("case", CASES)
def test_the_first_gradient_is_the_exact_policy_gradient(scored: Build, case: str) -> None:
    algorithm, scale = CASES[case]
    assert gradient(Bandit(), algorithm, batch_of(scored)) == pytest.approx(exact(scale), abs=1e-6)


@pytest.mark.parametrize("algorithm", [A2C(), Reinforce(ReinforceConfig(baseline=Baseline.CRITIC)), PPO()])
def test_a_critic_is_pulled_towards_the_returns(scored: Build, algorithm: Algorithm) -> None:
    policy = Bandit(value=0.0)
    caught: list[float] = []
    learner = Learner(policy, None, algorithm, PLAIN)
    learner._optimizer.register_step_pre_hook(lambda *_: caught.append(float(policy.value_head.grad or 0)))
    learner.update(batch_of(scored))
    assert caught == pytest.approx([-0.5 * 0.6])  # .5 times the mean of V - return; the returns' mean is .6


@pytest.mark.parametrize("algorithm", [RLOO(), GRPO(), GRPO(GRPOConfig(std_floor=None))])
def test_a_scenario_that_ran_once_teaches_nothing(scored: Build, algorithm: Algorithm) -> None:
    policy = Bandit()
    stats = Learner(policy, None, algorithm, PLAIN).update(batch_of(scored, scenarios="abcd"))
    assert (stats.end, stats.steps) == (UpdateEnd.NOTHING_TO_LEARN, 0)
    assert torch.equal(policy.logits, Bandit().logits)
    one_pair = gradient(Bandit(), algorithm, batch_of(scored, scenarios="abcc"))
    assert one_pair[1] > 0 > one_pair[2]  # action 1 earned less than action 2, with which it is compared


@pytest.mark.parametrize("name", ["reinforce", "a2c", "rloo"])
def test_algorithms_without_a_ratio_see_their_episodes_once(scored: Build, name: str) -> None:
    algorithm = {"reinforce": Reinforce(), "a2c": A2C(), "rloo": RLOO()}[name]
    assert Learner(Bandit(), None, algorithm, replace(PLAIN, epochs=5)).update(batch_of(scored)).epochs == 1


BETA = 0.7


def held_to_reference(estimator: KLEstimator, place: KLPlace) -> LearnerConfig:
    return replace(PLAIN, kl=KLConfig(coef=BETA, estimator=estimator, place=place))


@pytest.mark.parametrize("algorithm", [Reinforce(), A2C(), GRPO(GRPOConfig(std_floor=None))])
@pytest.mark.parametrize(("estimator", "place"), [(KLEstimator.K1, KLPlace.REWARD), (KLEstimator.K2, KLPlace.LOSS)])
def test_the_penalised_optimum_is_the_reference_tilted_by_the_reward(
    scored: Build, algorithm: Algorithm, estimator: KLEstimator, place: KLPlace
) -> None:
    """E[r] - beta KL(pi || ref) is largest at pi ~ ref exp(r / beta): with the rewards that make it (1/2, 1/4, 1/4)."""
    rewards = [BETA * math.log(p / (1 / 3)) for p in PI]
    config = held_to_reference(estimator, place)
    assert gradient(Bandit(), algorithm, batch_of(scored, rewards), config) == pytest.approx([0, 0, 0], abs=1e-6)
    assert max(map(abs, gradient(Bandit(), algorithm, batch_of(scored, REWARDS), config))) > 0.01


def test_k3_in_the_loss_has_another_optimum(scored: Build) -> None:
    """E[r] - beta KL(ref || pi) is largest where r + beta ref / pi is the same for all actions."""
    rewards = [-BETA * (1 / 3) / p for p in PI]
    config = held_to_reference(KLEstimator.K3, KLPlace.LOSS)
    assert gradient(Bandit(), Reinforce(), batch_of(scored, rewards), config) == pytest.approx([0, 0, 0], abs=1e-6)


def test_off_policy_tokens_are_weighed_by_the_truncated_ratio(scored: Build) -> None:
    """Sampled uniformly, learned under pi: each action counts pi / (1/3), but at most 1.2."""
    episodes = [scored([([0], [a])], reward=REWARDS[a], logprobs=[[math.log(1 / 3)]]) for a in range(3)]
    config = replace(PLAIN, max_mismatch=math.inf, max_mismatch_k3=math.inf, importance_cap=1.2)
    algorithm = Reinforce(ReinforceConfig(baseline=Baseline.NONE))
    got = gradient(Bandit(), algorithm, EpisodeBatch.from_scored(episodes, 0), config)
    weight = [min(p * 3, 1.2) * r / 3 for p, r in zip(PI, REWARDS)]
    assert got == pytest.approx([-(w - p * sum(weight)) for w, p in zip(weight, PI)], abs=1e-6)
