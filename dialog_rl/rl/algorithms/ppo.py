"""Proximal policy optimisation with a learned critic. Source: Schulman et al. 2017, arXiv:1707.06347."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from dialog_rl.rl import advantages as estimators
from dialog_rl.rl import losses
from dialog_rl.rl.actor_critic import Evaluation
from dialog_rl.rl.algorithm import Loss, Needs, bootstrap, estimate
from dialog_rl.rl.algorithms.ppo_config import PPOConfig
from dialog_rl.rl.batch import EpisodeBatch
from dialog_rl.rl.experience import Experience, Targets


@dataclass(frozen=True, slots=True)
class PPO:
    config: PPOConfig = PPOConfig()
    name: str = "ppo"
    needs: Needs = Needs(values=True)

    def advantages(self, batch: EpisodeBatch, old: Evaluation, reference_logprobs_BT: Tensor | None) -> Targets:
        c, mask_BT = self.config, batch.fresh_mask_BT
        end_B, zero_BT = bootstrap(batch, old), torch.zeros_like(old.values_BT)
        raw_BT, returns_BT = estimate(batch, old.values_BT, end_B, level=c.level, gamma=c.gamma, lam=c.lam)
        to_go_BT, _ = estimate(batch, zero_BT, zero_BT[:, 0], level=c.level, gamma=c.gamma, lam=1.0)
        white_BT = estimators.whiten(raw_BT, mask_BT, std_floor=c.std_floor)
        alike = estimators.all_alike(to_go_BT, mask_BT)
        return Targets(advantages_BT=torch.where(alike, zero_BT, white_BT), returns_BT=returns_BT)

    def loss(self, new: Evaluation, rows: Experience) -> Loss:
        c, targets = self.config, rows.targets
        log_ratio_BT = losses.log_ratio(new.logprobs_BT, rows.old.logprobs_BT)
        value_BT = losses.clipped_value_loss(new.values_BT, rows.old.values_BT, targets.returns_BT, clip=c.value_clip)
        return Loss(
            policy_BT=losses.clipped_policy_loss(log_ratio_BT, targets.advantages_BT, clip=c.clip),
            value_BT=c.value_coef * value_BT,
            terms={"clip_fraction": losses.outside_clip(log_ratio_BT, clip=c.clip)},
        )
