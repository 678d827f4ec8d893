"""What a token's share in the loss is made of: the algorithm's own, the entropy bonus, the KL penalty, imitation."""

from __future__ import annotations

import torch
from torch import Tensor

from dialog_rl.rl import losses
from dialog_rl.rl.actor_critic import TokenEvaluation
from dialog_rl.rl.algorithm import Algorithm
from dialog_rl.rl.experience import Experience
from dialog_rl.rl.kl import KLPlace
from dialog_rl.rl.learner_config import LearnerConfig
from dialog_rl.rl.update_stats import Tally


def token_losses(
    new: TokenEvaluation,
    rows: Experience,
    tally: Tally,
    *,
    algorithm: Algorithm,
    config: LearnerConfig,
    kl_coef: float,
    entropy_coef: float,
    critic_only: bool,
) -> Tensor:
    """Each token's share in the loss, total_BT; its parts are told to the tally. `kl_coef` and `entropy_coef` are those
    in force, which controllers may have moved away from the configured ones.
    """
    c, mask_BT, given = config, rows.mask_BT, algorithm.loss(new, rows)
    for name, x_BT in given.terms.items():
        tally.add(f"terms/{name}", x_BT, mask_BT)
    tally.add("policy_loss", given.policy_BT, mask_BT)
    total_BT = torch.zeros_like(new.logprobs_BT)
    if given.value_BT is not None:
        tally.add("value_loss", given.value_BT, mask_BT)
        total_BT = total_BT + given.value_BT
    if critic_only:
        return torch.where(mask_BT, total_BT, 0.0)
    total_BT = total_BT + rows.importance_BT * given.policy_BT
    if entropy_coef > 0:  # a factor of 0 would still pay for a backward over the whole vocabulary
        total_BT = total_BT - entropy_coef * new.entropy_BT
    if rows.reference_logprobs_BT is not None and c.kl.place is KLPlace.LOSS:
        kl_BT = losses.kl_divergence(new.logprobs_BT, rows.reference_logprobs_BT, c.kl.estimator)
        total_BT = total_BT + kl_coef * kl_BT
    total_BT = torch.where(mask_BT, total_BT, 0.0)
    if c.imitation_coef > 0:
        imitated_BT = rows.batch.action_mask_BT & rows.batch.imitate_B[:, None]
        tally.add("imitation_loss", -new.logprobs_BT, imitated_BT)
        total_BT = total_BT - torch.where(imitated_BT, c.imitation_coef * new.logprobs_BT, 0.0)
    return total_BT
