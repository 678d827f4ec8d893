"""Learning action values on `LanguageEnv`: value iteration, tabular Q-learning, and a Q-network with replay."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dialog_rl.rl.language_env import LanguageEnv

Progress = Callable[[int, Tensor], None]
"""Told the episodes so far and the present Q, now and then."""


def _quiet(episodes: int, q_SV: Tensor) -> None:
    return


def value_iteration(env: LanguageEnv, *, gamma: float = 1.0, tolerance: float = 1e-9) -> Tensor:
    """Q* by Bellman's optimality backup of the whole table until it stands still. It needs to know the rewards."""
    rewards_SV, next_SV = env.tables()
    rewards_SV = rewards_SV.double()
    q_SV = torch.zeros_like(rewards_SV)
    while True:
        ahead_SV = torch.where(next_SV >= 0, q_SV.max(1).values[next_SV.clamp(min=0)], 0.0)
        new_SV = rewards_SV + gamma * ahead_SV
        if float((new_SV - q_SV).abs().max()) <= tolerance:
            return new_SV.float()
        q_SV = new_SV


@dataclass(frozen=True, slots=True, kw_only=True)
class QLearning:
    """Watkins 1989. The environment is deterministic, so a constant step size converges."""

    episodes: int = 1500
    step_size: float = 0.5
    epsilon: float = 0.5
    """Chance of a random word. Q-learning is off-policy: it learns the best from however much is tried."""
    gamma: float = 1.0
    report_every: int = 50

    def learn(self, env: LanguageEnv, *, seed: int, progress: Progress = _quiet) -> Tensor:
        g = torch.Generator().manual_seed(seed)
        q = [[0.0] * len(env.words) for _ in range(env.states)]
        for episode in range(1, self.episodes + 1):
            state: int | None = 0
            draws = torch.rand(env.length, 2, generator=g).tolist()
            for explore, which in draws:
                assert state is not None
                row = q[state]
                word = int(which * len(row)) if explore < self.epsilon else row.index(max(row))
                reward, after = env.step(state, word)
                ahead = 0.0 if after is None else max(q[after])
                row[word] += self.step_size * (reward + self.gamma * ahead - row[word])
                state = after
            if episode % self.report_every == 0:
                progress(episode, torch.tensor(q))
        return torch.tensor(q)


class Replay:
    """A ring of transitions, drawn from uniformly."""

    def __init__(self, size: int) -> None:
        self._state, self._word, self._next = (torch.zeros(size, dtype=torch.long) for _ in range(3))
        self._reward = torch.zeros(size)
        self._added = 0

    def __len__(self) -> int:
        return min(self._added, len(self._state))

    def add(self, state: int, word: int, reward: float, after: int | None) -> None:
        at = self._added % len(self._state)
        self._state[at], self._word[at], self._reward[at] = state, word, reward
        self._next[at] = -1 if after is None else after
        self._added += 1

    def draw(self, count: int, g: torch.Generator) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """State, word, reward, next state (-1 at the end); with replacement."""
        chosen = torch.randint(len(self), (count,), generator=g)
        return self._state[chosen], self._word[chosen], self._reward[chosen], self._next[chosen]


def td_targets(reward_N: Tensor, next_N: Tensor, target_q_SV: Tensor, *, gamma: float) -> Tensor:
    """r + γ max Q(next), where nothing follows the end."""
    ahead_N = target_q_SV.max(1).values[next_N.clamp(min=0)]
    return reward_N + gamma * torch.where(next_N >= 0, ahead_N, 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class DQN:
    """Mnih et al. 2015: a network learns from replayed transitions towards a copy of itself that stands still."""

    episodes: int = 400
    hidden: int = 64
    batch: int = 64
    replay: int = 5000
    target_every: int = 50
    """Gradient steps between two copies."""
    learning_rate: float = 3e-3
    """Falls linearly to nothing, or the last digits would never settle."""
    epsilon: float = 0.5
    gamma: float = 1.0
    steps_per_episode: int = 3
    report_every: int = 25

    def learn(self, env: LanguageEnv, *, seed: int, progress: Progress = _quiet) -> Tensor:
        g = torch.Generator().manual_seed(seed)
        network = _network(env, self.hidden, seed)
        target = copy.deepcopy(network)
        optimizer = torch.optim.Adam(network.parameters(), lr=self.learning_rate)
        replay, every = Replay(self.replay), torch.eye(env.states)
        steps = 0
        for episode in range(1, self.episodes + 1):
            self._play(env, network, every, replay, g)
            for group in optimizer.param_groups:
                group["lr"] = self.learning_rate * (1 - (episode - 1) / self.episodes)
            for _ in range(self.steps_per_episode):
                if steps % self.target_every == 0:
                    target.load_state_dict(network.state_dict())
                self._step(network, target, optimizer, every, replay, g)
                steps += 1
            if episode % self.report_every == 0:
                progress(episode, network(every).detach())
        return network(every).detach()

    @torch.no_grad()
    def _play(self, env: LanguageEnv, network: nn.Module, every: Tensor, replay: Replay, g: torch.Generator) -> None:
        state: int | None = 0
        q_SV = network(every)
        while state is not None:
            explore, which = torch.rand(2, generator=g).tolist()
            word = int(which * len(env.words)) if explore < self.epsilon else int(q_SV[state].argmax())
            reward, after = env.step(state, word)
            replay.add(state, word, reward, after)
            state = after

    def _step(
        self, network: nn.Module, target: nn.Module, optimizer: torch.optim.Optimizer, every: Tensor, replay: Replay,
        g: torch.Generator,
    ) -> None:  # fmt: skip
        state_N, word_N, reward_N, next_N = replay.draw(self.batch, g)
        with torch.no_grad():
            goal_N = td_targets(reward_N, next_N, target(every), gamma=self.gamma)
        said_N = network(every[state_N]).gather(1, word_N[:, None])[:, 0]
        optimizer.zero_grad(set_to_none=True)
        F.smooth_l1_loss(said_N, goal_N).backward()
        optimizer.step()


def _network(env: LanguageEnv, hidden: int, seed: int) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(nn.Linear(env.states, hidden), nn.ReLU(), nn.Linear(hidden, len(env.words)))
