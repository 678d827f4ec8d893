"""Per-token losses and divergences. They return one number a position; `masked_mean` is the only way to a scalar."""

from __future__ import annotations

import torch
from torch import Tensor

from dialog_rl.rl.choices import KLEstimator

LOG_RATIO_LIMIT = 20.0
"""exp(20) = 5e8 still fits every float type that a loss is computed in."""

K3_LINEAR_BEYOND = 3.0
"""Nats. Unclamped, one token at a log-ratio of 10 contributes 22,000 nats and its gradient replaces the update."""


def masked_sum(x_BT: Tensor, mask_BT: Tensor) -> Tensor:
    return torch.where(mask_BT, x_BT, torch.zeros_like(x_BT)).sum()


def masked_mean(x_BT: Tensor, mask_BT: Tensor) -> Tensor:
    """Mean over marked positions; 0 if there are none."""
    return masked_sum(x_BT, mask_BT) / mask_BT.sum().clamp(min=1)


def log_ratio(logprobs_BT: Tensor, old_logprobs_BT: Tensor) -> Tensor:
    """log(new / old), clamped to ±LOG_RATIO_LIMIT. A NaN stays a NaN, so that a broken forward is seen, not hidden."""
    return (logprobs_BT - old_logprobs_BT).clamp(-LOG_RATIO_LIMIT, LOG_RATIO_LIMIT)


def clipped_policy_loss(log_ratio_BT: Tensor, advantages_BT: Tensor, *, clip: float) -> Tensor:
    """PPO's pessimistic surrogate, to be minimised. Source: Schulman et al. 2017, arXiv:1707.06347, eq. 7."""
    ratio_BT = log_ratio_BT.exp()
    unclipped_BT = ratio_BT * advantages_BT
    clipped_BT = ratio_BT.clamp(1 - clip, 1 + clip) * advantages_BT
    return -torch.minimum(unclipped_BT, clipped_BT)


def outside_clip(log_ratio_BT: Tensor, *, clip: float) -> Tensor:
    """1 where the ratio has left the clip range, else 0."""
    return ((log_ratio_BT.detach().exp() - 1).abs() > clip).float()


def value_loss(values_BT: Tensor, returns_BT: Tensor) -> Tensor:
    """Half the squared error."""
    return 0.5 * (values_BT - returns_BT).square()


def clipped_value_loss(values_BT: Tensor, old_values_BT: Tensor, returns_BT: Tensor, *, clip: float) -> Tensor:
    """The worse of the value's loss and that of the value kept within `clip` of the old one."""
    kept_BT = old_values_BT + (values_BT - old_values_BT).clamp(-clip, clip)
    return torch.maximum(value_loss(values_BT, returns_BT), value_loss(kept_BT, returns_BT))


def kl_divergence(logprobs_BT: Tensor, other_logprobs_BT: Tensor, estimator: KLEstimator) -> Tensor:
    """Per-token estimate of KL(p || q) in nats, for tokens sampled from p = exp(logprobs), q = exp(other_logprobs).

    K3 goes on as its tangent beyond K3_LINEAR_BEYOND: a token 20 times likelier under q keeps pulling, without drowning
    all the others.
    """
    log_r_BT = log_ratio(other_logprobs_BT, logprobs_BT)
    match estimator:
        case KLEstimator.K1:
            return -log_r_BT
        case KLEstimator.K2:
            return 0.5 * log_r_BT.square()
        case KLEstimator.K3:
            near_BT = log_r_BT.clamp(max=K3_LINEAR_BEYOND)
            slope = torch.expm1(torch.tensor(K3_LINEAR_BEYOND)).item()
            return torch.expm1(near_BT) - near_BT + slope * (log_r_BT - near_BT)


def importance_weights(logprobs_BT: Tensor, sampler_logprobs_BT: Tensor, *, cap: float) -> Tensor:
    """min(p / sampler, cap), detached: what a token is worth that another distribution sampled.

    Source: truncated importance sampling, Ionides 2008; for LM rollouts fengyao.notion.site/off-policy-rl.
    """
    return log_ratio(logprobs_BT.detach(), sampler_logprobs_BT).exp().clamp(max=cap)
