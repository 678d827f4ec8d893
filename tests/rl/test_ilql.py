"""ILQL: each loss against brute force, and a tiny log from which it learns what nobody in it did from end to end."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from dialog_rl.errors import ConfigError, TrainingError
from dialog_rl.rl.ilql import (
    ILQLConfig,
    ILQLHeads,
    ILQLLearner,
    Transitions,
    advantage_logits,
    conservative_loss,
    expectile_loss,
    losses,
    q_targets,
)
from dialog_rl.rl.language_env import LanguageEnv, generated
from dialog_rl.rl.q_values import value_iteration


@pytest.mark.parametrize("expectile", [0.1, 0.5, 0.9])
def test_the_expectile_balances_what_lies_above_against_what_lies_below(expectile: float) -> None:
    q_N = torch.tensor([0.0, 1.0, 2.0, 7.0], dtype=torch.float64)
    tried = torch.linspace(0, 7, 70_001, dtype=torch.float64)
    best = tried[torch.stack([expectile_loss(q_N - v, expectile).sum() for v in tried[::70]]).argmin() * 70]
    above, below = (q_N - best).clamp(min=0).sum(), (best - q_N).clamp(min=0).sum()
    assert float(expectile * above - (1 - expectile) * below) == pytest.approx(0.0, abs=0.05)


def test_the_middle_expectile_is_the_mean() -> None:
    q_N, v = torch.tensor([1.0, 2.0, 6.0]), torch.tensor(3.0, requires_grad=True)
    expectile_loss(q_N - v, 0.5).sum().backward()
    assert v.grad is not None and float(v.grad) == pytest.approx(0.0, abs=1e-6)


def test_a_target_looks_to_the_next_token_of_its_own_episode() -> None:
    got = q_targets(
        torch.tensor([0.0, 1.0, 0.0, 2.0]),
        torch.tensor([9.0, 4.0, 8.0, 7.0]),
        torch.tensor([False, True, False, True]),
        torch.tensor([0.0, 0.0, 0.0, 3.0]),
        gamma=0.5,
    )
    assert got.tolist() == [2.0, 1.0, 3.5, 3.5]


def test_the_conservative_term_is_the_log_of_a_sum_less_what_was_said() -> None:
    q_NV = torch.tensor([[1.0, 2.0, 3.0]])
    by_hand = torch.log(torch.exp(q_NV).sum()) - 2.0
    assert float(conservative_loss(q_NV, torch.tensor([1]))) == pytest.approx(float(by_hand))


def test_decoding_by_advantage_is_another_output_matrix() -> None:
    g = torch.Generator().manual_seed(0)
    hidden_ND, output_VD, q_VD = (torch.randn(n, 4, generator=g) for n in (5, 6, 6))
    values_N = torch.randn(5, generator=g)
    by_advantage = advantage_logits(hidden_ND @ output_VD.T, hidden_ND @ q_VD.T, values_N, beta=2.0).softmax(-1)
    assert torch.allclose(by_advantage, (hidden_ND @ (output_VD + 2.0 * q_VD).T).softmax(-1), atol=1e-6)


def test_the_gradient_agrees_with_finite_differences() -> None:
    seen, heads = some_transitions(), ILQLHeads(3, 4).double()
    torch.nn.init.normal_(heads.q.weight, generator=torch.Generator().manual_seed(1))
    heads.follow(1.0)
    config = ILQLConfig(expectile=0.8)

    def total() -> Tensor:
        found = losses(heads, seen, config)
        return found.q + config.conservative * found.conservative

    total().backward()
    assert heads.q.weight.grad is not None
    grad, eps = heads.q.weight.grad.clone(), 1e-6
    with torch.no_grad():
        for at in [(0, 0), (1, 2), (3, 1)]:
            heads.q.weight[at] += eps
            above = float(total())
            heads.q.weight[at] -= 2 * eps
            below = float(total())
            heads.q.weight[at] += eps
            assert float(grad[at]) == pytest.approx((above - below) / (2 * eps), rel=1e-5, abs=1e-8)


def some_transitions() -> Transitions:
    g = torch.Generator().manual_seed(0)
    return Transitions(
        hidden_ND=torch.randn(6, 3, generator=g, dtype=torch.float64),
        ids_N=torch.tensor([0, 1, 2, 3, 0, 1]),
        rewards_N=torch.randn(6, generator=g, dtype=torch.float64),
        last_N=torch.tensor([False, False, True, False, False, True]),
        end_values_N=torch.zeros(6, dtype=torch.float64),
    )


def logged(env: LanguageEnv, episodes: int, *, seed: int = 0) -> tuple[Transitions, float]:
    """Random sentences, a state's hidden vector being its unit vector; and what they earned on average."""
    g = torch.Generator().manual_seed(seed)
    states: list[int] = []
    words: list[int] = []
    rewards: list[float] = []
    for _ in range(episodes):
        state: int | None = 0
        while state is not None:
            word = int(torch.randint(len(env.words), (), generator=g))
            states.append(state)
            words.append(word)
            reward, state = env.step(state, word)
            rewards.append(reward)
    count = len(states)
    last_N = torch.arange(count) % env.length == env.length - 1
    return Transitions(
        hidden_ND=torch.eye(env.states)[states], ids_N=torch.tensor(words), rewards_N=torch.tensor(rewards),
        last_N=last_N, end_values_N=torch.zeros(count),
    ), sum(rewards) / episodes  # fmt: skip


def learnt(env: LanguageEnv, seen: Transitions, config: ILQLConfig, *, steps: int = 400) -> ILQLHeads:
    heads = ILQLHeads(env.states, len(env.words))
    learner = ILQLLearner(heads, config)
    for _ in range(steps):
        learner.update(seen)
    return heads


def test_without_interaction_it_beats_the_behaviour_that_made_the_log() -> None:
    env = generated(4, 3, seed=2)
    seen, behaviour = logged(env, 300)
    config = ILQLConfig(gamma=1.0, expectile=0.95, conservative=0.01, target_rate=0.1, learning_rate=3e-2)
    heads = learnt(env, seen, config)
    best = float(value_iteration(env)[0].max())
    _, earned = env.say(heads.q.weight.detach().T)
    assert earned > behaviour + 0.8 * (best - behaviour)


def test_at_the_middle_expectile_it_values_the_behaviour_as_it_is() -> None:
    env = generated(3, 2, seed=2)
    seen, behaviour = logged(env, 1000)
    config = ILQLConfig(gamma=1.0, expectile=0.5, conservative=0.0, target_rate=0.1, learning_rate=2e-2)
    heads = learnt(env, seen, config, steps=300)
    assert float(heads.values(torch.eye(env.states))[0].detach()) == pytest.approx(behaviour, abs=0.05)


def test_what_is_not_finite_is_refused() -> None:
    seen = some_transitions()._replace(rewards_N=torch.full((6,), float("nan"), dtype=torch.float64))
    with pytest.raises(TrainingError, match="the loss is nan"):
        ILQLLearner(ILQLHeads(3, 4).double()).update(seen)


def test_an_expectile_of_one_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"expectile 1\.0"):
        ILQLConfig(expectile=1.0)
