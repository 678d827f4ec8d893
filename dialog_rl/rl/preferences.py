"""Losses of learning from people: pairs, thumbs and hints. Shape letter P is a pair or a judged reply."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def bradley_terry_loss(chosen_P: Tensor, rejected_P: Tensor) -> Tensor:
    """-log σ(r(chosen) - r(rejected)). Source: Bradley & Terry 1952."""
    return -F.logsigmoid(chosen_P - rejected_P)


def dpo_loss(chosen_P: Tensor, rejected_P: Tensor, *, beta: float) -> Tensor:
    """Direct preference optimisation, of log-ratios log π(reply) - log π_ref(reply), summed over the reply's tokens.

    Source: Rafailov et al. 2023, arXiv:2305.18290, eq. 7.
    """
    return bradley_terry_loss(beta * chosen_P, beta * rejected_P)


def kto_loss(log_ratio_P: Tensor, liked_P: Tensor, kl: Tensor, *, beta: float, disliked_weight: float = 1.0) -> Tensor:
    """Kahneman-Tversky optimisation, of single thumbs: 1 - σ(±(β log-ratio - β KL)), the sign by what was thought.

    kl is what a reply's log-ratio is on average whatever it answers; it is a point of reference and gets no gradient.
    Source: Ethayarajh et al. 2024, arXiv:2402.01306, eq. 8.
    """
    above_P = beta * (log_ratio_P - kl.detach().clamp(min=0))
    return torch.where(liked_P, 1 - torch.sigmoid(above_P), disliked_weight * (1 - torch.sigmoid(-above_P)))


def hindsight_advantages(teacher_BT: Tensor, student_BT: Tensor, action_mask_BT: Tensor, *, limit: float) -> Tensor:
    """log p(teacher) - log p(student) on the sampled ids, kept within ±limit: nothing flows through either.

    The teacher is the same policy, told in hindsight what a person said about the reply. The policy gradient with this
    advantage is on average that of KL(student || teacher).
    """
    return torch.where(action_mask_BT, (teacher_BT - student_BT).detach().clamp(-limit, limit), 0.0)


def calibration(
    predicted_P: Tensor, happened_P: Tensor, *, bins: int = 10
) -> tuple[float, list[tuple[float, float, int]]]:
    """Expected calibration error, and of every bin that is not empty its mean prediction, what happened, its size."""
    place_P = (predicted_P * bins).long().clamp(0, bins - 1)
    found: list[tuple[float, float, int]] = []
    for number in range(bins):
        here_P = place_P == number
        if bool(here_P.any()):
            mean, share = float(predicted_P[here_P].mean()), float(happened_P[here_P].double().mean())
            found.append((mean, share, int(here_P.sum())))
    error = sum(abs(mean - share) * count for mean, share, count in found) / max(1, len(predicted_P))
    return error, found
