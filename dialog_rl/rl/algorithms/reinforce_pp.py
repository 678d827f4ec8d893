"""REINFORCE with PPO's clip, and advantages whitened over the whole batch. Source: Hu 2025, arXiv:2501.03262.

The return of a token is what its episode earned from there on, however many observations came in between. Trainers made
for single answers set the running return to 0 wherever the mask is 0, and so never credit a turn with what came of it.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from dialog_rl.errors import ConfigError
from dialog_rl.rl import advantages as estimators
from dialog_rl.rl import losses
from dialog_rl.rl.actor_critic import Evaluation
from dialog_rl.rl.algorithm import Loss, Needs, estimate
from dialog_rl.rl.batch import EpisodeBatch
from dialog_rl.rl.choices import Level
from dialog_rl.rl.experience import Experience, Targets


@dataclass(frozen=True, slots=True, kw_only=True)
class ReinforcePPConfig:
    gamma: float = 1.0
    """Discount per action token."""
    clip: float = 0.2
    """Of the probability ratio. Schulman et al. 2017, table 3."""
    std_floor: float = 0.01
    """Returns that spread less, in units of reward, are not blown up to 1."""

    def __post_init__(self) -> None:
        if not 0 <= self.gamma <= 1 or min(self.clip, self.std_floor) <= 0:
            raise ConfigError(f"gamma {self.gamma} must be within 0 and 1, clip and std_floor above 0")


@dataclass(frozen=True, slots=True)
class ReinforcePP:
    config: ReinforcePPConfig = ReinforcePPConfig()
    name: str = "reinforce-pp"
    needs: Needs = Needs()

    def advantages(self, batch: EpisodeBatch, old: Evaluation, reference_logprobs_BT: Tensor | None) -> Targets:
        c, mask_BT, zero_BT = self.config, batch.fresh_mask_BT, torch.zeros_like(old.values_BT)
        to_go_BT, _ = estimate(batch, zero_BT, zero_BT[:, 0], level=Level.TOKEN, gamma=c.gamma, lam=1.0)
        white_BT = estimators.whiten(to_go_BT, mask_BT, std_floor=c.std_floor)
        alike = estimators.all_alike(to_go_BT, mask_BT)
        return Targets(advantages_BT=torch.where(alike, zero_BT, white_BT), returns_BT=zero_BT)

    def loss(self, new: Evaluation, rows: Experience) -> Loss:
        log_ratio_BT = losses.log_ratio(new.logprobs_BT, rows.old.logprobs_BT)
        return Loss(
            policy_BT=losses.clipped_policy_loss(log_ratio_BT, rows.targets.advantages_BT, clip=self.config.clip),
            terms={"clip_fraction": losses.outside_clip(log_ratio_BT, clip=self.config.clip)},
        )
