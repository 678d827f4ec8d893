"""Implicit language Q-learning: action values of tokens from logged episodes alone, without new interaction.

Source: Snell et al. 2022, arXiv:2206.11871; its expectile value is from Kostrikov et al. 2021, arXiv:2110.06169.

Two things are ours. Values are handed back from step to step, not from token to token: within a step nothing is learnt
about the customer, so every token of it shares what the step earned and what the next one is worth. And an action value
is the policy's own opinion seen in another light, Q(h, a) = b(h) + (w_a - w̄(h))ᵀ K h, where w_a is the token's row of
the output matrix and w̄(h) the mean row of what the policy would say: with K = s·I, it is s times the log-probability,
so K has as many numbers as a layer, not as many as the vocabulary times it, and what it learns of one token holds for
those like it. The policy's mean advantage is 0 everywhere (a dueling network, Wang et al. 2016, arXiv:1511.06581).

That makes advantage-weighted decoding free: with logits W h, log π(a) + β (Q(a) - V) differs from W (I + β K) h by a
number that is the same for every token, so the policy that decodes by advantage is the old one with another output
matrix, and everything that speaks can speak it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from dialog_rl.errors import ConfigError, TrainingError


@dataclass(frozen=True, slots=True, kw_only=True)
class ILQLConfig:
    gamma: float = 1.0
    """A step."""
    expectile: float = 0.7
    """Of the value: 0.5 is what the behaviour earns on average, near 1 the best that it was seen to do."""
    conservative: float = 0.1
    """Weight of the term that keeps what was seldom said from looking good."""
    target_rate: float = 0.02
    """How much of the action values the target takes over at each step."""
    learning_rate: float = 1e-3
    bend_rate: float = 1e-5
    """Learning rate of K beyond s·I, which has far more numbers than the rest."""

    def __post_init__(self) -> None:
        if not 0 < self.expectile < 1 or not 0 <= self.gamma <= 1 or self.conservative < 0:
            raise ConfigError(
                f"ILQL expectile {self.expectile}, gamma {self.gamma}, conservative {self.conservative}: the "
                "first lies between 0 and 1, gamma from 0 to 1, and the last is at least 0"
            )


class Transitions(NamedTuple):
    """Action tokens in the order they were said, episode after episode."""

    hidden_ND: Tensor
    """What the policy saw before each."""
    choice_ND: Tensor
    """w_a - w̄(h): the token's row of the output matrix, less the mean row of what the policy would have said."""
    returns_N: Tensor
    """What its step earned; that comes with the last token of the step."""
    following_N: Tensor
    """Place of the first token of the episode's next step, or N + its place in `ends_ED`; -1 where nothing follows."""
    ends_ED: Tensor
    """What the policy saw where an episode was cut off."""


def expectile_loss(error_N: Tensor, expectile: float) -> Tensor:
    """|τ - 1[error < 0]| error², for error = Q - V. Its minimum over V is the τ-expectile of Q."""
    return torch.where(error_N < 0, 1 - expectile, expectile) * error_N.square()


def q_targets(returns_N: Tensor, values_S: Tensor, following_N: Tensor, *, gamma: float) -> Tensor:
    """What the step earns + γ V(the state in which the next step begins); observations between are stepped over."""
    return returns_N + gamma * torch.where(following_N < 0, 0.0, values_S[following_N])


def choices(hidden_ND: Tensor, ids_N: Tensor, output_VD: Tensor) -> Tensor:
    """w_a - w̄(h) of each token that was said. Shape [N, D]."""
    mean_ND = (hidden_ND @ output_VD.T).softmax(-1) @ output_VD
    return output_VD[ids_N] - mean_ND


def conservative_loss(advantages_N: Tensor) -> Tensor:
    """log E[e^A] - A to second order, for A of what was said by a policy whose mean advantage is 0.

    Source: Kumar et al. 2020, arXiv:2006.04779, CQL with the behaviour as its prior (their ρ). Its mean is half the
    advantages' variance: it costs to think that what is said makes a difference.
    """
    return 0.5 * advantages_N.square()


class ILQLLosses(NamedTuple):
    q: Tensor
    value: Tensor
    conservative: Tensor


class ILQLHeads(nn.Module):
    """Q and V over the same hidden states; the target is a slower Q. K begins at 0, so decoding begins unchanged."""

    def __init__(self, width: int, *, seed: int = 0) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.zeros(()))
        self.bend_DD = nn.Parameter(torch.zeros(width, width))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.baseline, self.value, self.target_baseline = (_perceptron(width) for _ in range(3))
        self.target_baseline.load_state_dict(self.baseline.state_dict())
        self.target_baseline.requires_grad_(False)
        self.register_buffer("target_DD", torch.zeros(width, width))
        self.target_DD: Tensor

    def values(self, hidden_ND: Tensor) -> Tensor:
        return self.value(hidden_ND)[:, 0]

    @property
    def kernel_DD(self) -> Tensor:
        """K = s·I and what bends it."""
        return self.scale * torch.eye(len(self.bend_DD)).to(self.bend_DD) + self.bend_DD

    def q(self, hidden_ND: Tensor, choice_ND: Tensor) -> tuple[Tensor, Tensor]:
        """Q and A of what was said."""
        advantages_N = _bilinear(choice_ND, self.kernel_DD, hidden_ND)
        return self.baseline(hidden_ND)[:, 0] + advantages_N, advantages_N

    @torch.no_grad()
    def target(self, hidden_ND: Tensor, choice_ND: Tensor) -> Tensor:
        return self.target_baseline(hidden_ND)[:, 0] + _bilinear(choice_ND, self.target_DD, hidden_ND)

    @torch.no_grad()
    def follow(self, rate: float) -> None:
        self.target_DD.lerp_(self.kernel_DD, rate)
        for slow, fast in zip(self.target_baseline.parameters(), self.baseline.parameters(), strict=True):
            slow.lerp_(fast, rate)


def _perceptron(width: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.Linear(width, 1))


def _bilinear(left_ND: Tensor, middle_DD: Tensor, right_ND: Tensor) -> Tensor:
    return ((left_ND @ middle_DD) * right_ND).sum(-1)


def losses(heads: ILQLHeads, seen: Transitions, config: ILQLConfig) -> ILQLLosses:
    """Each a mean over the action tokens."""
    values_S = heads.values(torch.cat([seen.hidden_ND, seen.ends_ED]))
    values_N = values_S[: len(seen.hidden_ND)]
    said_N, advantages_N = heads.q(seen.hidden_ND, seen.choice_ND)
    goal_N = q_targets(seen.returns_N, values_S.detach(), seen.following_N, gamma=config.gamma)
    return ILQLLosses(
        q=(said_N - goal_N).square().mean(),
        value=expectile_loss(heads.target(seen.hidden_ND, seen.choice_ND) - values_N, config.expectile).mean(),
        conservative=conservative_loss(advantages_N).mean(),
    )


class ILQLLearner:
    """`update` improves the heads; the policy below them stays as it is."""

    def __init__(self, heads: ILQLHeads, config: ILQLConfig | None = None) -> None:
        self.heads, self.config = heads, config or ILQLConfig()
        rest = [p for p in heads.parameters() if p is not heads.bend_DD and p.requires_grad]
        self._optimizer = torch.optim.Adam(
            [{"params": rest}, {"params": [heads.bend_DD], "lr": self.config.bend_rate}], lr=self.config.learning_rate
        )

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
