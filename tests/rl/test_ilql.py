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
    choices,
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


def test_a_target_looks_to_the_first_token_of_its_episodes_next_step() -> None:
    got = q_targets(
        torch.tensor([0.0, 1.0, 0.0, 2.0]),
        torch.tensor([9.0, 4.0, 8.0, 7.0, 3.0]),
        torch.tensor([2, 2, -1, 4]),
        gamma=0.5,
    )
    assert got.tolist() == [4.0, 5.0, 0.0, 3.5]


def test_the_conservative_term_is_what_a_log_of_a_sum_is_for_small_advantages() -> None:
    g = torch.Generator().manual_seed(0)
    prior_V = torch.randn(6, generator=g, dtype=torch.float64).softmax(-1)
    advantages_V = 1e-3 * torch.randn(6, generator=g, dtype=torch.float64)
    advantages_V -= (prior_V * advantages_V).sum()
    exact = torch.log((prior_V * advantages_V.exp()).sum())  # the mean of what was said is 0
    got = (prior_V * conservative_loss(advantages_V)).sum()
    assert float(got) == pytest.approx(float(exact), rel=1e-2)


def test_the_policys_mean_advantage_is_nought() -> None:
    g = torch.Generator().manual_seed(0)
    hidden_D, output_VD = torch.randn(4, generator=g), torch.randn(6, 4, generator=g)
    heads = some_heads(4)
    each_V = heads.q(hidden_D.expand(6, 4), choices(hidden_D.expand(6, 4), torch.arange(6), output_VD))[1]
    assert float(((output_VD @ hidden_D).softmax(-1) * each_V).sum().detach()) == pytest.approx(0.0, abs=1e-6)


def test_a_kernel_that_is_a_number_is_so_many_log_probabilities() -> None:
    g = torch.Generator().manual_seed(0)
    hidden_ND, output_VD = torch.randn(5, 4, generator=g), torch.randn(6, 4, generator=g)
    ids_N = torch.tensor([0, 5, 2, 2, 3])
    heads = ILQLHeads(4)
    heads.scale.data.fill_(0.25)
    logprobs_NV = (hidden_ND @ output_VD.T).log_softmax(-1)
    entropy_N = -(logprobs_NV.exp() * logprobs_NV).sum(-1)
    by_hand_N = 0.25 * (logprobs_NV[torch.arange(5), ids_N] + entropy_N)
    assert torch.allclose(heads.q(hidden_ND, choices(hidden_ND, ids_N, output_VD))[1], by_hand_N, atol=1e-6)


def test_decoding_by_advantage_is_another_output_matrix() -> None:
    g = torch.Generator().manual_seed(0)
    hidden_ND, output_VD = torch.randn(5, 4, generator=g), torch.randn(6, 4, generator=g)
    heads = some_heads(4)
    advantages_NV = torch.stack(
        [heads.q(hidden_ND, choices(hidden_ND, torch.full((5,), a), output_VD))[1] for a in range(6)], -1
    )
    by_advantage_NV = (hidden_ND @ output_VD.T + 2.0 * advantages_NV).softmax(-1)
    output_VD = output_VD @ (torch.eye(4) + 2.0 * heads.kernel_DD)
    assert torch.allclose(by_advantage_NV, (hidden_ND @ output_VD.T).softmax(-1), atol=1e-6)


@pytest.mark.parametrize("of", ["scale", "bend_DD"])
def test_the_gradient_agrees_with_finite_differences(of: str) -> None:
    seen, heads = some_transitions(), some_heads(3).double()
    config = ILQLConfig(expectile=0.8)

    def total() -> Tensor:
        found = losses(heads, seen, config)
        return found.q + config.conservative * found.conservative

    total().backward()
    parameter = heads.get_parameter(of)
    assert parameter.grad is not None
    flat, grad, eps = parameter.data.view(-1), parameter.grad.clone().view(-1), 1e-6
    for at in range(len(flat)):
        flat[at] += eps
        above = float(total().detach())
        flat[at] -= 2 * eps
        below = float(total().detach())
        flat[at] += eps
        assert float(grad[at]) == pytest.approx((above - below) / (2 * eps), rel=1e-5, abs=1e-8)


def some_heads(width: int) -> ILQLHeads:
    heads = ILQLHeads(width)
    torch.nn.init.normal_(heads.bend_DD, generator=torch.Generator().manual_seed(1))
    heads.scale.data.fill_(0.5)
    heads.follow(1.0)
    return heads


def some_transitions() -> Transitions:
    g = torch.Generator().manual_seed(0)
    return Transitions(
        hidden_ND=torch.randn(6, 3, generator=g, dtype=torch.float64),
        choice_ND=torch.randn(6, 3, generator=g, dtype=torch.float64),
        returns_N=torch.randn(6, generator=g, dtype=torch.float64),
        following_N=torch.tensor([1, 2, -1, 4, 5, 6]),
        ends_ED=torch.randn(1, 3, generator=g, dtype=torch.float64),
    )


def logged(env: LanguageEnv, episodes: int, *, seed: int = 0) -> tuple[Transitions, Tensor, float]:
    """Random sentences, of a policy whose output matrix is 0; a state's hidden vector is its unit vector.

    Returns with them a row for each word, so that a kernel is a table, and what they earned on average.
    """
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
    place_N = torch.arange(len(states))
    rows_VD = torch.eye(len(env.words), env.states)
    return Transitions(
        hidden_ND=torch.eye(env.states)[states], choice_ND=rows_VD[words] - rows_VD.mean(0),
        returns_N=torch.tensor(rewards),
        following_N=torch.where(place_N % env.length == env.length - 1, -1, place_N + 1),
        ends_ED=torch.zeros(0, env.states),
    ), rows_VD, sum(rewards) / episodes  # fmt: skip


def learnt(env: LanguageEnv, seen: Transitions, config: ILQLConfig, *, steps: int = 400) -> ILQLHeads:
    heads = ILQLHeads(env.states)
    learner = ILQLLearner(heads, config)
    for _ in range(steps):
        learner.update(seen)
    return heads


def test_without_interaction_it_beats_the_behaviour_that_made_the_log() -> None:
    env = generated(4, 3, seed=2)
    seen, rows_VD, behaviour = logged(env, 300)
    config = ILQLConfig(expectile=0.95, conservative=0.01, target_rate=0.1, learning_rate=3e-2, bend_rate=3e-2)
    heads = learnt(env, seen, config)
    best = float(value_iteration(env)[0].max())
    _, earned = env.say((rows_VD @ heads.kernel_DD.detach()).T)
    assert earned > behaviour + 0.8 * (best - behaviour)


def test_at_the_middle_expectile_it_values_the_behaviour_as_it_is() -> None:
    env = generated(3, 2, seed=2)
    seen, _, behaviour = logged(env, 1000)
    config = ILQLConfig(expectile=0.5, conservative=0.0, target_rate=0.1, learning_rate=2e-2, bend_rate=2e-2)
    heads = learnt(env, seen, config, steps=300)
    assert float(heads.values(torch.eye(env.states))[0].detach()) == pytest.approx(behaviour, abs=0.05)


def test_what_is_not_finite_is_refused() -> None:
    seen = some_transitions()._replace(returns_N=torch.full((6,), float("nan"), dtype=torch.float64))
    with pytest.raises(TrainingError, match="the loss is nan"):
        ILQLLearner(ILQLHeads(3).double()).update(seen)


def test_an_expectile_of_one_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"expectile 1\.0"):
        ILQLConfig(expectile=1.0)
