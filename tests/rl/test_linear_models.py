"""Reward models and discriminators: against closed forms, finite differences and what is known to be there."""

from __future__ import annotations

import math

import pytest
import torch

from dialog_rl.errors import TrainingError
from dialog_rl.rl.linear_models import (
    Discriminator,
    discriminator_loss,
    fit_pairs,
    fit_values,
    gradient_penalty,
    train_discriminator,
)

G = torch.Generator


def test_regression_finds_what_made_the_values() -> None:
    x_ND = torch.randn(400, 5, generator=G().manual_seed(0), dtype=torch.float64)
    w_D = torch.tensor([1.0, -2.0, 0.0, 0.5, 0.0], dtype=torch.float64)
    model = fit_values(x_ND, x_ND @ w_D + 0.3, penalty=1e-9)
    assert torch.allclose(model(x_ND), x_ND @ w_D + 0.3, atol=1e-5)


def test_a_penalised_fit_of_pairs_stands_where_no_step_helps() -> None:
    g = G().manual_seed(0)
    a_PD, b_PD = (torch.randn(60, 3, generator=g, dtype=torch.float64) for _ in range(2))
    model = fit_pairs(a_PD, b_PD, penalty=0.05)
    difference_PD = (a_PD - b_PD) / model.spread_D

    def loss(w_D: torch.Tensor) -> float:
        return float(torch.log1p(torch.exp(-(difference_PD @ w_D))).mean() + 0.05 * w_D.square().sum())

    best = loss(model.weight_D)
    for number in range(3):
        for step in (-1e-2, 1e-2):
            moved_D = model.weight_D.clone()
            moved_D[number] += step
            assert loss(moved_D) > best


def test_pairs_order_what_was_never_compared() -> None:
    g = G().manual_seed(1)
    x_ND = torch.randn(600, 6, generator=g)
    true_N = x_ND @ torch.tensor([2.0, -1.0, 0.0, 0.0, 1.0, 0.0])
    a, b = torch.arange(0, 400, 2), torch.arange(1, 400, 2)
    better = torch.rand(200, generator=g) < torch.sigmoid(true_N[a] - true_N[b])
    model = fit_pairs(x_ND[torch.where(better, a, b)], x_ND[torch.where(better, b, a)])
    c, d = torch.arange(400, 600, 2), torch.arange(401, 600, 2)
    agreed = ((model(x_ND[c]) > model(x_ND[d])) == (true_N[c] > true_N[d])).double().mean()
    assert float(agreed) > 0.85


def test_nothing_to_fit_is_refused() -> None:
    with pytest.raises(TrainingError, match="0 rows of features"):
        fit_values(torch.zeros(0, 2), torch.zeros(0))


def test_the_gradient_penalty_of_a_plane_is_known() -> None:
    w_D = torch.tensor([3.0, 4.0])
    found = gradient_penalty(lambda x_ND: x_ND @ w_D, torch.ones(4, 2), torch.zeros(4, 2), G().manual_seed(0))
    assert float(found) == pytest.approx((5 - 1) ** 2, rel=1e-5)


def test_the_gradient_of_the_discriminator_agrees_with_finite_differences() -> None:
    model = Discriminator(2, 4).double()
    g = G().manual_seed(0)
    expert_ND, learner_ND = (torch.randn(8, 2, generator=g, dtype=torch.float64) for _ in range(2))

    def loss() -> torch.Tensor:
        return discriminator_loss(model, expert_ND, learner_ND, G().manual_seed(5), penalty=2.0)

    loss().backward()
    weight, eps = next(model.parameters()), 1e-6
    assert weight.grad is not None
    with torch.no_grad():
        weight[1, 0] += eps
    above = float(loss().detach())
    with torch.no_grad():
        weight[1, 0] -= 2 * eps
    below = float(loss().detach())
    assert float(weight.grad[1, 0]) == pytest.approx((above - below) / (2 * eps), rel=1e-4)


def test_what_tells_nothing_apart_costs_two_log_two() -> None:
    x_ND = torch.randn(64, 3, generator=G().manual_seed(0))
    model = Discriminator(3)
    for p in model.layers[2].parameters():
        torch.nn.init.zeros_(p)
    found = discriminator_loss(model, x_ND, x_ND, G().manual_seed(0), penalty=0.0)
    assert float(found.detach()) == pytest.approx(2 * math.log(2))


def test_a_discriminator_learns_to_pay_for_what_the_expert_does() -> None:
    g = G().manual_seed(0)
    learner_ND = torch.randn(200, 3, generator=g)
    expert_ND = torch.randn(200, 3, generator=g) + torch.tensor([1.5, 0.0, 0.0])
    model = Discriminator(3)
    assert train_discriminator(model, expert_ND, learner_ND) < 2 * math.log(2)
    asked_ND = torch.zeros(2, 3)
    asked_ND[1, 0] = 2.0
    low, high = model(asked_ND).tolist()
    assert high > low + 0.5
