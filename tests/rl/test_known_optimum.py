"""Small problems whose optimum is worked out by hand: learning has to arrive there, policy and critic both.

The tool problem. A digit out of four is hidden. An action is two tokens. `CALL LOOKUP` reveals the digit, at a cost,
and the agent acts again; `digit END` is the answer and ends the episode, with reward 1 if it is right; anything else
ends it with 0. Looking up first is worth gamma - cost, guessing 1/4.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from dialog_rl.rl.algorithm import Algorithm
from dialog_rl.rl.algorithms.ppo import PPO
from dialog_rl.rl.algorithms.ppo_config import PPOConfig
from dialog_rl.rl.batch import EpisodeBatch
from dialog_rl.rl.choices import Level
from dialog_rl.rl.kl import KLConfig
from dialog_rl.rl.learner import Learner
from dialog_rl.rl.learner_config import LearnerConfig
from dialog_rl.scoring import ScoredEpisode

PAD, ASK, CALL, LOOKUP, END, DIGIT = 0, 1, 2, 3, 4, 5
Build = Callable[..., ScoredEpisode]
FAST = LearnerConfig(learning_rate=1e-2, value_learning_rate=3e-2, kl=KLConfig(coef=0.0), epochs=2,
                     minibatch_episodes=96, kl_stop=0.1, kl_discard=float("inf"), max_mismatch=1e-3)  # fmt: skip


def act(policy: Any, prefix_BT: Tensor, g: torch.Generator) -> tuple[list[list[int]], list[list[float]]]:
    """Two tokens for each row, with their log-probs."""
    ids: list[Tensor] = []
    logprobs: list[Tensor] = []
    for _ in range(2):
        logp_BV = policy.next_logprobs(torch.cat([prefix_BT, *ids], 1))
        ids.append(torch.multinomial(logp_BV.exp(), 1, generator=g))
        logprobs.append(logp_BV.gather(1, ids[-1]))
    return torch.cat(ids, 1).tolist(), torch.cat(logprobs, 1).tolist()


def play(policy: Any, scored: Build, count: int, g: torch.Generator, *, cost: float = 0.0) -> list[ScoredEpisode]:
    digits = torch.randint(4, (count,), generator=g).tolist()
    first, first_logprobs = act(policy, torch.full((count, 1), ASK), g)
    asked = [n for n in range(count) if first[n] == [CALL, LOOKUP]]
    prefix = torch.tensor([[ASK, *first[n], DIGIT + digits[n], ASK] for n in asked]).view(-1, 5)
    second, second_logprobs = act(policy, prefix, g) if asked else ([], [])
    out: list[ScoredEpisode] = []
    for n in range(count):
        steps, logprobs, rewards = [([ASK], first[n])], [first_logprobs[n]], [0.0]
        if n in asked:
            steps.append(([DIGIT + digits[n], ASK], second[asked.index(n)]))
            logprobs.append(second_logprobs[asked.index(n)])
            rewards = [-cost, 0.0]
        right = steps[-1][1] == [DIGIT + digits[n], END]
        out.append(scored(steps, reward=float(right), step_rewards=rewards, logprobs=logprobs))
    return out


Steps = list[tuple[list[int], list[int]]]
LOOKED_UP: list[Steps] = [[([ASK], [CALL, LOOKUP]), ([d, ASK], [d, END])] for d in range(DIGIT, DIGIT + 4)]
GUESSED: list[Steps] = [[([ASK], [d, END])] for d in range(DIGIT, DIGIT + 4)]
MISREAD: list[Steps] = [[*one[:1], ([d, ASK], one[1][1])] for one in LOOKED_UP for d in range(DIGIT, DIGIT + 4)]
"""Looked up, and then answered with any digit."""


def apprentice(tiny_lm: Any, scored: Build, shown: list[Steps]) -> Any:
    """A policy that has imitated demonstrations, one as often as the other."""
    policy = tiny_lm(vocabulary=9, width=16)
    learner = Learner(policy, None, PPO(), replace(FAST, imitation_coef=1.0))
    batch = EpisodeBatch.from_scored([], PAD, replayed=[scored(steps) for steps in shown])
    for _ in range(40):
        learner.update(batch)
    return policy


def learn(policy: Any, scored: Build, algorithm: Algorithm, *, updates: int = 40, cost: float = 0.0) -> None:
    g = torch.Generator().manual_seed(0)
    learner = Learner(policy, None, algorithm, FAST, schedule=lambda n: 1 - 0.9 * n / updates)
    for _ in range(updates):
        learner.update(EpisodeBatch.from_scored(play(policy, scored, 192, g, cost=cost), PAD))


def value(policy: Any, *prefix: int) -> float:
    ids = torch.tensor([[*prefix, PAD]])
    with torch.no_grad():
        got = policy.evaluate(ids, torch.tensor([len(prefix)]), torch.ones_like(ids, dtype=torch.bool))
    return float(got.values_BT[0, len(prefix)])


def asks(policy: Any) -> float:
    """Probability of looking up first."""
    first = policy.next_logprobs(torch.tensor([[ASK]]))[0, CALL]
    second = policy.next_logprobs(torch.tensor([[ASK, CALL]]))[0, LOOKUP]
    return float((first + second).exp())


def success(policy: Any, scored: Build) -> float:
    episodes = play(policy, scored, 1000, torch.Generator().manual_seed(1))
    return sum(one.reward for one in episodes) / len(episodes)


def test_an_apprentice_does_as_it_was_shown(tiny_lm: Any, scored: Build) -> None:
    policy = apprentice(tiny_lm, scored, [*LOOKED_UP, *GUESSED])
    assert asks(policy) == pytest.approx(0.5, abs=0.05)
    assert success(policy, scored) == pytest.approx(0.5 * 1 + 0.5 * 0.25, abs=0.05)


@pytest.mark.parametrize("level", list(Level))
def test_an_agent_learns_to_answer_what_it_was_told(tiny_lm: Any, scored: Build, level: Level) -> None:
    policy = apprentice(tiny_lm, scored, MISREAD)
    assert success(policy, scored) == pytest.approx(0.25, abs=0.05)
    learn(policy, scored, PPO(PPOConfig(level=level)))
    assert success(policy, scored) > 0.98
    assert value(policy, ASK) == pytest.approx(1.0, abs=0.1)


@pytest.mark.parametrize(
    ("cost", "gamma", "best", "worth"),
    [
        (0.2, 1.0, 1.0, 0.8),  # 1 - .2 by looking up, .25 by guessing
        (0.9, 1.0, 0.0, 0.25),  # 1 - .9, .25
        (0.0, 0.6, 1.0, 0.6),  # gamma once, for the one step that the reward is away
        (0.0, 0.1, 0.0, 0.25),  # .1, .25
    ],
)
def test_the_better_way_is_taken(
    tiny_lm: Any, scored: Build, cost: float, gamma: float, best: float, worth: float
) -> None:
    policy = apprentice(tiny_lm, scored, [*LOOKED_UP, *GUESSED])
    learn(policy, scored, PPO(PPOConfig(level=Level.STEP, gamma=gamma)), cost=cost)
    assert asks(policy) == pytest.approx(best, abs=0.03)
    assert value(policy, ASK) == pytest.approx(worth, abs=0.12)
    if best:
        assert value(policy, ASK, CALL, LOOKUP, DIGIT + 2, ASK) == pytest.approx(1.0, abs=0.1)
