"""Small models over features of replies: what a person would think of one, and whether an expert said it.

Features come from outside; they are standardised by what was fitted on, and every fit is penalised, since people give
few ratings.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dialog_rl.errors import TrainingError
from dialog_rl.rl.preferences import bradley_terry_loss


@dataclass(frozen=True, slots=True, kw_only=True)
class LinearReward:
    """r(x) = w (x - mean) / spread + b."""

    weight_D: Tensor
    bias: float
    mean_D: Tensor
    spread_D: Tensor

    def __call__(self, features_ND: Tensor) -> Tensor:
        return ((features_ND - self.mean_D) / self.spread_D) @ self.weight_D + self.bias


def fit_pairs(chosen_PD: Tensor, rejected_PD: Tensor, *, penalty: float = 1e-2) -> LinearReward:
    """Bradley-Terry: the reward whose differences make the choices likeliest. Only differences mean anything."""
    mean_D, spread_D = scale(torch.cat([chosen_PD, rejected_PD]))
    difference_PD = (chosen_PD - rejected_PD) / spread_D
    still_P = torch.zeros(len(difference_PD), dtype=difference_PD.dtype)
    weight_D = _minimise(
        lambda w_D: bradley_terry_loss(difference_PD @ w_D, still_P).mean() + penalty * w_D.square().sum(),
        difference_PD.shape[1], difference_PD.dtype,
    )  # fmt: skip
    return LinearReward(weight_D=weight_D, bias=0.0, mean_D=mean_D, spread_D=spread_D)


def fit_values(features_ND: Tensor, values_N: Tensor, *, penalty: float = 1e-2) -> LinearReward:
    """Regression on Likert values in [-1, 1], by penalised least squares in closed form."""
    mean_D, spread_D = scale(features_ND)
    x_ND = (features_ND - mean_D) / spread_D
    bias = float(values_N.mean())
    gram_DD = x_ND.T @ x_ND / len(x_ND) + penalty * torch.eye(x_ND.shape[1], dtype=x_ND.dtype)
    weight_D = torch.linalg.solve(gram_DD, x_ND.T @ (values_N - bias) / len(x_ND))
    return LinearReward(weight_D=weight_D, bias=bias, mean_D=mean_D, spread_D=spread_D)


def scale(features_ND: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and spread of each feature, to standardise by. Raises TrainingError for none, or any that is not finite."""
    if not len(features_ND) or not bool(features_ND.isfinite().all()):
        raise TrainingError(f"{len(features_ND)} rows of features; at least one is needed, and all must be finite")
    return features_ND.mean(0), features_ND.std(0, unbiased=False).clamp(min=1e-3)


def _minimise(loss: Callable[[Tensor], Tensor], width: int, dtype: torch.dtype) -> Tensor:
    """The weights at the minimum of a smooth convex loss, by L-BFGS."""
    w_D = torch.zeros(width, dtype=dtype, requires_grad=True)
    optimizer = torch.optim.LBFGS([w_D], max_iter=500, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        value = loss(w_D)
        value.backward()
        return value

    optimizer.step(closure)  # pyright: ignore[reportArgumentType] - torch's annotation wants a float
    return w_D.detach()


class Discriminator(nn.Module):
    """Tells an expert's features from the learner's; its logit is the reward, as in AIRL."""

    def __init__(self, width: int, hidden: int = 32, *, seed: int = 0) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.layers = nn.Sequential(nn.Linear(width, hidden), nn.Tanh(), nn.Linear(hidden, 1))

    def forward(self, features_ND: Tensor) -> Tensor:
        return self.layers(features_ND)[:, 0]


def gradient_penalty(
    model: Callable[[Tensor], Tensor], expert_ND: Tensor, learner_ND: Tensor, g: torch.Generator
) -> Tensor:
    """(|gradient| - 1)², at random points between the two. Source: Gulrajani et al. 2017, arXiv:1704.00028."""
    count = min(len(expert_ND), len(learner_ND))
    mix_N1 = torch.rand(count, 1, generator=g, dtype=expert_ND.dtype)
    between_ND = (mix_N1 * expert_ND[:count] + (1 - mix_N1) * learner_ND[:count]).requires_grad_()
    (slope_ND,) = torch.autograd.grad(model(between_ND).sum(), between_ND, create_graph=True)
    return (slope_ND.norm(dim=1) - 1).square().mean()


def discriminator_loss(
    model: Callable[[Tensor], Tensor], expert_ND: Tensor, learner_ND: Tensor, g: torch.Generator, *, penalty: float
) -> Tensor:
    """Cross-entropy of telling them apart, and the penalty that keeps the reward from growing steep."""
    apart = F.softplus(-model(expert_ND)).mean() + F.softplus(model(learner_ND)).mean()
    return apart + penalty * gradient_penalty(model, expert_ND, learner_ND, g)


def train_discriminator(
    model: Discriminator, expert_ND: Tensor, learner_ND: Tensor, *, steps: int = 100, learning_rate: float = 1e-2,
    penalty: float = 1.0, seed: int = 0,
) -> float:  # fmt: skip
    """Returns the last loss; it is 2 log 2 where nothing tells them apart."""
    g = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(model.parameters(), lr=learning_rate)
    last = 0.0
    for _ in range(steps):
        order, other = torch.randperm(len(expert_ND), generator=g), torch.randperm(len(learner_ND), generator=g)
        loss = discriminator_loss(model, expert_ND[order], learner_ND[other], g, penalty=penalty)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        last = float(loss.detach())
    return last
