"""Oracles: PPO's case table by hand, closed-form KL between enumerated distributions."""

from __future__ import annotations

import math

import pytest
import torch

from dialog_rl.rl import losses
from dialog_rl.rl.choices import KLEstimator

NAN = float("nan")


@pytest.mark.parametrize(
    ("ratio", "advantage", "loss", "slope"),
    [
        (1.0, 2.0, -2.0, -2.0),
        (1.5, 2.0, -2.4, 0.0),  # clipped at 1.2: no reason to go further
        (0.5, 2.0, -1.0, -1.0),  # a good action that became rare is still pulled up
        (1.5, -2.0, 3.0, 3.0),  # a bad one that became frequent is still pushed down
        (0.5, -2.0, 1.6, 0.0),
    ],
)
def test_the_clipped_surrogate_follows_the_case_table(
    ratio: float, advantage: float, loss: float, slope: float
) -> None:
    log_ratio = torch.tensor([[math.log(ratio)]], requires_grad=True)
    got = losses.clipped_policy_loss(log_ratio, torch.tensor([[advantage]]), clip=0.2)
    got.sum().backward()
    assert got.item() == pytest.approx(loss)
    assert log_ratio.grad is not None and log_ratio.grad.item() == pytest.approx(slope)


def test_the_value_loss_takes_the_worse_of_both() -> None:
    new, old, target = torch.tensor([[1.0, 0.1]]), torch.tensor([[0.0, 0.0]]), torch.tensor([[1.0, 1.0]])
    # 0 at once, but .5 (.2 - 1)² for the value kept near the old; within the clip range both agree
    got = losses.clipped_value_loss(new, old, target, clip=0.2)
    assert got.tolist()[0] == pytest.approx([0.32, 0.405])


def test_log_ratios_are_clamped_and_nan_stays_nan() -> None:
    got = losses.log_ratio(torch.tensor([[100.0, -100.0, 1.0, NAN]]), torch.zeros(1, 4))
    assert got[0, :3].tolist() == [20.0, -20.0, 1.0]
    assert math.isnan(got[0, 3].item())


def enumerated(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    g = torch.Generator().manual_seed(seed)
    p, q = torch.log_softmax(torch.randn(2, 7, generator=g, dtype=torch.float64), -1)
    return p, q


@pytest.mark.parametrize("estimator", [KLEstimator.K1, KLEstimator.K3])
@pytest.mark.parametrize("seed", range(5))
def test_k1_and_k3_are_unbiased(estimator: KLEstimator, seed: int) -> None:
    p, q = enumerated(seed)
    exact = (p.exp() * (p - q)).sum()
    estimates = losses.kl_divergence(p, q, estimator)
    assert (p.exp() * estimates).sum().item() == pytest.approx(exact.item())


def test_as_losses_the_estimators_pull_in_three_directions() -> None:
    g = torch.Generator().manual_seed(0)
    logits = torch.randn(7, generator=g, dtype=torch.float64, requires_grad=True)
    q = torch.log_softmax(torch.randn(7, generator=g, dtype=torch.float64), -1)
    p = torch.log_softmax(logits, -1)
    exact = {
        KLEstimator.K1: 0 * logits.sum(),
        KLEstimator.K2: (p.exp() * (p - q)).sum(),
        KLEstimator.K3: (q.exp() * (q - p)).sum(),
    }
    for estimator, divergence in exact.items():
        (expected,) = torch.autograd.grad(divergence, logits, retain_graph=True)
        mean = (p.detach().exp() * losses.kl_divergence(p, q, estimator)).sum()
        (got,) = torch.autograd.grad(mean, logits, retain_graph=True)
        assert got.tolist() == pytest.approx(expected.tolist(), abs=1e-12)


def test_k3_is_never_negative_and_goes_on_as_its_tangent() -> None:
    log_r = torch.linspace(-25, 25, 501, dtype=torch.float64)
    k3 = losses.kl_divergence(torch.zeros_like(log_r), log_r, KLEstimator.K3)
    assert bool((k3 >= 0).all())
    near = log_r.abs() <= 3
    assert k3[near].tolist() == pytest.approx((log_r[near].exp() - 1 - log_r[near]).tolist(), abs=1e-6)
    ten = losses.kl_divergence(torch.zeros(1), torch.tensor([10.0]), KLEstimator.K3).item()
    assert ten == pytest.approx((math.e**3 - 4) + 7 * (math.e**3 - 1), rel=1e-5)  # not the 22,015 of exp(10) - 11


def test_importance_weights_are_capped_and_carry_no_gradient() -> None:
    new = torch.tensor([[math.log(0.5), math.log(0.9)]], requires_grad=True)
    got = losses.importance_weights(new, torch.tensor([[math.log(0.25), math.log(0.1)]]), cap=3.0)
    assert got.tolist()[0] == pytest.approx([2.0, 3.0])
    assert not got.requires_grad


def test_a_masked_mean_never_looks_at_what_it_leaves_out() -> None:
    x, mask = torch.tensor([[1.0, NAN, 3.0]]), torch.tensor([[True, False, True]])
    assert losses.masked_mean(x, mask).item() == 2.0
    assert losses.masked_mean(x, torch.zeros_like(mask)).item() == 0.0
