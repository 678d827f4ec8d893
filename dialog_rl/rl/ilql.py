"""Implicit language Q-learning: action values of tokens from logged episodes alone, without new interaction.

Source: Snell et al. 2022, arXiv:2206.11871; its expectile value is from Kostrikov et al. 2021, arXiv:2110.06169.

The Q-head is one matrix on the policy's last hidden state. That makes advantage-weighted decoding free: with logits
W h, log π(a) + β (Q(a) - V) differs from (W + β Q) h by a number that is the same for every token, so the policy that
decodes by advantage is the old one with another output matrix, and everything that speaks can speak it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dialog_rl.errors import ConfigError, TrainingError


@dataclass(frozen=True, slots=True, kw_only=True)
class ILQLConfig:
    gamma: float = 0.99
    """A token."""
    expectile: float = 0.7
    """Of the value: 0.5 is what the behaviour earns on average, near 1 the best that it was seen to do."""
    conservative: float = 0.1
    """Weight of the term that keeps what was never said from looking good."""
    target_rate: float = 0.005
    """How much of the Q-head the target takes over at each step."""
    learning_rate: float = 1e-3

    def __post_init__(self) -> None:
        if not 0 < self.expectile < 1 or not 0 <= self.gamma <= 1 or self.conservative < 0:
            raise ConfigError(
                f"ILQL expectile {self.expectile}, gamma {self.gamma}, conservative {self.conservative}: the "
                "first lies between 0 and 1, gamma from 0 to 1, and the last is at least 0"
            )


class Transitions(NamedTuple):
    """Action tokens in the order they were said, row after row."""

    hidden_ND: Tensor
    """What the policy saw before each."""
    ids_N: Tensor
    rewards_N: Tensor
    last_N: Tensor
    """Bool: nothing follows in this episode."""
    end_values_N: Tensor
    """At a last token: what is still to come after it, 0 unless the episode was cut off."""


def expectile_loss(error_N: Tensor, expectile: float) -> Tensor:
    """|τ - 1[error < 0]| error², for error = Q - V. Its minimum over V is the τ-expectile of Q."""
    return torch.where(error_N < 0, 1 - expectile, expectile) * error_N.square()


def q_targets(rewards_N: Tensor, values_N: Tensor, last_N: Tensor, end_values_N: Tensor, *, gamma: float) -> Tensor:
    """r + γ V(the state of the episode's next action token); observations between them are stepped over."""
    following_N = torch.where(last_N, end_values_N, values_N.roll(-1))
    return rewards_N + gamma * following_N


def conservative_loss(q_NV: Tensor, ids_N: Tensor) -> Tensor:
    """-log softmax(Q)[a]: pushes up what was said against everything else. Source: Kumar et al. 2020, CQL(H)."""
    return F.cross_entropy(q_NV, ids_N, reduction="none")


def advantage_logits(logits_NV: Tensor, q_NV: Tensor, values_N: Tensor, *, beta: float) -> Tensor:
    """What the behaviour would say, times e^(β A): unnormalised log-probabilities."""
    return logits_NV + beta * (q_NV - values_N[:, None])


class ILQLLosses(NamedTuple):
    q: Tensor
    value: Tensor
    conservative: Tensor


class ILQLHeads(nn.Module):
    """Q and V over the same hidden states; the target is a slower Q. Q begins at zero, so decoding begins unchanged."""

    def __init__(self, width: int, vocabulary: int, *, seed: int = 0) -> None:
        super().__init__()
        self.q = nn.Linear(width, vocabulary, bias=False)
        nn.init.zeros_(self.q.weight)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.value = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.Linear(width, 1))
        self.register_buffer("target", torch.zeros_like(self.q.weight))
        self.target: Tensor

    def values(self, hidden_ND: Tensor) -> Tensor:
        return self.value(hidden_ND)[:, 0]

    @torch.no_grad()
    def follow(self, rate: float) -> None:
        self.target.lerp_(self.q.weight, rate)


def losses(heads: ILQLHeads, seen: Transitions, config: ILQLConfig) -> ILQLLosses:
    """Each a mean over the action tokens."""
    values_N = heads.values(seen.hidden_ND)
    target_N = (seen.hidden_ND * heads.target[seen.ids_N]).sum(-1)
    q_NV = heads.q(seen.hidden_ND)
    said_N = q_NV.gather(1, seen.ids_N[:, None])[:, 0]
    goal_N = q_targets(seen.rewards_N, values_N.detach(), seen.last_N, seen.end_values_N, gamma=config.gamma)
    return ILQLLosses(
        q=(said_N - goal_N).square().mean(),
        value=expectile_loss(target_N - values_N, config.expectile).mean(),
        conservative=conservative_loss(q_NV, seen.ids_N).mean(),
    )


class ILQLLearner:
    """`update` improves the heads; the policy below them stays as it is."""

    def __init__(self, heads: ILQLHeads, config: ILQLConfig | None = None) -> None:
        self.heads, self.config = heads, config or ILQLConfig()
        self._optimizer = torch.optim.Adam(heads.parameters(), lr=self.config.learning_rate)

    def update(self, seen: Transitions) -> ILQLLosses:
        """One step on a batch. Returns the losses before it. Raises TrainingError if they are not finite."""
        found = losses(self.heads, seen, self.config)
        total = found.q + found.value + self.config.conservative * found.conservative
        if not math.isfinite(float(total.detach())):
            raise TrainingError(
                f"ILQL: the loss is {float(total.detach())}; lower the learning rate or look at rewards"
            )
        self._optimizer.zero_grad(set_to_none=True)
        total.backward()
        nn.utils.clip_grad_norm_(self.heads.parameters(), 1.0)
        self._optimizer.step()
        self.heads.follow(self.config.target_rate)
        return ILQLLosses(*(loss.detach() for loss in found))
