"""Words by Q-learning: every way of learning arrives at the values that brute force finds."""

from __future__ import annotations

from itertools import product

import pytest
import torch

from dialog_rl.rl.language_env import LanguageEnv, generated, i_love_you
from dialog_rl.rl.q_values import DQN, QLearning, Replay, td_targets, value_iteration


def best_by_force(env: LanguageEnv, said: tuple[int, ...] = ()) -> float:
    """The most that can still be earned, over all sentences there are."""
    best = float("-inf")
    for rest in product(range(len(env.words)), repeat=env.length - len(said)):
        state, earned = env.state(said), 0.0
        for word in rest:
            assert state is not None
            reward, state = env.step(state, word)
            earned += reward
        best = max(best, earned)
    return best


def q_by_force(env: LanguageEnv) -> torch.Tensor:
    q_SV = torch.zeros(env.states, len(env.words))
    for count in range(env.length):
        for said in product(range(len(env.words)), repeat=count):
            state = env.state(said)
            assert state is not None
            for word in range(len(env.words)):
                ahead = best_by_force(env, (*said, word)) if count + 1 < env.length else 0.0
                q_SV[state, word] = env.step(state, word)[0] + ahead
    return q_SV


@pytest.mark.parametrize("env", [i_love_you(), generated(4, 4, seed=1)])
def test_value_iteration_finds_what_trying_every_sentence_finds(env: LanguageEnv) -> None:
    assert torch.allclose(value_iteration(env), q_by_force(env), atol=1e-5)


def test_the_best_sentence_is_i_love_you() -> None:
    env = i_love_you()
    assert env.say(value_iteration(env)) == (("我", "爱", "你"), 3.0)


def test_gamma_discounts_what_comes_later() -> None:
    assert float(value_iteration(i_love_you(), gamma=0.5)[0, 0]) == pytest.approx(1 + 0.5 + 0.25)


def test_tabular_q_learning_has_the_same_q_to_a_thousandth() -> None:
    env = i_love_you()
    q_SV = QLearning().learn(env, seed=0)
    assert float((q_SV - value_iteration(env)).abs().max()) < 1e-3


def test_tabular_q_learning_masters_a_larger_language() -> None:
    env = generated(12, 4, seed=3)
    q_SV = QLearning(episodes=6000, epsilon=0.8).learn(env, seed=0)
    best_SV = value_iteration(env)
    assert float((q_SV - best_SV).abs().max()) < 1e-3
    assert env.say(q_SV)[1] == pytest.approx(float(best_SV[0].max()))


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_q_network_has_the_same_q_to_a_thousandth(seed: int) -> None:
    env = i_love_you()
    q_SV = DQN().learn(env, seed=seed)
    assert env.say(q_SV)[0] == ("我", "爱", "你")
    assert float((q_SV - value_iteration(env)).abs().max()) < 1e-3


def test_nothing_follows_the_end_of_a_sentence() -> None:
    q_SV = torch.tensor([[5.0, 7.0], [1.0, 2.0]])
    goal_N = td_targets(torch.tensor([1.0, 1.0]), torch.tensor([-1, 0]), q_SV, gamma=0.5)
    assert goal_N.tolist() == [1.0, 4.5]


def test_replay_forgets_the_oldest() -> None:
    replay = Replay(2)
    for reward in (1.0, 2.0, 3.0):
        replay.add(0, 0, reward, None)
    drawn = set(replay.draw(64, torch.Generator().manual_seed(0))[2].tolist())
    assert drawn == {2.0, 3.0}


def test_rewards_of_another_shape_are_refused() -> None:
    with pytest.raises(ValueError, match=r"expected .*rewards \[3, 2\]"):
        LanguageEnv(words=("a", "b"), length=2, rewards_SV=torch.zeros(2, 2))


def test_made_up_words_are_all_different() -> None:
    assert len(set(generated(200, 1, seed=0).words)) == 200
